package sink

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/internal/own"
)

const (
	batchBytes = 1 << 20
	cursorSize = 256
)

// A courier brings the log to one sink. Records before done are delivered, those
// before fetched are under way; Outbox.mu guards both and what is above run.
type courier struct {
	box    *Outbox
	name   string
	sink   Sink
	blocks bool // the sink gets building blocks
	wake   chan struct{}

	cursor  *os.File
	fresh   bool // there was no cursor
	done    uint64
	fetched uint64
	missing uint64    // of those under way: records that are not there
	last    time.Time // when that before done was appended, or the sink was new
	stats   SinkStats
	unsaved error // why the cursor could not be written

	// Of records that are given up the log was told up to told, at toldGone. It was not
	// told of those that are gone since.
	told     uint64
	toldGone time.Time
	gone     uint64

	// Only run uses these.
	seg    *segment
	file   *os.File // of seg
	offset int64    // in file
	logged time.Time
}

// place is what a cursor file holds, padded to be overwritten in one piece and
// without room on disk.
type place struct {
	Next uint64    `json:"next"` // number of the next record
	Last time.Time `json:"last"` // when the one before was appended
	Told uint64    `json:"told"` // the log knows of those before that were given up
}

func (c *courier) open(path string) (err error) {
	c.cursor, err = own.Open(path, os.O_RDWR, 0o600)
	if c.fresh = errors.Is(err, fs.ErrNotExist); c.fresh {
		c.cursor, err = own.Open(path, os.O_CREATE|os.O_RDWR, 0o600)
	}
	if err != nil {
		return err
	}
	b, err := io.ReadAll(io.LimitReader(c.cursor, cursorSize))
	if err != nil {
		return err
	}
	var p place
	if json.Unmarshal(b, &p) == nil && p.Next <= 1<<62 {
		c.done, c.last, c.told = p.Next, p.Last, p.Told
	}
	return nil
}

// save writes the cursor, over the old one: a full disk has room for that. What it
// misses is delivered twice, so an error is no more than that. It is told once, and
// tried again.
func (c *courier) save() {
	b, _ := json.Marshal(place{c.done, c.last, c.told})
	b = append(b, bytes.Repeat([]byte{' '}, cursorSize-1-len(b))...)
	_, err := c.cursor.WriteAt(append(b, '\n'), 0)
	if err != nil && c.unsaved == nil {
		c.box.o.Log.Error("outbox: write a cursor: what a sink gets now comes again after the end", "sink", c.name, "err", err)
	}
	c.unsaved = err
}

func (c *courier) close() error {
	if c.file != nil {
		c.file.Close()
	}
	if c.unsaved != nil {
		c.save()
	}
	if c.unsaved != nil {
		c.unsaved = fmt.Errorf("what %s has got comes again: %w", c.name, c.unsaved)
	}
	return errors.Join(c.sink.Close(), c.unsaved, c.cursor.Sync(), c.cursor.Close())
}

// rouse tells run that there is something new.
func (c *courier) rouse() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// An item is a record on its way, or an alert about those that are not there.
type item struct {
	record
	alert   *alert.Alert // nil if the record is no alert
	missing uint64       // it stands for so many
	passed  bool         // it is not for the sink
}

// run delivers until soft ends and then what is left, once; all waiting ends with hard.
func (c *courier) run(soft, hard context.Context) {
	for hard.Err() == nil {
		items := c.fetch()
		if len(items) == 0 {
			if soft.Err() != nil {
				return
			}
			select {
			case <-c.wake:
			case <-soft.Done():
			}
			continue
		}
		if !c.deliver(soft, hard, items) {
			c.putBack()
			return
		}
	}
}

// fetch takes what comes next out of the log.
func (c *courier) fetch() []item {
	b := c.box
	b.mu.Lock()
	defer b.mu.Unlock()
	var recs []record
	for from := c.fetched; len(recs) == 0; {
		s := b.segmentAt(from)
		if s == nil {
			break
		}
		if err := c.enter(s); err != nil {
			b.o.Log.Error("outbox: a part of the log is skipped", "sink", c.name, "err", err)
			from = s.end
			continue
		}
		if c.offset >= s.size { // damaged: the rest is not there
			from = s.end
			continue
		}
		file, offset, limit := c.file, c.offset, s.size
		b.mu.Unlock()
		got, end, err := read(file, offset, limit, batchBytes)
		b.mu.Lock()
		if err != nil {
			b.o.Log.Error("outbox: a part of the log is skipped", "sink", c.name, "err", err)
			from = s.end
			continue
		}
		c.offset = end
		for _, r := range got {
			if r.number < c.fetched {
				continue
			}
			if n := len(recs); n > 0 && r.number != recs[n-1].number+1 {
				c.offset = offset // damaged: after the gap another time
				break
			}
			recs = append(recs, r)
		}
	}
	if len(recs) == 0 {
		size := 0
		for _, r := range b.tail {
			if r.number >= c.fetched && size < batchBytes {
				recs = append(recs, r)
				size += len(r.doc)
			}
		}
	}
	next := record{number: b.next, time: b.o.Clock.Now()}
	if len(recs) > 0 {
		next = recs[0]
	}
	var items []item
	if c.missing = next.number - c.fetched; c.missing > 0 {
		if from := max(c.fetched, c.told); from < next.number {
			b.o.Log.Error("outbox: alerts were given up", "sink", c.name, "alerts", next.number-from, "after", c.last, "before", next.time)
			c.gone, c.told = 0, next.number
			c.save()
		}
		c.stats.GivenUp += int64(c.missing)
		items = append(items, item{
			record:  record{number: next.number - 1, time: next.time},
			alert:   givenUp(c.name, b.o.Host, c.missing, next.number, c.last, next.time),
			missing: c.missing,
		})
	}
	for _, r := range recs {
		items = append(items, item{record: r})
	}
	if n := len(items); n > 0 {
		c.fetched = items[n-1].number + 1
	}
	return items
}

// enter opens the segment, if it is not open.
func (c *courier) enter(s *segment) error {
	if c.seg == s {
		return nil
	}
	c.leave()
	f, err := own.Open(s.path, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	c.seg, c.file = s, f
	return nil
}

// leave lets go of the segment that is read.
func (c *courier) leave() {
	if c.file != nil {
		c.file.Close()
	}
	c.seg, c.file, c.offset = nil, nil, 0
}

// putBack makes what is under way waiting again.
func (c *courier) putBack() {
	c.box.mu.Lock()
	defer c.box.mu.Unlock()
	c.stats.GivenUp -= int64(c.missing)
	c.fetched, c.missing = c.done, 0
	c.leave()
}

// deliver writes the items until the sink has all of them or says that it never
// will, and reports whether that was so before the end.
func (c *courier) deliver(soft, hard context.Context, items []item) bool {
	var alerts []*alert.Alert
	for i := range items {
		if items[i].alert == nil {
			a, err := alert.Parse(items[i].doc)
			if err != nil {
				c.box.letter(c.name, "", items[i].doc, err)
			}
			items[i].alert = a
		}
		if a := items[i].alert; a != nil {
			if items[i].passed = a.BuildingBlock && !c.blocks; !items[i].passed {
				alerts = append(alerts, a)
			}
		}
	}
	failures := 0
	for len(alerts) > 0 {
		err := c.sink.Write(hard, alerts)
		p := outcome(err, len(alerts))
		for _, r := range p.Refused {
			a := alerts[r.At]
			c.box.letter(c.name, a.ID, Document(a), r.Err)
		}
		rest := alerts[p.Done:]
		n := len(items)
		if len(rest) > 0 {
			n = slices.IndexFunc(items, func(it item) bool { return it.alert == rest[0] })
		}
		c.advance(items[:n], len(p.Refused), p.Err)
		items, alerts = items[n:], rest
		if p.Err == nil {
			continue
		}
		if p.Done > 0 {
			failures = 0
		}
		if soft.Err() != nil {
			return false
		}
		failures++
		c.complain(failures, p.Err)
		wait := max(backoff(failures, c.box.o.Rand()), min(p.WaitFor, mostPatience))
		select {
		case <-c.box.o.Clock.After(wait):
		case <-soft.Done():
			return false
		}
	}
	c.advance(items, 0, nil) // what was no alert, or none for it
	return true
}

// complain logs that the sink fails: at first, then once in a while.
func (c *courier) complain(failures int, err error) {
	if now := c.box.o.Clock.Now(); failures == 1 || now.Sub(c.logged) >= 5*time.Minute {
		c.logged = now
		c.box.o.Log.Warn("outbox: a sink fails, and is tried again", "sink", c.name, "err", err)
	}
}

// outcome is what an error of Write says about n alerts.
func outcome(err error, n int) *Partial {
	var p *Partial
	switch {
	case err == nil:
		return &Partial{Done: n}
	case !errors.As(err, &p):
		return &Partial{Err: err}
	}
	q := *p
	q.Done = min(max(q.Done, 0), n)
	q.Refused = nil
	for _, r := range p.Refused {
		if r.At >= 0 && r.At < q.Done {
			q.Refused = append(q.Refused, r)
		}
	}
	if q.Done < n && q.Err == nil {
		q.Err = errors.New("bug: the sink does not say why it wrote less")
	}
	return &q
}

// advance moves the cursor past the items, of which the sink has refused some, and
// those that are no alerts have been put aside.
func (c *courier) advance(items []item, refused int, failure error) {
	b := c.box
	b.mu.Lock()
	defer b.mu.Unlock()
	c.stats.Failing = ""
	if failure != nil {
		c.stats.Failing = failure.Error()
		c.stats.Failures++
	}
	if len(items) == 0 {
		return
	}
	delivered := int64(len(items) - refused)
	c.stats.Refused += int64(refused)
	for _, it := range items {
		switch {
		case it.passed:
			delivered--
		case it.missing > 0:
			c.missing = 0
			delivered--
		case it.alert == nil:
			c.stats.Refused++
			delivered--
		}
	}
	c.stats.Delivered += delivered
	last := items[len(items)-1]
	c.done, c.last = last.number+1, last.time
	c.save()
	if len(b.tail) > 0 || len(b.segs) > 0 && c.done >= b.segs[0].end {
		b.trim()
	}
}
