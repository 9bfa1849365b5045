package audit

import (
	"github.com/orlop/orlop/source"
)

// Options are the settings of a Listener, a Tail or a Stream. The last two heed neither
// State nor Multicast.
type Options struct {
	source.Options

	// LoginUID, if not nil, is the only login uid whose events are reported.
	LoginUID *uint32
	// State is the folder that remembers what we changed, so that it can be put back
	// after we were killed; "" is DefaultState.
	State string
	// Multicast joins the multicast group even where no audit daemon runs, and
	// changes nothing.
	Multicast bool
	// NoSeed leaves out the processes that are there already.
	NoSeed bool
}

// DefaultState lasts as long as the kernel does whose settings it is about.
const DefaultState = "/run/orlop"

// Stats count what the kernel reported and what is known to be missing. What was
// lost is told by four signs, and none of them is exact: a record that the kernel had
// no room for is in Lost, one that vanished later leaves a gap, or an incomplete event.
type Stats struct {
	Counts
	Filtered int64 // events of other login uids
	Seeded   int64 // processes that were there already
	Waiting  int64 // events that have come and are not whole or not looked at yet; of a log or stream at least so many
	Lost     int64 // records that the kernel says it lost since Listen
	Overruns int64 // times that the kernel found our socket full
	Dropped  int64 // records that were read and that there was no room for; also gaps or incomplete
	Rejoined int64 // times that the kernel had given us up, since we did not read
	Blind    bool  // we may not ask the kernel what it lost
}

// Missing is a bound on how many events did not arrive at all.
func (s Stats) Missing() int64 { return s.Lost + s.Gaps }
