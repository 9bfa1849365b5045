//go:build !linux

package audit

import (
	"context"
	"errors"
	"io"
	"runtime"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/source"
)

// A Listener is a source of a Linux host's audit events.
type Listener struct{}

// Listen returns a *source.MissingError.
func Listen(Options) (*Listener, error) { return nil, source.FirstMissing("audit", Checks("")) }

// PutBack does nothing.
func PutBack(string) error { return nil }

// Checks says that this is not Linux.
func Checks(string) []source.Check {
	return []source.Check{{Name: "kernel", State: "there is none to watch on " + runtime.GOOS, Fix: "run it on Linux", Needed: true}}
}

func (*Listener) Run(context.Context, func(*event.Event) error) error { return errors.ErrUnsupported }
func (*Listener) Stats() Stats                                        { return Stats{} }
func (*Listener) Records() (whole, own bool)                          { return false, false }
func (*Listener) Close() error                                        { return nil }
func (*Listener) String() string                                      { return "" }

// A Tail is a source of the events of a log that auditd writes.
type Tail struct{ Listener }

// OpenTail returns a *source.MissingError.
func OpenTail(string, []byte, Options) (*Tail, error) {
	return nil, source.FirstMissing("audit", Checks(""))
}

// Position is that of a log.
func (*Tail) Position() ([]byte, int64) { return nil, 0 }

// A Stream is a source of audit records as text that somebody sends.
type Stream struct{ Listener }

// NewStream returns a *source.MissingError.
func NewStream(io.Reader, Options) (*Stream, error) {
	return nil, source.FirstMissing("audit", Checks(""))
}
