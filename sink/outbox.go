package sink

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/internal/config"
	"github.com/orlop/orlop/internal/own"
)

// OutboxOptions say where an outbox is and how much it keeps.
type OutboxOptions struct {
	MaxBytes int64         `yaml:"max_bytes" min:"65536" zero:"true" doc:"Most that is kept on disk for sinks that are behind, in bytes. 0 is the default."`
	MaxAge   time.Duration `yaml:"max_age" min:"1m" zero:"true" doc:"Longest that it is kept. 0 is the default."`
	Sync     bool          `yaml:"sync" doc:"Whether each alert waits for the disk; without it the disk is told once a second."`

	Dir  string `yaml:"-"` // is made if it is not there; no two outboxes share it
	Host string `yaml:"-"` // host.name of the alerts about those given up; "" is what the host calls itself

	Clock Clock          `yaml:"-"` // nil is the clock on the wall
	Rand  func() float64 `yaml:"-"` // in [0, 1), for the jitter of retries; nil is math/rand
	Log   *slog.Logger   `yaml:"-"` // nil is none
}

// DefaultOutbox is what options that are zero stand for.
func DefaultOutbox() OutboxOptions {
	return OutboxOptions{MaxBytes: 256 << 20, MaxAge: 72 * time.Hour}
}

// A Route is a sink and the name by which the outbox remembers how far it is: lower
// case letters, digits, dashes, underscores.
type Route struct {
	Name   string
	Sink   Sink
	Blocks bool // it gets building blocks, too
}

// ValidName reports whether a Route may have that name.
func ValidName(name string) bool {
	msg, _ := config.Wrong("sink", name)
	return msg == ""
}

// Check says which option is wrong, why, and what would be right; "" if none is.
func (o *OutboxOptions) Check() (key, msg, hint string) { return config.Check(o) }

const (
	memoryBytes = 8 << 20 // most that is kept in memory while the disk takes nothing
	housekeep   = time.Second
	drain       = 5 * time.Second
)

// An Outbox stands before all sinks. Append puts an alert into a log on disk; Run
// brings it to each sink, at least once and in order. A sink that is down holds up
// nobody else: each has its own place in the log.
//
// What survives: all that was appended survives the end of the process, however
// that comes. All but the last second survives that of the machine, or all of it
// with Sync. After either, a sink may get again what it got last.
//
// The log is bounded. When it is full or old, the oldest goes, and the sinks that
// had not got it get an alert instead that says how many there were. While the disk
// takes nothing, alerts are kept in memory, up to 8 MiB, and delivered from there;
// after that the oldest makes room.
//
// Its methods may be called from several goroutines.
type Outbox struct {
	o    OutboxOptions
	lock *os.File

	mu        sync.Mutex
	segs      []*segment // oldest first
	w         *os.File   // of the last segment, or nil: the next record begins one
	dirty     bool       // w has what the disk was not told of
	written   int        // how often something was written to w
	unsafe    uint64     // the disk may have lost records before it, for the reason in unsynced
	unsynced  error      // of the last sync that failed
	tail      []record   // comes after the segments, and is in memory only
	tailBytes int
	next      uint64 // number of the next record
	couriers  []*courier
	letters   letters
	stats     Stats // without Sinks
	ill       error // why the disk took nothing last time, or nil
	buf       []byte
	closed    bool
}

// Stats are an outbox's counters, since it was opened.
type Stats struct {
	Appended  int64       `json:"appended"`          // alerts that it took
	TooLong   int64       `json:"too_long"`          // alerts that it did not take, for their size
	Unwritten int64       `json:"unwritten"`         // alerts of Appended that the disk did not take at once
	Torn      int64       `json:"torn"`              // bytes of an unfinished record that were cut off when it was opened
	Bytes     int64       `json:"bytes"`             // now on disk
	Memory    int         `json:"memory"`            // alerts now in memory only, which some sink still waits for
	Failing   string      `json:"failing,omitempty"` // why the disk does not keep what it should; "" if it does
	Sinks     []SinkStats `json:"sinks"`
}

// SinkStats are the counters of one sink. All that was appended, and what had been
// waiting when the outbox was opened, is Delivered + Refused + GivenUp + Waiting, and the
// building blocks that were passed over.
type SinkStats struct {
	Name      string `json:"sink"`
	Delivered int64  `json:"delivered"`
	Refused   int64  `json:"refused"`           // moved to the dead letters
	GivenUp   int64  `json:"given_up"`          // dropped before they could be delivered
	Waiting   int64  `json:"waiting"`           // still to be delivered
	Failures  int64  `json:"failures"`          // Writes that did not deliver all
	Failing   string `json:"failing,omitempty"` // why the last Write failed; "" if it did not
}

// OpenOutbox opens the outbox for the routes, which it closes with itself. A route
// that it does not know begins with what is appended from now on; one that is no
// longer there is forgotten, with what it had not got.
func OpenOutbox(o OutboxOptions, routes ...Route) (*Outbox, error) {
	if o.Dir == "" {
		return nil, errors.New("outbox: no folder")
	}
	if _, msg, _ := o.Check(); msg != "" {
		return nil, errors.New("outbox: " + msg)
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultOutbox().MaxBytes
	}
	if o.MaxAge == 0 {
		o.MaxAge = DefaultOutbox().MaxAge
	}
	if o.Clock == nil {
		o.Clock = wallClock{}
	}
	if o.Rand == nil {
		o.Rand = rand.Float64
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Host == "" {
		o.Host, _ = os.Hostname()
	}
	b := &Outbox{o: o, next: 1}
	if err := b.open(routes); err != nil {
		if b.lock != nil {
			b.lock.Close()
		}
		for _, c := range b.couriers {
			c.cursor.Close()
		}
		return nil, fmt.Errorf("outbox: %w", err)
	}
	return b, nil
}

func (b *Outbox) open(routes []Route) (err error) {
	if err := os.MkdirAll(b.o.Dir, 0o700); err != nil {
		return err
	}
	if b.lock, err = lockDir(b.o.Dir); err != nil {
		return err
	}
	if b.segs, b.stats.Torn, err = openSegments(b.o.Dir); err != nil {
		return err
	}
	if b.stats.Torn > 0 {
		b.o.Log.Warn("outbox: an unfinished record was cut off", "bytes", b.stats.Torn)
	}
	if n := len(b.segs); n > 0 {
		b.next = b.segs[n-1].end
	}
	b.letters.path = filepath.Join(b.o.Dir, "dead-letter.ndjson")
	known := map[string]bool{}
	for _, r := range routes {
		if !ValidName(r.Name) {
			return fmt.Errorf("sink %q: expected a name of lower case letters, digits, dashes and underscores", r.Name)
		}
		if known[r.Name] {
			return fmt.Errorf("sink %q: there are two of that name", r.Name)
		}
		known[r.Name] = true
		c := &courier{box: b, name: r.Name, sink: r.Sink, blocks: r.Blocks, wake: make(chan struct{}, 1)}
		if err := c.open(b.cursorPath(r.Name)); err != nil {
			return err
		}
		b.couriers = append(b.couriers, c)
	}
	// What a sink has got was numbered, even if the machine's end took it from the log.
	for _, c := range b.couriers {
		b.next = max(b.next, c.done)
	}
	for _, c := range b.couriers {
		switch {
		case c.fresh:
			c.done, c.last = b.next, b.o.Clock.Now()
			c.save()
		case c.done == 0: // unreadable
			c.done, c.last = b.oldest(), b.o.Clock.Now()
			if len(b.segs) > 0 && !b.segs[0].began.IsZero() {
				c.last = b.segs[0].began
			}
			c.save()
			b.o.Log.Warn("outbox: the cursor was unreadable: all that is kept is delivered again", "sink", c.name)
		}
		c.fetched, c.told = c.done, min(c.told, b.next)
	}
	cursors, err := filepath.Glob(b.cursorPath("*"))
	if err != nil {
		return err
	}
	for _, path := range cursors {
		name := filepath.Base(path)
		name = name[:len(name)-len(".cursor")]
		if known[name] {
			continue
		}
		b.o.Log.Warn("outbox: a sink is gone: what it had not got is forgotten", "sink", name)
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	b.trim()
	return nil
}

func (b *Outbox) cursorPath(name string) string { return filepath.Join(b.o.Dir, name+".cursor") }

// segmentBytes is how large a segment grows: as much as is given up at once.
func (b *Outbox) segmentBytes() int64 { return min(max(b.o.MaxBytes/16, 4<<10), 16<<20) }

// oldest is the number of the oldest record that is kept.
func (b *Outbox) oldest() uint64 {
	switch {
	case len(b.segs) > 0:
		return b.segs[0].first
	case len(b.tail) > 0:
		return b.tail[0].number
	}
	return b.next
}

// segmentAt is the first segment that has, or had, records from that number on.
func (b *Outbox) segmentAt(number uint64) *segment {
	for _, s := range b.segs {
		if s.end > number {
			return s
		}
	}
	return nil
}

// ErrTooLong is wrapped by the error of an Append whose alert is too long for the log.
// It is not kept, and would not be another time.
var ErrTooLong = errors.New("the alert is too long")

// Append takes an alert. It waits for no sink. An error says that the alert is not
// on disk, and why. Unless it is ErrTooLong, or the outbox is closed, the alert is in
// memory and will be delivered if the process lives: there is nothing to do but not to
// count on it after a kill.
func (b *Outbox) Append(a *alert.Alert) error {
	doc := Document(a)
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return errors.New("outbox: append: closed")
	case len(doc) == 0:
		return errors.New("outbox: append: an alert without a document")
	case len(doc) > maxRecord || int64(len(doc)) > b.o.MaxBytes/2:
		b.stats.TooLong++
		b.o.Log.Error("outbox: an alert is too long to be kept", "alert", a.ID, "bytes", len(doc))
		return fmt.Errorf("outbox: append: %w: %d bytes", ErrTooLong, len(doc))
	}
	b.stats.Appended++
	b.tail = append(b.tail, record{number: b.next, time: b.o.Clock.Now(), doc: doc})
	b.tailBytes += len(doc)
	b.next++
	err := b.flush()
	if err == nil && b.o.Sync {
		err = b.sync()
	}
	if len(b.tail) > 0 {
		b.stats.Unwritten++
	}
	b.trim()
	for _, c := range b.couriers {
		c.rouse()
	}
	if err != nil {
		return fmt.Errorf("outbox: append: %w", err)
	}
	return nil
}

// Blocks reports whether a sink gets building blocks.
func (b *Outbox) Blocks() bool {
	return slices.ContainsFunc(b.couriers, func(c *courier) bool { return c.blocks })
}

// flush brings what is in memory to disk.
func (b *Outbox) flush() error {
	for len(b.tail) > 0 {
		if err := b.write(b.tail[0]); err != nil {
			if b.ill == nil {
				b.o.Log.Error("outbox: the disk takes nothing: alerts are kept in memory", "err", err)
			}
			b.ill = err
			return err
		}
		b.dropOldest()
	}
	b.tail = nil
	if b.ill != nil {
		b.o.Log.Info("outbox: the disk takes alerts again")
	}
	b.ill = nil
	return nil
}

// got is the number before which all sinks have all.
func (b *Outbox) got() uint64 {
	got := b.next
	for _, c := range b.couriers {
		got = min(got, c.done)
	}
	return got
}

// missed is how many alerts are in memory only that some sink has not got.
func (b *Outbox) missed() int {
	if n := len(b.tail); n > 0 {
		return n - int(min(max(b.got(), b.tail[0].number)-b.tail[0].number, uint64(n)))
	}
	return 0
}

func (b *Outbox) write(r record) error {
	var s *segment
	if n := len(b.segs); n > 0 {
		s = b.segs[n-1]
	}
	if s == nil || s.end != r.number || s.size >= b.segmentBytes() || r.time.Sub(s.began) > b.o.MaxAge/16 {
		if err := b.seal(); err != nil {
			return err
		}
		s = &segment{path: segmentPath(b.o.Dir, r.number), first: r.number, end: r.number, began: r.time}
	}
	if b.w == nil {
		f, err := own.Open(s.path, os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		b.w = f
		if s.end == s.first {
			syncDir(b.o.Dir)
		}
	}
	b.buf = r.append(b.buf[:0])
	_, err := b.w.WriteAt(b.buf, s.size)
	if cap(b.buf) > 1<<20 {
		b.buf = nil
	}
	if err != nil {
		// What was written of it is overwritten by the next, or cut off.
		b.w.Truncate(s.size)
		if s.end == s.first {
			b.w.Close()
			b.w = nil
			os.Remove(s.path)
		}
		return err
	}
	b.dirty = true
	b.written++
	if s.end == s.first {
		b.segs = append(b.segs, s)
	}
	s.size += int64(r.size())
	s.end = r.number + 1
	return nil
}

// seal ends the segment that is written to.
func (b *Outbox) seal() error {
	if b.w == nil {
		return nil
	}
	err := b.sync()
	b.w.Close()
	b.w = nil
	return err
}

func (b *Outbox) sync() error {
	if !b.dirty {
		return nil
	}
	b.dirty = false // once: after an error the kernel has forgotten
	return b.doubt(b.w.Sync())
}

// doubt notes that a sync has failed: it says so once, to whoever asks first, and what
// it did not write may be gone.
func (b *Outbox) doubt(err error) error {
	if err != nil {
		b.unsafe, b.unsynced = b.next, err
	}
	return err
}

// doubtful is why records that somebody still waits for may not be on disk.
func (b *Outbox) doubtful() error {
	for _, c := range b.couriers {
		if max(c.done, b.oldest()) < b.unsafe {
			return b.unsynced
		}
	}
	return nil
}

// settle is sync while others append: a disk can take seconds.
func (b *Outbox) settle() error {
	if !b.dirty {
		return nil
	}
	f, written := b.w, b.written
	b.mu.Unlock()
	err := f.Sync()
	b.mu.Lock()
	switch {
	case errors.Is(err, os.ErrClosed): // seal has done it, or noted that it did not
		return nil
	case f == b.w && (err != nil || written == b.written):
		b.dirty = false
	}
	return b.doubt(err)
}

// trim removes what nobody waits for any more, and what is too much or too old.
func (b *Outbox) trim() {
	for b.trimSegment() {
	}
	// The last that all have got stays: once it is written the disk takes alerts again.
	for got := b.got(); len(b.tail) > 1 && b.tail[0].number < got; {
		b.dropOldest()
	}
	for b.tailBytes > memoryBytes {
		if len(b.segs) > 1 && b.removeOldest("the disk is full") {
			b.flush() // an error has been logged
			continue
		}
		n := b.tail[0].number
		b.dropOldest()
		b.giveUp(n, n+1, "memory is full")
	}
}

// dropOldest lets go of the oldest that is in memory.
func (b *Outbox) dropOldest() {
	b.tailBytes -= len(b.tail[0].doc)
	b.tail[0].doc = nil
	b.tail = b.tail[1:]
}

// trimSegment removes the oldest segment, if it has to go.
func (b *Outbox) trimSegment() bool {
	if len(b.segs) == 0 {
		return false
	}
	got := b.got()
	var bytes int64
	for _, s := range b.segs {
		bytes += s.size
	}
	s, last := b.segs[0], len(b.segs) == 1
	// When its last record, or one after it, was appended.
	newest := s.began
	if last {
		newest = newest.Add(b.o.MaxAge / 16)
	} else {
		newest = b.segs[1].began
	}
	var why string
	switch {
	case s.end <= got:
		if last && b.w != nil && s.size < b.segmentBytes() {
			return false // it goes on
		}
	case !last && bytes > b.o.MaxBytes:
		why = "it is full"
	case !s.began.IsZero() && !newest.IsZero() && b.o.Clock.Now().Sub(newest) > b.o.MaxAge:
		why = "they are too old"
	default:
		return false
	}
	return b.removeOldest(why)
}

// removeOldest removes the oldest segment; why, if somebody still waits for it.
func (b *Outbox) removeOldest(why string) bool {
	s := b.segs[0]
	if len(b.segs) == 1 {
		b.seal()
	}
	if err := os.Remove(s.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		b.o.Log.Error("outbox: remove", "err", err)
		return false
	}
	b.segs = b.segs[1:]
	if why != "" {
		b.giveUp(s.first, s.end, why)
	}
	return true
}

// giveUp says that records are gone, to those that are behind and to the log: once a
// minute at most, for a full outbox gives some up for each that comes.
func (b *Outbox) giveUp(first, end uint64, why string) {
	now := b.o.Clock.Now()
	for _, c := range b.couriers {
		if from := max(first, c.fetched, c.told); from < end {
			c.gone += end - from
			if c.toldGone.IsZero() || now.Sub(c.toldGone).Abs() >= time.Minute {
				b.o.Log.Error("outbox: alerts are given up: "+why, "sink", c.name, "alerts", c.gone)
				c.gone, c.toldGone, c.told = 0, now, end
				c.save()
			}
		}
		c.rouse()
	}
}

// Run delivers until ctx ends. Then each sink that works has five seconds to take
// what is left; the rest waits on disk for the next Run.
func (b *Outbox) Run(ctx context.Context) error {
	hard, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var wg sync.WaitGroup
	for _, c := range b.couriers {
		wg.Go(func() { c.run(ctx, hard) })
	}
	wg.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-b.o.Clock.After(housekeep):
				b.keep()
			}
		}
	})
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	<-ctx.Done()
	select {
	case <-done:
	case <-b.o.Clock.After(drain):
		cancel()
		<-done
	}
	b.keep()
	return nil
}

// Sync returns when all that was appended and is still to be delivered is on disk, to
// stay there whatever comes, or says why it is not. Once the disk has failed to write
// something, Sync does so until all sinks have got that.
func (b *Outbox) Sync() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return errors.New("outbox: sync: closed")
	}
	err := b.flush()
	if b.missed() == 0 {
		err = b.settle()
	}
	if err == nil {
		err = b.doubtful()
	}
	if err != nil {
		return fmt.Errorf("outbox: sync: %w", err)
	}
	return nil
}

// keep does what is to be done once in a while.
func (b *Outbox) keep() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	b.flush() // an error has been logged
	if err := b.settle(); err != nil {
		b.o.Log.Error("outbox: sync", "err", err)
	}
	for _, c := range b.couriers {
		if c.unsaved != nil && !b.closed {
			c.save()
		}
	}
	if !b.closed {
		b.trim()
	}
}

// Stats returns the counters.
func (b *Outbox) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	st := b.stats
	for _, s := range b.segs {
		st.Bytes += s.size
	}
	st.Memory = b.missed()
	switch err := b.doubtful(); {
	case b.ill != nil:
		st.Failing = b.ill.Error()
	case err != nil:
		st.Failing = err.Error()
	default:
		for _, c := range b.couriers {
			if c.unsaved != nil {
				st.Failing = c.unsaved.Error()
			}
		}
	}
	for _, c := range b.couriers {
		s := c.stats
		s.Name = c.name
		behind := max(c.fetched, b.oldest())
		s.GivenUp += int64(behind - c.fetched) // and has not been told yet
		s.Waiting = int64(b.next-behind) + int64(c.fetched-c.done) - int64(c.missing)
		st.Sinks = append(st.Sinks, s)
	}
	return st
}

// Close closes the outbox and its sinks. Run must have returned.
func (b *Outbox) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	b.closed = true
	var errs []error
	if err := b.flush(); b.missed() > 0 {
		b.o.Log.Error("outbox: alerts are lost: the disk did not take them", "alerts", b.missed())
		errs = append(errs, fmt.Errorf("%d alerts are lost, which not all sinks had got: %w", b.missed(), err))
	}
	errs = append(errs, b.seal())
	for _, c := range b.couriers {
		errs = append(errs, c.close())
	}
	errs = append(errs, b.letters.close(), b.lock.Close())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("outbox: close: %w", err)
	}
	return nil
}

// syncDir makes a new name in a folder last. Not every file system can.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		d.Sync()
		d.Close()
	}
}
