package proc

import "github.com/orlop/orlop/source"

// Options are the settings of a Sensor.
type Options struct {
	source.Options

	// LoginUID, if not nil, is the only login uid whose processes are reported. That of
	// a process which is gone is its parent's.
	LoginUID *uint32
	// NoSeed leaves out the processes that are there already.
	NoSeed bool
}

// Stats count what the kernel reported. Received + Lost is what happened.
type Stats struct {
	Received int64 // messages that were read
	Ignored  int64 // of Received: threads, other login uids, changes of names and ids
	Emitted  int64 // of Received
	Seeded   int64 // processes that were there already
	Lost     int64 // messages that were not read
	Gone     int64 // execs of which /proc had nothing left
}
