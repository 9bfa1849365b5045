// Package interrupt catches what asks the program to end from before main on: to
// initialise all other packages takes tens of milliseconds, in which the signal would end
// the process as if there were nothing to finish.
//
// It imports next to nothing, for a package is initialised after those that it imports.
package interrupt

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

var signals = [...]os.Signal{os.Interrupt, syscall.SIGTERM}

// early are the signals that come before Context.
var early = func() chan os.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, signals[:]...)
	return c
}()

// Context returns a context that ends with the first interrupt or SIGTERM since the process
// began. A second one ends the process at once. The caller calls stop when it is done.
func Context(parent context.Context) (ctx context.Context, stop context.CancelFunc) {
	ctx, stop = signal.NotifyContext(parent, signals[:]...)
	context.AfterFunc(ctx, stop)
	signal.Stop(early) // and what has come is in the channel
	select {
	case <-early:
		stop()
	default:
	}
	return ctx, stop
}

// Release lets the signals end the process, until Context is called. It is for a program
// that does not call it, as that of a test.
func Release() { signal.Stop(early) }
