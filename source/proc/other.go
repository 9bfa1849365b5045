//go:build !linux

package proc

import (
	"context"
	"errors"
	"runtime"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/source"
)

// A Sensor is a source of the events of a Linux host.
type Sensor struct{}

// Open returns a *source.MissingError.
func Open(Options) (*Sensor, error) { return nil, source.FirstMissing("proc", Checks("")) }

// Checks says that this is not Linux.
func Checks(string) []source.Check {
	return []source.Check{{Name: "kernel", State: "there is none to watch on " + runtime.GOOS, Fix: "run it on Linux", Needed: true}}
}

func (*Sensor) Run(context.Context, func(*event.Event) error) error { return errors.ErrUnsupported }
func (*Sensor) Stats() Stats                                        { return Stats{} }
func (*Sensor) Close() error                                        { return nil }
func (*Sensor) String() string                                      { return "" }
