package agent_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/gob"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/detect"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/internal/agent"
)

// At any moment what is in is what was evaluated, filtered, late, rejected and lost, of
// each stream, and at the end that is what its source has seen.
func TestAccountsAddUp(t *testing.T) {
	outer := t
	rapid.Check(t, func(t *rapid.T) {
		schema := event.NewSchema()
		l := agent.NewLive(detect.Options{Schema: schema})
		if err := l.Engine.SetRules(pack(outer, liveRules, sequenceRule)); err != nil {
			t.Fatal(err)
		}
		var scripts []*script
		var docs [][]string
		for i := range rapid.IntRange(1, 3).Draw(t, "streams") {
			s := newScript(schema)
			scripts = append(scripts, s)
			l.Streams = append(l.Streams, &agent.Stream{Name: fmt.Sprint(i), Source: s, Rejects: &s.rejects})
			docs = append(docs, rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string {
				return rapid.SampledFrom([]string{"{", `{"event":{"category":"file"}}`,
					process(fmt.Sprintf("10:00:%02d", rapid.IntRange(0, 59).Draw(t, "second")), rapid.SampledFrom([]string{"ctr", "a", "b"}).Draw(t, "name"))}).Draw(t, "doc")
			}), 0, 20).Draw(t, "docs"))
		}
		ticks := make(chan time.Time, 5)
		l.Tick = ticks
		done := make(chan error)
		go func() { done <- l.Run(context.Background(), func(*alert.Alert) error { return nil }) }()
		check := func() {
			for i, a := range l.Accounts() {
				if sum := a.Evaluated + a.Filtered + a.Late + a.Rejected + a.Lost; a.In != sum || a.Waiting < 0 {
					t.Errorf("stream %d: %+v", i, a)
				}
			}
		}
		var wg sync.WaitGroup
		for i, s := range scripts {
			wg.Go(func() {
				for n, d := range docs[i] {
					s.docs <- d
					s.lost.Add(int64(n % 2))
					s.filtered.Add(int64(n % 3))
				}
				close(s.docs)
			})
		}
		for range 5 {
			check()
			ticks <- clock("10:00:59")
		}
		wg.Wait()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		check()
		for i, a := range l.Accounts() {
			if seen := scripts[i].Intake().Seen; a.In != seen || a.Waiting != 0 {
				t.Errorf("stream %d: %+v, its source has seen %d", i, a, seen)
			}
		}
	})
}

// A life is a run of a daemon with a state directory over some of the documents.
type life struct {
	from, to int    // it is given documents from where the last one stopped up to to
	dir      string // of the next one
	alerts   []string
}

func live(t testing.TB, dir string, docs []string, to int, kill bool, log *slog.Logger) life {
	t.Helper()
	schema := event.NewSchema()
	l := agent.NewLive(detect.Options{Schema: schema})
	if err := l.Engine.SetRules(pack(t, liveRules, sequenceRule)); err != nil {
		t.Fatal(err)
	}
	st, err := agent.OpenState(dir, log)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	s := newScript(schema)
	if at := st.Position("s", "script"); at != nil {
		if s.at, err = strconv.ParseInt(string(at), 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	one := life{from: int(s.at), to: to, dir: dir}
	l.Streams = []*agent.Stream{{Name: "s", About: "script", Source: s, Rejects: &s.rejects, Lateness: 2 * time.Second}}
	l.State, l.Checkpoint, l.Log = st, time.Second, log
	l.Restore()
	ticks := make(chan time.Time)
	l.Tick = ticks
	done := make(chan error)
	go func() {
		done <- l.Run(context.Background(), func(a *alert.Alert) error {
			one.alerts = append(one.alerts, a.RuleID+" "+a.ID)
			return nil
		})
	}()
	now := clock("10:00:00").Add(time.Duration(one.from) * time.Second)
	ticks <- now
	for i := one.from; i < to; i++ {
		s.waiting.Store(int64(len(docs) - i)) // It is behind, so time is that of the documents.
		s.docs <- docs[i]
		if i%5 == 0 {
			now = clock("10:00:00").Add(time.Duration(i) * time.Second)
			ticks <- now
		}
	}
	s.docs <- ""
	<-s.seen
	if to == len(docs) {
		s.waiting.Store(0)
		now = clock("10:59:00")
		ticks <- now
	}
	ticks <- now // A checkpoint may be due yet: one that did not learn the source's place is tried again.
	ticks <- now // None is due any more, and the last one is written.
	if kill {
		one.dir = t.TempDir()
		if err := os.CopyFS(one.dir, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
	}
	close(s.docs)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return one
}

// stream is documents in which rules of both kinds find something.
func stream(n int) []string {
	var docs []string
	for i := range n {
		docs = append(docs, process(fmt.Sprintf("10:%02d:%02d", i/60, i%60), []string{"ctr", "a", "x", "y", "b", "z", "a"}[i*i%7]))
	}
	return docs
}

// However often a daemon is stopped or killed, and wherever, its alerts are those of
// one that never was: each once.
func TestRestartNeitherLosesNorRepeats(t *testing.T) {
	docs := stream(60)
	whole := live(t, t.TempDir(), docs, len(docs), false, nil).alerts
	if len(whole) < 8 {
		t.Fatalf("%d alerts, want more", len(whole))
	}
	rapid.Check(t, func(rt *rapid.T) {
		dir := t.TempDir()
		var got []string
		var story []string
		for to := 0; to < len(docs); {
			to = min(to+rapid.IntRange(5, 40).Draw(rt, "step"), len(docs))
			one := live(t, dir, docs, max(to, 0), rapid.Bool().Draw(rt, "kill"), nil)
			story = append(story, fmt.Sprintf("%d-%d", one.from, one.to))
			got = append(got, one.alerts...)
			dir = one.dir
		}
		// After the last life was killed, another one has nothing more to say.
		got = append(got, live(t, dir, docs, len(docs), false, nil).alerts...)
		if !slices.Equal(got, whole) {
			rt.Fatalf("lives %q: %d alerts\n%s\nwant %d\n%s", story, len(got), strings.Join(got, "\n"), len(whole), strings.Join(whole, "\n"))
		}
	})
}

// A source that a restart does not have any more is not waited for: sequences go on by
// those that there are.
func TestRestartWithAnotherSource(t *testing.T) {
	dir := t.TempDir()
	begin := func(name string) *running {
		st, err := agent.OpenState(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		return start(t, func(l *agent.Live) {
			l.Streams[0].Name, l.State = name, st
			l.Restore()
		})
	}
	r := begin("s")
	r.send(process("10:00:00", "a"))
	r.tick(clock("10:00:01"))
	if a := r.stop(); len(a) != 0 {
		t.Errorf("%d alerts before the time has passed", len(a))
	}
	r.Live.State.Close()
	r = begin("t")
	r.tick(clock("10:00:30"))
	if n := r.Counts().Engine.Alerts; n != 1 {
		t.Errorf("%d alerts, want 1", n)
	}
	r.stop()
	r.Live.State.Close()
}

// A checkpoint that is damaged, of another program or of another host is not used,
// which is said; the run begins anew.
func TestBadCheckpoint(t *testing.T) {
	docs := stream(20)
	f := func(want string, spoil func(string) string) {
		t.Helper()
		dir := t.TempDir()
		live(t, dir, docs, 10, false, nil)
		name := filepath.Join(dir, "checkpoint")
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(spoil(string(text))), 0o600); err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		one := live(t, dir, docs, len(docs), false, slog.New(slog.NewTextHandler(&log, nil)))
		if one.from != 0 {
			t.Errorf("%s: goes on from %d", want, one.from)
		}
		if !strings.Contains(log.String(), want) || !strings.Contains(log.String(), "level=ERROR") {
			t.Errorf("the log lacks %q:\n%s", want, log.String())
		}
	}
	f("it is not a checkpoint", func(string) string { return "" })
	f("it is not a checkpoint", func(string) string { return "\x7fELF\n" })
	end := func(s string) int { // of what the first line says the length of
		head, _, _ := strings.Cut(s, "\n")
		n, err := strconv.Atoi(strings.Fields(head)[5])
		if err != nil {
			t.Fatal(err)
		}
		return len(head) + 1 + n
	}
	f("its checksum differs", func(s string) string { return s[:end(s)-1] })
	f("its checksum differs", func(s string) string { return s[:end(s)/2] + "?" + s[end(s)/2+1:] })
	f("this program reads", func(s string) string { return strings.Replace(s, "checkpoint 4 ", "checkpoint 1 ", 1) })
	f("it is of another build, whose state has other parts", func(s string) string {
		head, body, _ := strings.Cut(s, "\n")
		f := strings.Fields(head) // orlop checkpoint 4 SHAPE SUM LENGTH
		return fmt.Sprintf("orlop checkpoint 4 %s %s %s\n%s", strings.Repeat("0", len(f[3])), f[4], f[5], body)
	})
	again := func(s string, body []byte) string {
		head, _, _ := strings.Cut(s, "\n")
		return fmt.Sprintf("orlop checkpoint 4 %s %x %020d\n%s", strings.Fields(head)[3], sha256.Sum256(body), len(body), body)
	}
	f("EOF", func(s string) string { return again(s, nil) })
	f("it is of another host", func(s string) string {
		return again(s, encode(t, agent.Checkpoint{Host: "elsewhere", Engine: &detect.State{}}))
	})
}

// A table of processes that is written in parts is whole when it is read.
func TestCheckpointHasEveryProcess(t *testing.T) {
	const n = 1000
	dir := t.TempDir()
	begin := func() *running {
		st, err := agent.OpenState(dir, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { st.Close() })
		return start(t, func(l *agent.Live) {
			l.State, l.Checkpoint = st, time.Hour
			l.Restore()
		})
	}
	r := begin()
	for i := range n {
		r.send(strings.Replace(process("10:00:09", "x"), `"pid":9`, fmt.Sprintf(`"pid":%d`, 100+i), 1))
	}
	was := r.Counts().Table
	r.stop()
	r.State.Close()
	again := begin()
	got := again.Counts().Table
	if again.stop(); was.Processes != n || got.Processes != n || got.Bytes != was.Bytes {
		t.Errorf("%d processes in %d bytes, and then %d in %d; want %d", was.Processes, was.Bytes, got.Processes, got.Bytes, n)
	}
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Two daemons do not share a directory.
func TestStateIsLocked(t *testing.T) {
	dir := t.TempDir()
	st, err := agent.OpenState(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := agent.OpenState(dir, nil); err == nil || !strings.Contains(err.Error(), "another orlop uses it") {
		t.Errorf("a second one: %v", err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if st, err = agent.OpenState(dir, nil); err != nil {
		t.Fatal(err)
	}
	st.Close()
}

// A run that is killed before its first checkpoint is due is gone on from where it
// began: what was written meanwhile is not skipped.
func TestRunSaysWhereItBegins(t *testing.T) {
	dir := t.TempDir()
	st, err := agent.OpenState(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, func(l *agent.Live) { l.State, l.Checkpoint = st, time.Hour })
	r.send(process("10:00:09", "x"))
	killed := t.TempDir() // as a kill would leave it
	if err := os.CopyFS(killed, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	r.stop()
	st.Close()
	next, err := agent.OpenState(killed, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	if at := next.Position("s", "script"); string(at) != "0" {
		t.Errorf("the next run goes on at %q, want 0", at)
	}
}
