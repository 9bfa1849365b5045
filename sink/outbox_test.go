package sink_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/sink"
	"github.com/orlop/orlop/sink/sinktest"
)

// small is an alert that is not much more than its ID.
func small(t fataler, id string) *alert.Alert {
	a, err := alert.Parse(fmt.Appendf(nil, `{"kibana.alert.uuid":%q,"kibana.alert.rule.rule_id":"r","kibana.alert.rule.name":"n"}`, id))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

type fataler interface{ Fatal(...any) }

// A memory is a sink that keeps the IDs it took, and answers as it is told.
type memory struct {
	mu     sync.Mutex
	got    []string
	answer func(alerts []*alert.Alert) error // nil takes all
	closed int
}

func (m *memory) Write(ctx context.Context, alerts []*alert.Alert) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.answer == nil {
		m.got = append(m.got, names(alerts)...)
		return nil
	}
	err := m.answer(alerts)
	var p *sink.Partial
	if errors.As(err, &p) {
		m.got = append(m.got, names(alerts[:p.Done])...)
	} else if err == nil {
		m.got = append(m.got, names(alerts)...)
	}
	return err
}

func (m *memory) Close() error { m.closed++; return nil }

func (m *memory) list() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.got)
}

// names are the IDs, and for the alert about those given up how many they were.
func names(alerts []*alert.Alert) []string {
	var all []string
	for _, a := range alerts {
		if a.RuleID == sink.GivenUpRule {
			all = append(all, "gave up "+sink.Texts(sink.Document(a), "orlop.outbox.given_up")[0])
			continue
		}
		all = append(all, a.ID)
	}
	return all
}

func openBox(t testing.TB, o sink.OutboxOptions, routes ...sink.Route) *sink.Outbox {
	t.Helper()
	if o.Clock == nil {
		o.Clock = sinktest.NewClock()
	}
	box, err := sink.OpenOutbox(o, routes...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { box.Close() })
	return box
}

func add(t testing.TB, box *sink.Outbox, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if err := box.Append(small(t, id)); err != nil {
			t.Fatal(err)
		}
	}
}

// deliver lets each sink have what is there, until it fails.
func deliver(box *sink.Outbox) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	box.Run(ctx)
}

func want(t *testing.T, got []string, want ...string) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("want -, got +:\n%s", d)
	}
}

var errDown = errors.New("down")

func down([]*alert.Alert) error { return errDown }

func TestADeadSinkHoldsUpNobody(t *testing.T) {
	good := &memory{}
	enough := make(chan struct{})
	good.answer = func(alerts []*alert.Alert) error {
		if slices.Contains(names(alerts), "last") {
			close(enough)
		}
		return nil
	}
	clock := sinktest.NewClock()
	box := openBox(t, sink.OutboxOptions{Dir: t.TempDir(), Clock: clock},
		sink.Route{Name: "hung", Sink: hung{}}, sink.Route{Name: "down", Sink: &memory{answer: down}}, sink.Route{Name: "good", Sink: good})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- box.Run(ctx) }()
	for i := range 1000 {
		add(t, box, fmt.Sprint(i))
	}
	add(t, box, "last")
	<-enough
	if n := len(good.list()); n > 1001 {
		t.Errorf("got %d alerts, want 1001", n)
	}
	cancel()
	// The one that hangs has until the drain ends.
	clock.Await(func(d time.Duration) bool { return d == 5*time.Second })
	clock.Advance(5 * time.Second)
	if err := <-done; err != nil {
		t.Error(err)
	}
	for _, s := range box.Stats().Sinks {
		delivered, waiting := int64(0), int64(1001)
		if s.Name == "good" {
			delivered, waiting = 1001, 0
		}
		if s.Delivered != delivered || s.Waiting != waiting || s.GivenUp != 0 {
			t.Errorf("%+v, want %d delivered and %d waiting", s, delivered, waiting)
		}
	}
}

type hung struct{}

func (hung) Write(ctx context.Context, _ []*alert.Alert) error { <-ctx.Done(); return ctx.Err() }
func (hung) Close() error                                      { return nil }

func TestWhatWaitsSurvives(t *testing.T) {
	dir := t.TempDir()
	m := &memory{answer: down}
	box := openBox(t, sink.OutboxOptions{Dir: dir}, sink.Route{Name: "m", Sink: m})
	add(t, box, "a", "b", "c")
	deliver(box)
	if err := box.Close(); err != nil {
		t.Fatal(err)
	}
	if m.closed != 1 {
		t.Errorf("the sink was closed %d times", m.closed)
	}
	if err := box.Append(small(t, "x")); err == nil || err.Error() != "outbox: append: closed" {
		t.Errorf("append after close: %v", err)
	}

	m = &memory{answer: func(alerts []*alert.Alert) error { return &sink.Partial{Done: 1, Err: errDown} }}
	box = openBox(t, sink.OutboxOptions{Dir: dir}, sink.Route{Name: "m", Sink: m})
	deliver(box)
	want(t, m.got, "a")
	box.Close()

	m = &memory{}
	box = openBox(t, sink.OutboxOptions{Dir: dir}, sink.Route{Name: "m", Sink: m})
	add(t, box, "d")
	deliver(box)
	want(t, m.got, "b", "c", "d")
	deliver(box)
	want(t, m.got, "b", "c", "d")
}

func TestSinksComeAndGo(t *testing.T) {
	dir := t.TempDir()
	a, b := &memory{answer: down}, &memory{answer: down}
	box := openBox(t, sink.OutboxOptions{Dir: dir}, sink.Route{Name: "a", Sink: a}, sink.Route{Name: "b", Sink: b})
	add(t, box, "1")
	box.Close()

	// A new one begins now; one that is gone is forgotten.
	a, c := &memory{}, &memory{}
	box = openBox(t, sink.OutboxOptions{Dir: dir}, sink.Route{Name: "a", Sink: a}, sink.Route{Name: "c", Sink: c})
	add(t, box, "2")
	deliver(box)
	want(t, a.got, "1", "2")
	want(t, c.got, "2")
	box.Close()

	b = &memory{}
	box = openBox(t, sink.OutboxOptions{Dir: dir}, sink.Route{Name: "b", Sink: b})
	add(t, box, "3")
	deliver(box)
	want(t, b.got, "3")
	box.Close()

	// A cursor that cannot be read delivers again what there is.
	b = &memory{answer: down}
	box = openBox(t, sink.OutboxOptions{Dir: dir}, sink.Route{Name: "b", Sink: b}, sink.Route{Name: "slow", Sink: &memory{answer: down}})
	add(t, box, "4", "5")
	b.answer = nil
	deliver(box)
	box.Close()
	if err := os.WriteFile(filepath.Join(dir, "b.cursor"), []byte("{\"next\":"), 0o600); err != nil {
		t.Fatal(err)
	}
	b = &memory{}
	box = openBox(t, sink.OutboxOptions{Dir: dir}, sink.Route{Name: "b", Sink: b})
	deliver(box)
	if len(b.got) < 2 || !slices.Equal(b.got[len(b.got)-2:], []string{"4", "5"}) {
		t.Errorf("got %q, want 4 and 5 at the end", b.got)
	}
}

func TestOpenRefuses(t *testing.T) {
	f := func(want string, o sink.OutboxOptions, routes ...sink.Route) {
		t.Helper()
		box, err := sink.OpenOutbox(o, routes...)
		if err == nil {
			box.Close()
			t.Errorf("no error, want %s", want)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("got %q, want %q", err, want)
		}
	}
	dir := t.TempDir()
	f("no folder", sink.OutboxOptions{})
	f("max_bytes: expected at least 65536", sink.OutboxOptions{Dir: dir, MaxBytes: 100})
	f("max_age: expected at least 1m", sink.OutboxOptions{Dir: dir, MaxAge: 1})
	f(`sink "../x": expected a name`, sink.OutboxOptions{Dir: dir}, sink.Route{Name: "../x"})
	f(`sink "x": there are two`, sink.OutboxOptions{Dir: dir}, sink.Route{Name: "x", Sink: &memory{}}, sink.Route{Name: "x", Sink: &memory{}})
	openBox(t, sink.OutboxOptions{Dir: dir})
	f("is in use by another process", sink.OutboxOptions{Dir: dir})
}

// A full outbox gives up the oldest, for the sink that is behind and no other, and
// tells that sink how many.
func TestFull(t *testing.T) {
	dir := t.TempDir()
	var log bytes.Buffer
	slow, fast := &memory{answer: down}, &memory{}
	o := sink.OutboxOptions{Dir: dir, MaxBytes: 64 << 10, Log: slog.New(slog.NewTextHandler(&log, nil))}
	box := openBox(t, o, sink.Route{Name: "slow", Sink: slow}, sink.Route{Name: "fast", Sink: fast})
	add(t, box, "first")
	slow.answer = nil
	deliver(box)
	slow.answer = down
	const n = 3000
	var all []string
	for i := range n {
		add(t, box, fmt.Sprint(i))
		all = append(all, fmt.Sprint(i))
		if i%100 == 0 {
			deliver(box)
		}
	}
	deliver(box)
	want(t, fast.got, append([]string{"first"}, all...)...)
	if size := folder(t, dir, "*.log"); size > o.MaxBytes {
		t.Errorf("%d bytes on disk, want at most %d", size, o.MaxBytes)
	}
	st := box.Stats().Sinks[0]
	if st.GivenUp == 0 || st.GivenUp+st.Waiting+st.Delivered != n+1 {
		t.Errorf("%+v: does not sum up to %d", st, n+1)
	}
	if strings.Count(log.String(), `msg="outbox: alerts are given up: it is full" sink=slow`) != 1 || strings.Contains(log.String(), "sink=fast") {
		t.Errorf("the log says\n%s", log.String())
	}

	// It is told after a restart as well.
	box.Close()
	slow = &memory{}
	box = openBox(t, o, sink.Route{Name: "slow", Sink: slow}, sink.Route{Name: "fast", Sink: fast})
	deliver(box)
	want(t, slow.got, append([]string{fmt.Sprint("gave up ", st.GivenUp)}, all[st.GivenUp:]...)...)
	after := box.Stats().Sinks[0]
	if after.GivenUp != st.GivenUp || after.Delivered != st.Waiting || after.Waiting != 0 {
		t.Errorf("%+v, want %d given up and %d delivered", after, st.GivenUp, st.Waiting)
	}
}

// What is given up is logged once, however often the outbox is opened before the sink
// hears of it, and with the time that the sink is behind since.
func TestGivenUpIsLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	clock := sinktest.NewClock()
	began := clock.Now()
	m := &memory{answer: down}
	o := sink.OutboxOptions{Dir: t.TempDir(), MaxBytes: 64 << 10, Clock: clock, Log: slog.New(slog.NewTextHandler(&log, nil))}
	given := func() (n int) {
		t.Helper()
		for line := range strings.Lines(log.String()) {
			_, rest, ok := strings.Cut(line, " alerts=")
			if !ok || !strings.Contains(line, "given up") {
				continue
			}
			if strings.Contains(line, "0001-01-01") {
				t.Errorf("a time that is none: %s", line)
			}
			count, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
			k, err := strconv.Atoi(count)
			if err != nil {
				t.Fatal(err)
			}
			n += k
		}
		return n
	}
	// This one is new, and has never got anything.
	box := openBox(t, o, sink.Route{Name: "m", Sink: m})
	id := 0
	more := func() {
		clock.Advance(time.Second)
		for range 2000 {
			add(t, box, fmt.Sprint(id))
			id++
		}
	}
	more()
	for range 3 {
		deliver(box)
		st := box.Stats().Sinks[0]
		if n := given(); st.GivenUp == 0 || n != int(st.GivenUp) {
			t.Errorf("%d are logged as given up, want %d:\n%s", n, st.GivenUp, log.String())
		}
		box.Close()
		box = openBox(t, o, sink.Route{Name: "m", Sink: m})
	}
	more()
	deliver(box)
	var told *alert.Alert
	m.answer = func(alerts []*alert.Alert) error {
		if told == nil {
			told = alerts[0]
		}
		return nil
	}
	deliver(box)
	if st := box.Stats().Sinks[0]; st.Waiting != 0 || given() != int(st.GivenUp) {
		t.Errorf("%d are logged as given up: %+v", given(), st)
	}
	after := sink.Texts(sink.Document(told), "orlop.outbox.after")
	if want := began.Format("2006-01-02T15:04:05.000Z"); len(after) != 1 || after[0] != want {
		t.Errorf("given up after %q, want %s", after, want)
	}
}

// A sink whose cursor was never written is known all the same: it gets what is kept.
func TestEmptyCursor(t *testing.T) {
	dir := t.TempDir()
	box := openBox(t, sink.OutboxOptions{Dir: dir}, sink.Route{Name: "m", Sink: &memory{answer: down}})
	add(t, box, "a", "b")
	box.Close()
	if err := os.Truncate(filepath.Join(dir, "m.cursor"), 0); err != nil {
		t.Fatal(err)
	}
	m := &memory{}
	box = openBox(t, sink.OutboxOptions{Dir: dir}, sink.Route{Name: "m", Sink: m})
	deliver(box)
	want(t, m.got, "a", "b")
}

// The alert about those given up is of the host that the outbox is told.
func TestGivenUpNamesTheHost(t *testing.T) {
	var hosts []string
	m := &memory{answer: func(alerts []*alert.Alert) error {
		for _, a := range alerts {
			if a.RuleID == sink.GivenUpRule {
				hosts = append(hosts, sink.Texts(sink.Document(a), "host.name")...)
			}
		}
		return nil
	}}
	box := openBox(t, sink.OutboxOptions{Dir: t.TempDir(), MaxBytes: 64 << 10, Host: "worker-1"}, sink.Route{Name: "m", Sink: m})
	for i := range 2000 {
		add(t, box, fmt.Sprint(i))
	}
	deliver(box)
	want(t, hosts, "worker-1")
}

// What a sink has in its hands when its part of the log goes is still delivered.
func TestGivenUpInHand(t *testing.T) {
	slow := &memory{}
	o := sink.OutboxOptions{Dir: t.TempDir(), MaxBytes: 64 << 10}
	box := openBox(t, o, sink.Route{Name: "slow", Sink: slow})
	i := 0
	slow.answer = func(alerts []*alert.Alert) error {
		if i == 1 {
			for ; i < 2000; i++ {
				add(t, box, fmt.Sprint(i))
			}
		}
		return nil
	}
	add(t, box, "0")
	i = 1
	deliver(box)
	if slow.got[0] != "0" || !strings.HasPrefix(slow.got[1], "gave up ") || slow.got[len(slow.got)-1] != "1999" {
		t.Errorf("got %q … %q", slow.got[:2], slow.got[len(slow.got)-1])
	}
	lost, _ := strconv.Atoi(slow.got[1][len("gave up "):])
	if want := 2000 - lost + 1; len(slow.got) != want {
		t.Errorf("got %d, want %d", len(slow.got), want)
	}
}

func TestOld(t *testing.T) {
	clock := sinktest.NewClock()
	slow := &memory{answer: down}
	box := openBox(t, sink.OutboxOptions{Dir: t.TempDir(), MaxAge: 16 * time.Hour, Clock: clock}, sink.Route{Name: "slow", Sink: slow})
	for i := range 40 {
		add(t, box, fmt.Sprint(i))
		clock.Advance(time.Hour)
	}
	deliver(box)
	slow.answer = nil
	deliver(box)
	if len(slow.got) < 16 || len(slow.got) > 19 || slow.got[len(slow.got)-1] != "39" {
		t.Fatalf("got %q", slow.got)
	}
	first, _ := strconv.Atoi(slow.got[1])
	if want := fmt.Sprint("gave up ", first); slow.got[0] != want {
		t.Errorf("got %q, want %q", slow.got[0], want)
	}

	// All of it is old: the sink is told with nothing coming after.
	slow.answer, slow.got = down, nil
	add(t, box, "x", "y")
	clock.Advance(18 * time.Hour)
	deliver(box)
	slow.answer = nil
	deliver(box)
	want(t, slow.got, "gave up 2")
	if st := box.Stats(); st.Bytes != 0 || st.Sinks[0].Waiting != 0 {
		t.Errorf("%+v", st)
	}
}

// Wherever the last record is torn, those before it are there and the next fits on.
func TestTorn(t *testing.T) {
	dir := t.TempDir()
	o := sink.OutboxOptions{Dir: dir}
	box := openBox(t, o, sink.Route{Name: "m", Sink: &memory{answer: down}})
	add(t, box, "a", "b")
	two := folder(t, dir, "*.log")
	add(t, box, "c")
	box.Close()
	log := files(t, dir, "*.log")[0]
	whole, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	cursor, err := os.ReadFile(filepath.Join(dir, "m.cursor"))
	if err != nil {
		t.Fatal(err)
	}
	for size := two; size <= int64(len(whole)); size++ {
		if err := os.WriteFile(log, whole[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "m.cursor"), cursor, 0o600); err != nil {
			t.Fatal(err)
		}
		m := &memory{}
		box := openBox(t, o, sink.Route{Name: "m", Sink: m})
		torn := size - two
		list := []string{"a", "b", "d"}
		if size == int64(len(whole)) {
			torn, list = 0, []string{"a", "b", "c", "d"}
		}
		if got := box.Stats().Torn; got != torn {
			t.Errorf("cut to %d: %d bytes torn, want %d", size, got, torn)
		}
		add(t, box, "d")
		deliver(box)
		want(t, m.got, list...)
		box.Close()
	}
}

// Whatever byte is damaged, at most its record is missing, and the sink is told.
func TestDamaged(t *testing.T) {
	dir := t.TempDir()
	o := sink.OutboxOptions{Dir: dir}
	box := openBox(t, o, sink.Route{Name: "m", Sink: &memory{answer: down}})
	add(t, box, "a", "b", "c")
	box.Close()
	log := files(t, dir, "*.log")[0]
	whole, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	cursor, err := os.ReadFile(filepath.Join(dir, "m.cursor"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		b := slices.Clone(whole)
		b[i] ^= 0x55
		if err := os.WriteFile(log, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "m.cursor"), cursor, 0o600); err != nil {
			t.Fatal(err)
		}
		m := &memory{}
		box := openBox(t, o, sink.Route{Name: "m", Sink: m})
		deliver(box)
		switch i / (len(whole) / 3) {
		case 0:
			want(t, m.got, "gave up 1", "b", "c")
		case 1:
			want(t, m.got, "a", "gave up 1", "c")
		case 2: // cut off
			want(t, m.got, "a", "b")
		}
		box.Close()
	}
}

// A segment that is a folder, unreadable or empty costs what was in it.
func TestStrangeFiles(t *testing.T) {
	dir := t.TempDir()
	o := sink.OutboxOptions{Dir: dir, MaxBytes: 64 << 10}
	box := openBox(t, o, sink.Route{Name: "m", Sink: &memory{answer: down}})
	for i := range 200 {
		add(t, box, fmt.Sprint(i))
	}
	box.Close()
	logs := files(t, dir, "*.log")
	if len(logs) < 4 {
		t.Fatalf("%d segments, want 4", len(logs))
	}
	number := func(path string) int {
		n, _ := strconv.Atoi(strings.TrimSuffix(filepath.Base(path), ".log"))
		return n - 1
	}
	if err := os.Truncate(logs[1], 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(logs[2]); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"x.log", "0001.log", "notes.txt", "99999999999999999999.log"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m := &memory{}
	box = openBox(t, o, sink.Route{Name: "m", Sink: m})
	deliver(box)
	var list []string
	for i := range 200 {
		switch {
		case i == number(logs[1]):
			list = append(list, fmt.Sprint("gave up ", number(logs[3])-i))
		case i < number(logs[1]), i >= number(logs[3]):
			list = append(list, fmt.Sprint(i))
		}
	}
	want(t, m.got, list...)
}

// An alert that a sink never takes goes into the dead letters, and the rest goes on.
func TestRefused(t *testing.T) {
	dir := t.TempDir()
	m := &memory{}
	m.answer = func(alerts []*alert.Alert) error {
		p := &sink.Partial{Done: len(alerts)}
		for i, a := range alerts {
			if strings.HasPrefix(a.ID, "bad") {
				p.Refused = append(p.Refused, sink.Refusal{At: i, Err: errors.New("400: \"no\"\n")})
			}
		}
		return p
	}
	box := openBox(t, sink.OutboxOptions{Dir: dir}, sink.Route{Name: "m", Sink: m}, sink.Route{Name: "other", Sink: &memory{}})
	add(t, box, "a", "bad 1", "b", "bad 2")
	deliver(box)
	st := box.Stats()
	if s := st.Sinks[0]; s.Delivered != 2 || s.Refused != 2 || s.Waiting != 0 {
		t.Errorf("%+v", s)
	}
	if s := st.Sinks[1]; s.Delivered != 4 || s.Refused != 0 {
		t.Errorf("%+v", s)
	}
	data, err := os.ReadFile(filepath.Join(dir, "dead-letter.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	if len(lines) != 2 {
		t.Fatalf("dead letters:\n%s", data)
	}
	const first = `{"@timestamp":"2026-04-29T10:00:00Z","sink":"m","id":"bad 1","reason":"400: \"no\"\n",` +
		`"alert":{"kibana.alert.uuid":"bad 1","kibana.alert.rule.rule_id":"r","kibana.alert.rule.name":"n"}}`
	if lines[0] != first {
		t.Errorf("got  %s\nwant %s", lines[0], first)
	}
	if info, _ := os.Stat(filepath.Join(dir, "dead-letter.ndjson")); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
}

// Retries come later each time, and no sooner than the peer asks.
func TestRetries(t *testing.T) {
	clock := sinktest.NewClock()
	var asks time.Duration
	failed := make(chan struct{}, 1)
	m := &memory{answer: func([]*alert.Alert) error {
		failed <- struct{}{}
		return &sink.Partial{Err: errDown, WaitFor: asks}
	}}
	box := openBox(t, sink.OutboxOptions{Dir: t.TempDir(), Clock: clock, Rand: func() float64 { return 0.5 }}, sink.Route{Name: "m", Sink: m})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	add(t, box, "a")
	go func() { done <- box.Run(ctx) }()
	f := func(want time.Duration) {
		t.Helper()
		<-failed
		if got := clock.Await(func(d time.Duration) bool { return d != time.Second }); got != want {
			t.Errorf("waits for %v, want %v", got, want)
		}
	}
	for _, ms := range []int{750, 1500, 3000, 6000, 12000, 24000, 45000} {
		want := time.Duration(ms) * time.Millisecond
		f(want)
		if ms == 45000 {
			asks = 2 * time.Minute
		}
		clock.Advance(want)
	}
	f(2 * time.Minute)
	asks = 1000 * time.Hour
	clock.Advance(2 * time.Minute)
	f(15 * time.Minute)
	cancel()
	<-done
}

func TestTooLong(t *testing.T) {
	box := openBox(t, sink.OutboxOptions{Dir: t.TempDir(), MaxBytes: 64 << 10}, sink.Route{Name: "m", Sink: &memory{}})
	a := sinktest.Alert(t, "long", strings.Repeat("x", 32<<10))
	if err := box.Append(a); !errors.Is(err, sink.ErrTooLong) {
		t.Errorf("got %v", err)
	}
	if err := box.Append(&alert.Alert{ID: "x"}); err == nil || !strings.Contains(err.Error(), "without a document") {
		t.Errorf("got %v", err)
	}
	if st := box.Stats(); st.TooLong != 1 || st.Appended != 0 {
		t.Errorf("%+v", st)
	}
}

// A model of one outbox and its sinks, through restarts, failures and a bound.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir := quickDir(t)
		defer os.RemoveAll(dir)
		o := sink.OutboxOptions{Dir: dir, Clock: sinktest.NewClock(), MaxBytes: 64 << 10}
		// next is what the sink must get next; sums are for all times.
		type model struct {
			next, taken, refused, givenUp int
			wrong                         string
			chance                        *rand.Rand // of the sink alone, in its own goroutine
		}
		models := map[string]*model{}
		for _, name := range []string{"a", "b"} {
			models[name] = &model{chance: rand.New(rand.NewPCG(1, rapid.Uint64().Draw(t, name)))}
		}
		appended := 0
		open := func() *sink.Outbox {
			var routes []sink.Route
			for _, name := range []string{"a", "b"} {
				m := models[name]
				routes = append(routes, sink.Route{Name: name, Sink: &memory{answer: func(alerts []*alert.Alert) error {
					p := &sink.Partial{Done: m.chance.IntN(len(alerts) + 1)}
					if p.Done < len(alerts) {
						p.Err = errDown
					}
					next := m.next
					for i, a := range alerts {
						ours := i < p.Done
						if a.RuleID == sink.GivenUpRule {
							n, _ := strconv.Atoi(sink.Texts(sink.Document(a), "orlop.outbox.given_up")[0])
							next += n
							if ours {
								m.givenUp += n
								m.next = next
							}
							continue
						}
						if a.ID != fmt.Sprint(next) {
							m.wrong = fmt.Sprintf("got %s, want %d", a.ID, next)
						}
						next++
						if !ours {
							continue
						}
						m.next = next
						if m.chance.IntN(10) == 0 {
							p.Refused = append(p.Refused, sink.Refusal{At: i, Err: errDown})
							m.refused++
						} else {
							m.taken++
						}
					}
					return p
				}}})
			}
			box, err := sink.OpenOutbox(o, routes...)
			if err != nil {
				t.Fatal(err)
			}
			return box
		}
		box := open()
		defer func() { box.Close() }()
		filler := strings.Repeat("x", 3000)
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				for range rapid.IntRange(1, 20).Draw(t, "n") {
					a, err := alert.Parse(fmt.Appendf(nil, `{"kibana.alert.uuid":"%d","kibana.alert.rule.rule_id":"r","x":%q}`, appended, filler))
					if err != nil {
						t.Fatal(err)
					}
					if err := box.Append(a); err != nil {
						t.Fatal(err)
					}
					appended++
				}
			},
			"deliver": func(t *rapid.T) { deliver(box) },
			"reopen": func(t *rapid.T) {
				if err := box.Close(); err != nil {
					t.Fatal(err)
				}
				box = open()
			},
			"": func(t *rapid.T) {
				st := box.Stats()
				if st.Bytes > o.MaxBytes {
					t.Fatalf("%d bytes on disk", st.Bytes)
				}
				for _, s := range st.Sinks {
					m := models[s.Name]
					if m.wrong != "" {
						t.Fatalf("%s: %s", s.Name, m.wrong)
					}
					pending := int(s.Waiting) + int(s.GivenUp)
					if m.next != m.taken+m.refused+m.givenUp {
						t.Fatalf("model: %+v", m)
					}
					if m.next > appended || m.next+int(s.Waiting) > appended || pending < appended-m.next {
						t.Fatalf("%d appended, %+v, %+v", appended, *m, s)
					}
				}
			},
		})
		for _, m := range models {
			for m.next < appended && m.wrong == "" {
				deliver(box)
			}
			if m.wrong != "" {
				t.Fatal(m.wrong)
			}
		}
		for _, s := range box.Stats().Sinks {
			if s.Waiting != 0 {
				t.Fatalf("%+v", s)
			}
		}
	})
}

// TestKilled ends a process that appends with SIGKILL, again and again, and wants
// all that was acknowledged to be there.
func TestKilled(t *testing.T) {
	if dir := os.Getenv("ORLOP_TEST_OUTBOX"); dir != "" {
		box, err := sink.OpenOutbox(sink.OutboxOptions{Dir: dir}, sink.Route{Name: "m", Sink: &memory{answer: down}})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		go box.Run(context.Background())
		for i := 0; ; i++ {
			id := fmt.Sprintf("%s-%06d", os.Getenv("ORLOP_TEST_RUN"), i)
			if err := box.Append(small(t, id)); err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			fmt.Println(id)
		}
	}
	dir := t.TempDir()
	var acknowledged []string
	for run := range 5 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$")
		cmd.Env = append(os.Environ(), "ORLOP_TEST_OUTBOX="+dir, fmt.Sprint("ORLOP_TEST_RUN=", run))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for range 200 + run*137 {
			if !lines.Scan() {
				t.Fatal("it ended by itself")
			}
			acknowledged = append(acknowledged, lines.Text())
		}
		cmd.Process.Kill()
		for lines.Scan() { // what it said before it was gone
			if len(lines.Text()) == len("0-000000") {
				acknowledged = append(acknowledged, lines.Text())
			}
		}
		cmd.Wait()
		if ws := cmd.ProcessState.Sys().(syscall.WaitStatus); ws.Signal() != syscall.SIGKILL {
			t.Fatalf("%v", cmd.ProcessState)
		}
	}
	m := &memory{}
	box := openBox(t, sink.OutboxOptions{Dir: dir}, sink.Route{Name: "m", Sink: m})
	deliver(box)
	if !slices.IsSorted(m.got) {
		t.Error("not in order")
	}
	i := 0
	for _, id := range m.got {
		if i < len(acknowledged) && acknowledged[i] == id {
			i++
		}
	}
	if i < len(acknowledged) {
		t.Errorf("%s was acknowledged, and is not there", acknowledged[i])
	}
	// Of each run one more, at most, that could not be acknowledged.
	if extra := len(m.got) - len(acknowledged); extra > 5 {
		t.Errorf("%d alerts too many", extra)
	}
}

// quickDir is a folder in memory, if there is room for one, where a sync costs nothing.
func quickDir(t fataler) string {
	shm := "/dev/shm"
	if _, err := os.Stat(shm); err != nil {
		shm = ""
	}
	dir, err := os.MkdirTemp(shm, "orlop-outbox-")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func files(t testing.TB, dir, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func folder(t testing.TB, dir, pattern string) (size int64) {
	t.Helper()
	for _, name := range files(t, dir, pattern) {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	return size
}

// Whatever is in a folder, the outbox opens or says why, and does not panic.
func FuzzSegment(f *testing.F) {
	dir := f.TempDir()
	box := openBox(f, sink.OutboxOptions{Dir: dir}, sink.Route{Name: "m", Sink: &memory{answer: down}})
	add(f, box, "a", "b")
	box.Close()
	log, err := os.ReadFile(files(f, dir, "*.log")[0])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(log, log, `{"next":1}`)
	f.Add(log[:40], []byte("\x00or\x01\xff\xff\xff\xff"), `{"next":-1}`)
	f.Fuzz(func(t *testing.T, first, second []byte, cursor string) {
		dir := quickDir(t)
		defer os.RemoveAll(dir)
		os.WriteFile(filepath.Join(dir, "00000000000000000001.log"), first, 0o600)
		os.WriteFile(filepath.Join(dir, "00000000000000000003.log"), second, 0o600)
		os.WriteFile(filepath.Join(dir, "m.cursor"), []byte(cursor), 0o600)
		m := &memory{}
		box, err := sink.OpenOutbox(sink.OutboxOptions{Dir: dir}, sink.Route{Name: "m", Sink: m})
		if err != nil {
			return
		}
		defer box.Close()
		if err := box.Append(small(t, "new")); err != nil {
			t.Fatal(err)
		}
		deliver(box)
		if n := len(m.got); n == 0 || m.got[n-1] != "new" {
			t.Errorf("got %q", m.got)
		}
		if s := box.Stats().Sinks[0]; s.Waiting != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// Building blocks go to the sinks that want them, in their place; the others' numbers leave
// them out, and go on behind them.
func TestBuildingBlocks(t *testing.T) {
	block := func(id string) *alert.Alert {
		a, err := alert.Parse(fmt.Appendf(nil, `{"kibana.alert.uuid":%q,"kibana.alert.rule.rule_id":"r","kibana.alert.rule.name":"n","kibana.alert.building_block_type":"default"}`, id))
		if err != nil || !a.BuildingBlock {
			t.Fatal(a, err)
		}
		return a
	}
	dir, all, few := t.TempDir(), &memory{}, &memory{}
	box, err := sink.OpenOutbox(sink.OutboxOptions{Dir: dir}, sink.Route{Name: "all", Sink: all, Blocks: true}, sink.Route{Name: "few", Sink: few})
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	if !box.Blocks() {
		t.Error("nobody wants building blocks")
	}
	for _, a := range []*alert.Alert{block("a1"), block("a2"), small(t, "a"), block("b1"), small(t, "b"), block("c1")} {
		if err := box.Append(a); err != nil {
			t.Fatal(err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	box.Run(ended)
	if diff := cmp.Diff([]string{"a1", "a2", "a", "b1", "b", "c1"}, all.list()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"a", "b"}, few.list()); diff != "" {
		t.Error(diff)
	}
	st := box.Stats().Sinks
	if st[0].Delivered != 6 || st[1].Delivered != 2 || st[0].Waiting+st[1].Waiting != 0 || st[1].Refused+st[1].GivenUp != 0 {
		t.Errorf("%+v", st)
	}
}
