//go:build !linux

package audit

import (
	"context"
	"errors"
	"runtime"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/source"
)

// A Listener is a source of a Linux host's audit events.
type Listener struct{}

// Listen returns a *source.MissingError.
func Listen(Options) (*Listener, error) { return nil, source.FirstMissing("audit", Checks()) }

// Checks says that this is not Linux.
func Checks() []source.Check {
	return []source.Check{{Name: "kernel", State: "there is none to watch on " + runtime.GOOS, Fix: "run it on Linux", Needed: true}}
}

func (*Listener) Run(context.Context, func(*event.Event) error) error { return errors.ErrUnsupported }
func (*Listener) Stats() Stats                                        { return Stats{} }
func (*Listener) Close() error                                        { return nil }
func (*Listener) String() string                                      { return "" }
