//go:build !linux

package bpf

import (
	"context"
	"errors"
	"runtime"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/source"
)

var errElsewhere = &source.MissingError{Source: "bpf", What: "there is no kernel to watch on " + runtime.GOOS, Fix: "run it on Linux"}

// A Sensor is a source of the events of a Linux host.
type Sensor struct{}

// Open returns a *source.MissingError.
func Open(Options) (*Sensor, error) { return nil, errElsewhere }

// Checks says that this is not Linux.
func Checks(string) []source.Check {
	return []source.Check{{Name: "kernel", State: runtime.GOOS, Fix: errElsewhere.Fix, Needed: true}}
}

func (*Sensor) Run(context.Context, func(*event.Event) error) error { return errors.ErrUnsupported }
func (*Sensor) Stats() Stats                                        { return Stats{} }
func (*Sensor) SeesConnects() bool                                  { return false }
func (*Sensor) SeesProcesses() bool                                 { return false }
func (*Sensor) Close() error                                        { return nil }
func (*Sensor) String() string                                      { return "" }
