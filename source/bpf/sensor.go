//go:build linux

package bpf

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/internal/procfs"
	"github.com/orlop/orlop/source"
)

//go:embed orlop_bpfel.o
var object []byte

// A Sensor is a source of this host's events. The kernel collects from Open on.
type Sensor struct {
	o        Options
	about    string
	limits   []source.Check
	pids     bool // those of /proc are the kernel's
	connects bool
	coll     *ebpf.Collection
	links    []link.Link
	since    uint64 // boot time before anything was attached
	loose    sync.Once
	ring     *ringbuf.Reader

	received [nKinds]atomic.Int64
	seeded   atomic.Int64
	repeated atomic.Int64
	content  content
	boxes    containers
	final    *Stats // of the kernel's counters, once they are gone

	ended [256]struct {
		pid   uint32
		start uint64
	}
}

// Open loads the programs and attaches them. If the host does not let it, the
// error is a *source.MissingError that says what is missing.
func Open(o Options) (*Sensor, error) {
	if o.Ring == 0 {
		o.Ring = DefaultRing
	}
	checks := Checks(o.Host)
	if err := source.FirstMissing("bpf", checks); err != nil {
		return nil, err
	}
	_ = rlimit.RemoveMemlock() // Kernels before 5.11 count maps; if it is too low, loading says so.
	s := &Sensor{o: o, limits: source.Limits(checks), pids: procfs.HostPIDs()}
	s.content.init(s.pids)
	s.boxes.init(s.pids)
	var how string
	err := s.load("btf_")
	if err == nil {
		how = "tp_btf"
	} else if raw := s.load("raw_"); raw == nil {
		how, err = "raw_tracepoint", nil
	}
	if err != nil {
		return nil, explain(err)
	}
	s.since = bootTime()
	if err := s.attach(how); err != nil {
		s.Close()
		return nil, explain(err)
	}
	if err := s.attachConnects(); err != nil {
		s.Close()
		return nil, err
	}
	s.ring, err = ringbuf.NewReader(s.coll.Maps["ring"])
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("bpf: open the ring buffer: %w", err)
	}
	return s, nil
}

// load loads the maps, the connect programs and those whose name begins so.
func (s *Sensor) load(prefix string) error {
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(object))
	if err != nil {
		return fmt.Errorf("bpf: bug: read the object: %w", err)
	}
	for name := range spec.Programs {
		if !strings.HasPrefix(name, prefix) && !strings.HasSuffix(name, "_connect") {
			delete(spec.Programs, name)
		}
	}
	spec.Maps["ring"].MaxEntries = uint32(s.o.Ring)
	if uid := s.o.LoginUID; uid != nil {
		err = errors.Join(spec.Variables["filtered"].Set(uint32(1)), spec.Variables["filter_loginuid"].Set(*uid))
		if err != nil {
			return fmt.Errorf("bpf: bug: set the filter: %w", err)
		}
	}
	s.coll, err = ebpf.NewCollection(spec)
	return err
}

func (s *Sensor) attach(how string) error {
	for name, p := range s.coll.Programs {
		var l link.Link
		var err error
		switch {
		case strings.HasSuffix(name, "_connect"):
			continue
		case how == "tp_btf":
			l, err = link.AttachTracing(link.TracingOptions{Program: p})
		default:
			_, event, _ := strings.Cut(name, "_")
			l, err = link.AttachRawTracepoint(link.RawTracepointOptions{Name: "sched_process_" + event, Program: p})
		}
		if err != nil {
			return fmt.Errorf("bpf: attach %s: %w", name, err)
		}
		s.links = append(s.links, l)
	}
	s.about = how + " exec, fork, exit"
	return nil
}

// attachConnects attaches the programs that see connects, as far as the kernel lets
// them: execs are worth having without.
func (s *Sensor) attachConnects() error {
	var links []link.Link
	err := withTracefs(func() error {
		for _, name := range []string{"exit_connect", "enter_connect"} {
			l, err := link.Tracepoint("syscalls", "sys_"+name, s.coll.Programs[name], nil)
			if err != nil {
				return err
			}
			links = append(links, l)
		}
		return nil
	})
	s.links = append(s.links, links...)
	if err != nil {
		s.about += fmt.Sprintf("; no connect: %v", err)
		return nil
	}
	s.about += "; tracepoint connect"
	s.connects = true
	if err := s.coll.Variables["sockets"].Set(uint32(1)); err != nil {
		return fmt.Errorf("bpf: set what tells of connects: %w", err)
	}
	return nil
}

// withTracefs calls f where tracefs, which alone says what number a tracepoint has, is
// mounted: if it is not, on a thread that mounts it for itself, in a mount namespace
// that ends with it.
func withTracefs(f func() error) error {
	var fs unix.Statfs_t
	if unix.Statfs("/sys/kernel/tracing", &fs) == nil && fs.Type == unix.TRACEFS_MAGIC {
		return f()
	}
	err := errors.New("tracefs is not mounted (mount -t tracefs tracefs /sys/kernel/tracing)")
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if unix.Unshare(unix.CLONE_FS|unix.CLONE_NEWNS) != nil ||
			unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") != nil ||
			unix.Mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, "") != nil {
			return
		}
		err = f()
	}()
	<-done
	return err
}

// gather is how long events wait for others when they come faster than that. An
// event that comes alone does not wait.
const gather = time.Millisecond

// glance is how often the ring buffer is looked at when nothing wakes us.
const glance = 250 * time.Millisecond

// String says what the sensor is attached to.
func (s *Sensor) String() string { return "bpf: " + s.about }

// SeesConnects reports whether the sensor tells of every connect of a 64-bit program.
func (s *Sensor) SeesConnects() bool { return s.connects }

// SeesProcesses reports whether Run begins with the processes that are there already.
func (s *Sensor) SeesProcesses() bool { return s.pids && !s.o.NoSeed }

// Limits says what the sensor does not see here, though it could elsewhere.
func (s *Sensor) Limits() []source.Check { return s.limits }

// Run implements [source.Source]: until ctx ends, and then what has happened until
// then. It may be called once.
func (s *Sensor) Run(ctx context.Context, emit func(*event.Event) error) error {
	w, err := newWriter(s.o.Host)
	if err != nil {
		return err
	}
	w.made, w.note, w.pids = s.content.of, s.boxes.note, s.pids
	out := &output{o: &s.o.Options, dec: event.NewDecoder(s.o.Schema), emit: emit}
	if !s.o.NoSeed && s.pids {
		all, err := procfs.Processes()
		if err != nil {
			return fmt.Errorf("bpf: %w", err)
		}
		err = w.ps.Existing(all, w.ps.Wall(s.since), func(doc []byte, seq uint64) error {
			w.seq = seq
			s.seeded.Add(1)
			return out.put(doc, seq)
		})
		if err != nil {
			return err
		}
	}

	stop := context.AfterFunc(ctx, func() {
		s.detach() // so that there is an end
		s.ring.Flush()
	})
	defer stop()
	var rec ringbuf.Record
	var r record
	long := pieces{}
	refreshed := time.Now()
	drained := refreshed
	for {
		if rec.Remaining == 0 {
			// All is read. When much happens, we would be woken for every event, at
			// the cost of as much again: let a few gather.
			now := time.Now()
			if now.Sub(drained) < gather {
				time.Sleep(gather)
				now = time.Now()
			}
			drained = now
			s.ring.SetDeadline(now.Add(glance)) // forks and ends alone do not wake us
		}
		err := s.ring.ReadInto(&rec)
		switch {
		case errors.Is(err, ringbuf.ErrFlushed), errors.Is(err, os.ErrDeadlineExceeded):
			// ReadInto has returned all that was there before.
			if ctx.Err() != nil && errors.Is(err, ringbuf.ErrFlushed) {
				return nil
			}
			continue
		case errors.Is(err, ringbuf.ErrClosed):
			return nil
		case err != nil:
			return fmt.Errorf("bpf: read the ring buffer: %w", err)
		}
		if err := r.parse(rec.RawSample); err != nil || r.kind == 0 || r.kind > kindMore {
			s.o.Refuse(source.Rejection{Origin: out.origin(w.seq), Class: source.ClassRecord, Reason: "bpf: bug: bad record", Data: rec.RawSample})
			continue
		}
		if r.kind == kindMore {
			long.add(&r)
			continue
		}
		if r.flags&argsCut != 0 {
			long.join(&r)
		}
		s.received[r.kind].Add(1)
		if r.kind == kindExit && s.again(&r) {
			s.repeated.Add(1)
			continue
		}
		if rec.Remaining == 0 || w.seq&1023 == 0 {
			if now := time.Now(); now.Sub(refreshed) > time.Second {
				refreshed = now
				w.refresh()
			}
		}
		if err := out.put(w.process(&r), w.seq); err != nil {
			return err
		}
	}
}

// again reports whether the end of a process was told before: of two threads that
// end at the same moment both are the last.
func (s *Sensor) again(r *record) bool {
	e := &s.ended[r.pid%uint32(len(s.ended))]
	if e.pid == r.pid && e.start == r.start {
		return true
	}
	e.pid, e.start = r.pid, r.start
	return false
}

// output decodes documents and hands them on.
type output struct {
	o    *source.Options
	dec  *event.Decoder
	emit func(*event.Event) error
	e    event.Event
}

func (u *output) origin(seq uint64) event.Origin {
	return event.Origin{Source: "bpf", Offset: int64(seq)}
}

func (u *output) put(doc []byte, seq uint64) error {
	if err := u.dec.Decode(doc, &u.e); err != nil {
		u.o.Refuse(source.Rejection{Origin: u.origin(seq), Class: source.ClassSyntax, Reason: "bpf: bug: " + err.Error(), Data: doc})
		return nil
	}
	u.e.Origin = u.origin(seq)
	u.o.Emitted()
	return u.emit(&u.e)
}

// Stats returns the counters so far.
func (s *Sensor) Stats() Stats {
	st := Stats{Seeded: s.seeded.Load(), Repeated: s.repeated.Load(), Unidentified: s.content.missed.Load(), Unrecorded: s.boxes.missed.Load()}
	if s.final != nil {
		st.Sent, st.Lost = s.final.Sent, s.final.Lost
	} else if s.coll != nil {
		for kind := kindExec; kind < nKinds; kind++ {
			var cpus []struct{ Sent, Lost uint64 }
			if s.coll.Maps["counts"].Lookup(uint32(kind), &cpus) != nil {
				continue
			}
			for _, c := range cpus {
				*st.Sent.of(kind) += int64(c.Sent)
				*st.Lost.of(kind) += int64(c.Lost)
			}
		}
	}
	for kind := kindExec; kind < nKinds; kind++ {
		*st.Received.of(kind) = s.received[kind].Load()
	}
	return st
}

func (k *KindStats) of(kind int) *int64 {
	return [...]*int64{kindExec: &k.Exec, kindFork: &k.Fork, kindExit: &k.Exit, kindConnect: &k.Connect}[kind]
}

func (s *Sensor) detach() {
	s.loose.Do(func() {
		for _, l := range s.links {
			l.Close()
		}
	})
}

// Close detaches the programs. A Run that is under way ends.
func (s *Sensor) Close() error {
	s.detach()
	if s.coll != nil {
		st := s.Stats()
		s.final = &st
		s.coll.Close()
	}
	if s.ring != nil {
		return s.ring.Close()
	}
	return nil
}
