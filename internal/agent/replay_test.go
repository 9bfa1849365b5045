package agent_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/detect"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/internal/agent"
	"github.com/orlop/orlop/rule"
	"github.com/orlop/orlop/rules"
	"github.com/orlop/orlop/source"
)

func texts(t *testing.T, p *agent.Replay, texts ...string) (events []string, rejected []string) {
	t.Helper()
	p.Schema = event.NewSchema()
	p.Reject = func(r source.Rejection) { rejected = append(rejected, r.Error()) }
	for i, s := range texts {
		p.Inputs = append(p.Inputs, source.NewInput(fmt.Sprint(i), strings.NewReader(s)))
	}
	err := p.Run(context.Background(), func(e *event.Event) error {
		events = append(events, e.Origin.Source+" "+string(e.Raw))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return events, rejected
}

const execRecord = `type=SYSCALL msg=audit(1700000000.001:7): arch=c000003e syscall=59 success=yes exit=0 ppid=1 pid=2 comm="ls" exe="/usr/bin/ls"
type=EXECVE msg=audit(1700000000.001:7): argc=1 a0="ls"
type=EOE msg=audit(1700000000.001:7):
`

// The format of each input is found out by itself; what tells nothing is read as
// documents, of which it has none that can be read.
func TestReplayFormats(t *testing.T) {
	events, rejected := texts(t, &agent.Replay{}, `{"a":1}`+"\n", execRecord, "", "\n\n", "what is this\n", `[{"a":2},{"a":3}]`)
	var from []string
	for _, e := range events {
		from = append(from, e[:1])
	}
	slices.Sort(from)
	if want := []string{"0", "1", "5", "5"}; !slices.Equal(from, want) {
		t.Errorf("events of %v, want %v: %q", from, want, events)
	}
	if len(rejected) != 1 || !strings.HasPrefix(rejected[0], "4:0: ") {
		t.Errorf("rejected %q, want the line of input 4", rejected)
	}
}

// A format that is forced is that of all inputs.
func TestReplayForced(t *testing.T) {
	events, rejected := texts(t, &agent.Replay{Format: source.Audit}, `{"a":1}`+"\n", execRecord)
	if len(events) != 1 || len(rejected) != 1 || !strings.HasPrefix(rejected[0], "0:0: ") {
		t.Errorf("events %q, rejected %q", events, rejected)
	}
	if f := agent.Formats(); !slices.Equal(f, []string{"audit", "ecs", "kubeaudit"}) {
		t.Errorf("formats %v", f)
	}
}

// A replay ends with its context, at the next event, and with the error of emit.
func TestReplayEnds(t *testing.T) {
	stop := errors.New("enough")
	for _, want := range []error{context.Canceled, stop} {
		ctx, cancel := context.WithCancel(context.Background())
		p := &agent.Replay{Schema: event.NewSchema(), Inputs: []*source.Input{
			source.NewInput("a", strings.NewReader(strings.Repeat(`{"a":1}`+"\n", 100000))),
			source.NewInput("b", strings.NewReader(`{"b":1}`)),
		}}
		n := 0
		err := p.Run(ctx, func(*event.Event) error {
			if n++; n == 10 {
				cancel()
				if want == stop {
					return stop
				}
			}
			return nil
		})
		if !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
		if n > 20000 {
			t.Errorf("%v: %d events came after the end", want, n-10)
		}
		cancel()
	}
}

// Progress counts the bytes as they are stored, and knows their total for files.
func TestProgress(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a.ndjson")
	text := strings.Repeat(`{"a":1}`+"\n", 1000)
	if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	inputs, err := source.Open([]string{name, name}, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &agent.Replay{Schema: event.NewSchema(), Inputs: inputs}
	if read, total := p.Progress(); read != 0 || total != int64(2*len(text)) {
		t.Errorf("before: %d of %d", read, total)
	}
	last := int64(0)
	err = p.Run(context.Background(), func(*event.Event) error {
		read, total := p.Progress()
		if read < last || read > total {
			t.Fatalf("%d of %d after %d", read, total, last)
		}
		last = read
		return nil
	})
	if read, total := p.Progress(); err != nil || read != total {
		t.Errorf("after: %d of %d (error %v)", read, total, err)
	}
	p.Inputs = append(p.Inputs, source.NewInput("-", strings.NewReader("")))
	if _, total := p.Progress(); total != -1 {
		t.Errorf("with a pipe the total is %d, want -1", total)
	}
}

// The recorded run of 41 commands has 193 starts of processes, and the rule that
// the project was born from matches twelve of them, whoever wrote it down.
func TestRecordedRun(t *testing.T) {
	want := []int64{524242, 524269, 524285, 524339, 524354, 524407, 524419, 524434, 524448, 524461, 524475, 524489}
	shared := "../../../shared/recorded/"
	for _, name := range []string{"../../examples/node-session/audit.log", shared + "audit.log", shared + "audit-netlink.log"} {
		t.Run(filepath.Base(filepath.Dir(name))+"/"+filepath.Base(name), func(t *testing.T) {
			if _, err := os.Stat(name); err != nil && strings.HasPrefix(name, shared) {
				t.Skip("the recording is not part of the repository: ", err)
			}
			inputs, err := source.Open([]string{name}, nil)
			if err != nil {
				t.Fatal(err)
			}
			schema := event.NewSchema()
			g := detect.New(detect.Options{Schema: schema, Lateness: -1, Now: func() time.Time { return time.Time{} }})
			if err := g.SetRules(seed(rule.LoadFS(rules.FS, "rules").Rules)); err != nil {
				t.Fatal(err)
			}
			sequence, typ, action := schema.Field("event.sequence"), schema.Field("event.type"), schema.Field("event.action")
			var got []int64
			starts := 0
			p := &agent.Replay{Schema: schema, Enrich: true, Inputs: inputs}
			err = p.Run(context.Background(), func(e *event.Event) error {
				v := e.Get(typ)
				for i := range v.Len() {
					if v.At(i).Str() == "start" && strings.HasPrefix(e.Get(action).At(0).Str(), "exec") {
						starts++
					}
				}
				g.Process(e, func(*alert.Alert) { got = append(got, e.Get(sequence).Int()) })
				return nil
			})
			if err != nil || p.Stats.Rejected.Load() != 0 {
				t.Errorf("error %v, %d rejected", err, p.Stats.Rejected.Load())
			}
			slices.Sort(got)
			if starts != 193 || !slices.Equal(got, want) {
				t.Errorf("%d starts, want 193; alerts for %d\nwant %d", starts, got, want)
			}
		})
	}
}
