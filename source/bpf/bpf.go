package bpf

import "github.com/orlop/orlop/source"

// Options are the settings of a Sensor.
type Options struct {
	source.Options

	// LoginUID, if not nil, is the only login uid whose processes are reported.
	LoginUID *uint32
	// Ring is the size of the ring buffer in bytes, a power of two; 0 is DefaultRing.
	Ring int
	// NoSeed leaves out the processes that are there already.
	NoSeed bool
}

// DefaultRing holds some 15,000 execs that nobody has read yet.
const DefaultRing = 8 << 20

// Stats count what the kernel reported. Sent + Lost is what happened; Received is
// what Run has read of Sent.
type Stats struct {
	Received, Sent, Lost KindStats
	Seeded               int64 // processes that were there already
	Repeated             int64 // of Received: an end that was told twice
	Unidentified         int64 // programs whose content could not be looked at in time
	Unrecorded           int64 // programs in a container whose record could not be looked at in time
}

// KindStats are counts by kind of event.
type KindStats struct{ Exec, Fork, Exit, Connect int64 }

// Total is the sum of all kinds.
func (k KindStats) Total() int64 { return k.Exec + k.Fork + k.Exit + k.Connect }
