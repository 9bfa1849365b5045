package enrich

// The kernel hands out pids in a circle: upwards, over the ones in use, and from
// the bottom again (alloc_pid, idr_alloc_cyclic). So a pid is not given out twice
// until the circle is complete, and the pids of new processes tell where on the
// circle the kernel is. Not every first exec is a new process's, and two CPUs
// report slightly out of order, so a position away from the last one waits for a
// second observation.

// stride is how far apart on the circle two positions count as near.
const stride = 1024

// reserved is where the circle closes: lower pids are given out once, at boot.
const reserved = 300

// place is a position of the kernel on a host's circle of pids.
type place struct {
	lap  int32
	boot int32
	pid  uint32
}

// cursor follows the kernel round the circle.
type cursor struct {
	place
	maybe uint32 // a position that is far from place; 0 is none
	begin uint32 // first position seen
	top   uint32 // highest pid seen
}

// start tells the cursor that pid seems new. It reports whether a far position was
// confirmed; pid before is then what it was.
func (c *cursor) start(pid uint32) (confirmed uint32) {
	c.see(pid)
	switch {
	case c.begin == 0:
		c.begin, c.pid = pid, pid
	case near(pid, c.pid):
		c.pid = max(c.pid, pid)
		c.maybe = 0
	case c.maybe == 0:
		c.maybe = pid
	default:
		// Twice in a row away from where we were.
		confirmed = c.maybe
		if c.maybe < c.pid {
			c.lap++
			if c.maybe < reserved || c.pid+8*stride < c.size() {
				c.boot++ // The circle ends further up: this looks like a reboot.
			}
		}
		c.pid, c.maybe = c.maybe, 0
		if near(pid, c.pid) {
			c.pid = max(c.pid, pid)
		} else {
			c.maybe = pid
		}
	}
	return confirmed
}

// see tells the cursor that there is a pid like this.
func (c *cursor) see(pid uint32) { c.top = max(c.top, pid) }

func near(a, b uint32) bool { return a < b+stride && b < a+stride }

// chance says whether the kernel has given out a pid again.
type chance uint8

const (
	no chance = iota
	perhaps
	yes
)

// passed says whether the kernel may have given out pid again since the process
// was alive at the place then.
func (c *cursor) passed(pid uint32, then place) chance {
	switch {
	case c.begin == 0 || c.maybe == pid:
		return no
	case c.boot != then.boot:
		return yes
	case pid < reserved:
		return no
	}
	if then.pid == 0 {
		then.pid = c.begin
	}
	next := then.lap // in which pid comes again
	if pid <= then.pid {
		next++
	}
	if c.lap > next || c.lap == next && pid <= c.pid {
		return yes
	}
	if c.close(c.place, pid, next) {
		return perhaps
	}
	if c.maybe != 0 {
		m := place{lap: c.lap, pid: c.maybe}
		if m.pid < c.pid {
			m.lap++
		}
		if c.close(m, pid, next) {
			return perhaps
		}
	}
	return no
}

// close reports whether the kernel, last seen at p, is beyond pid in that lap, or may
// have got there since.
func (c *cursor) close(p place, pid uint32, lap int32) bool {
	return p.lap > lap || p.lap == lap && pid <= p.pid+stride ||
		p.lap+1 == lap && pid+c.size() <= p.pid+stride
}

// size is the number of pids of the circle: the kernel's usual limits.
func (c *cursor) size() uint32 {
	if c.top >= 1<<15 {
		return 1 << 22
	}
	return 1 << 15
}
