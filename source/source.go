// Package source is what a way in is: something that runs until its input or
// its context ends and hands each event on.
package source

import (
	"context"

	"github.com/orlop/orlop/event"
)

// A Source hands events to emit, one at a time, until its input or ctx ends.
//
// The event is borrowed: it is valid until emit returns, and emit not having
// returned is the back-pressure. Run returns the error of emit, or of reading;
// nil at the end of the input.
type Source interface {
	Run(ctx context.Context, emit func(*event.Event) error) error
}
