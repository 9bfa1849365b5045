package enrich_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/orlop/orlop/enrich"
	"github.com/orlop/orlop/event"
)

// kernel is the naive oracle: it forks, execs and exits, hands out pids in a
// circle, gives orphans to a subreaper or to init, and knows who is who.
type kernel struct {
	r    *rand.Rand
	t    int64 // milliseconds
	next int
	pids map[int]*task
	live []*task
	n    int
	ses  int
}

type task struct {
	n         int // identity
	pid       int
	parent    *task
	had       map[*task]bool // everyone who ever was its ancestor
	exe       string
	args      []string
	ses       int
	start     int64
	subreaper bool
	seen      bool // an event has shown it
}

const pidMax = 1 << 15

func newKernel(seed uint64) *kernel {
	k := &kernel{r: rand.New(rand.NewPCG(seed, 1)), t: 1795382411000, next: 2, pids: map[int]*task{}, ses: 1}
	init := &task{pid: 1, exe: "/sbin/init", args: []string{"init"}, had: map[*task]bool{}, start: k.t}
	k.pids[1] = init
	k.live = append(k.live, init)
	return k
}

// skip makes other processes come and go.
func (k *kernel) skip(n int) {
	k.next += n
	if k.next >= pidMax {
		k.next = 300 + k.next - pidMax
	}
}

func (k *kernel) fork(p *task) *task {
	for k.pids[k.next] != nil {
		k.skip(1)
	}
	k.n++
	c := &task{n: k.n, pid: k.next, parent: p, exe: p.exe, args: p.args, ses: p.ses, start: k.t, had: map[*task]bool{}, subreaper: k.r.IntN(8) == 0}
	k.skip(1)
	k.pids[c.pid] = c
	k.live = append(k.live, c)
	c.below(p)
	return c
}

// below makes p and its ancestors ancestors of c.
func (c *task) below(p *task) {
	c.had[p] = true
	for a := range p.had {
		c.had[a] = true
	}
}

func (k *kernel) exec(c *task) {
	c.exe = fmt.Sprintf("/bin/p%d", k.r.IntN(5))
	c.args = []string{c.exe}
	for range k.r.IntN(3) {
		c.args = append(c.args, fmt.Sprint("x", k.r.IntN(9)))
	}
}

func (k *kernel) exit(i int) *task {
	c := k.live[i]
	k.live = append(k.live[:i], k.live[i+1:]...)
	delete(k.pids, c.pid)
	heir := c.parent
	for heir.parent != nil && !heir.subreaper {
		heir = heir.parent
	}
	for _, o := range k.live {
		if o.parent == c {
			o.parent = heir
			o.below(heir)
		}
	}
	return c
}

// doc is what a source would say of c.
func (k *kernel) doc(c *task, action, typ string, extra string) string {
	exe := ""
	if action != "connected" || k.r.IntN(2) == 0 {
		exe = fmt.Sprintf(`,"executable":%q`, c.exe)
	}
	args := ""
	if action == "executed" || action == "existing_process" {
		args = fmt.Sprintf(`,"args":["%s"]`, strings.Join(c.args, `","`))
	}
	ppid := 0
	if c.parent != nil {
		ppid = c.parent.pid
	}
	return fmt.Sprintf(`{"@timestamp":%d,"event":{"category":["process"],"type":[%q],"action":%q},"auditd":{"session":"%d"},
		"process":{"pid":%d,"parent":{"pid":%d}%s%s%s}}`, k.t, typ, action, c.ses, c.pid, ppid, exe, args, extra)
}

// world says what the stream shows of the kernel.
type world struct {
	forks, exits bool // are shown
	starts       bool // process.start and process.parent.start are stated
	skip         int  // at most so many pids go by unseen between two steps
	logins       bool // sessions change; each change is shown
	lose         float64
}

// Whatever is filled is true; and if all is shown and no pid comes twice, all is
// filled.
func TestFilledIsTrue(t *testing.T) {
	for name, w := range map[string]world{
		"execs":             {skip: 60},
		"execs, sessions":   {skip: 60, logins: true},
		"execs and exits":   {skip: 120, exits: true},
		"everything, wraps": {skip: 200, forks: true, exits: true, logins: true},
		"starts":            {skip: 300, forks: true, exits: true, starts: true},
		"losses":            {skip: 60, forks: true, exits: true, lose: 0.2},
		"sparse":            {skip: 1500},
		"no wrap":           {forks: true, exits: true},
		"no wrap, execs":    {},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(8) {
				simulate(t, w, seed)
			}
		})
	}
}

func simulate(t *testing.T, w world, seed uint64) {
	steps := 6000
	if testing.Short() || testing.CoverMode() != "" {
		steps = 1000
	}
	k := newKernel(seed)
	s := event.NewSchema()
	x := enrich.New(s, enrich.Options{})
	d := event.NewDecoder(s)
	owner := map[string]*task{} // entity ids
	ids := map[*task]string{}
	asked, found := 0, 0
	var e event.Event
	show := func(c *task, action, typ string) {
		extra := ""
		if w.starts {
			extra = fmt.Sprintf(`,"start":%d`, c.start)
			if c.parent != nil {
				extra += fmt.Sprintf(`,"parent.start":%d`, c.parent.start)
			}
		}
		doc := k.doc(c, action, typ, extra)
		if k.r.Float64() < w.lose {
			return
		}
		if err := d.Decode([]byte(doc), &e); err != nil {
			t.Fatalf("%s: %v", doc, err)
		}
		x.Apply(&e)
		c.seen = true
		bad := func(format string, args ...any) {
			t.Helper()
			t.Fatalf("seed %d, at %d: %s\n%s\n%+v", seed, k.t, fmt.Sprintf(format, args...), doc, x.Stats())
		}
		get := func(f string) event.Value { return e.Get(s.Field(f)) }
		belongs := func(id string, c *task) {
			if o := owner[id]; o == nil {
				owner[id] = c
			} else if o != c {
				bad("id %s of task %d (pid %d) is given to task %d (pid %d)", id, o.n, o.pid, c.n, c.pid)
			}
		}
		p := c.parent
		if id := get("process.entity_id").Str(); id != "" {
			belongs(id, c)
			if old := ids[c]; old != "" && old != id && (w.skip == 0 || w.starts) && w.forks {
				bad("the id of task %d was %s and is %s", c.n, old, id)
			}
			ids[c] = id
		}
		if id := get("process.parent.entity_id").Str(); id != "" {
			belongs(id, p)
		}
		for i := range get("process.Ext.ancestry").Len() {
			if o := owner[get("process.Ext.ancestry").At(i).Str()]; o == nil || !c.had[o] {
				bad("ancestry %d is no ancestor", i)
			}
		}
		if w.lose > 0 {
			return // The program can be an old one.
		}
		if v := get("process.executable").Str(); v != "" && v != c.exe {
			bad("executable %s, want %s", v, c.exe)
		}
		if p == nil {
			return
		}
		asked++
		if v := get("process.parent.executable").Str(); v != "" {
			found++
			if v != p.exe {
				bad("parent executable %s, want %s", v, p.exe)
			}
		} else if w.skip == 0 && w.forks {
			bad("no parent executable; it is %s", p.exe)
		}
		if v := get("process.parent.command_line").Str(); v != "" && v != strings.Join(p.args, " ") {
			bad("parent command line %s, want %s", v, strings.Join(p.args, " "))
		}
	}
	show(k.live[0], "existing_process", "info")
	for range steps {
		k.t += int64(20 + k.r.IntN(300))
		if w.skip > 0 {
			k.skip(k.r.IntN(w.skip))
		} else if k.next > pidMax-100 {
			break
		}
		i := k.r.IntN(len(k.live))
		c := k.live[i]
		switch a := k.r.IntN(10); {
		case a < 3 && len(k.live) < 60 || len(k.live) < 3:
			n := k.fork(c)
			if w.forks {
				show(n, "fork", "start")
			}
			if k.r.IntN(4) > 0 {
				k.t += int64(k.r.IntN(20))
				k.exec(n)
				show(n, "executed", "start")
			}
		case a < 5 && i > 0:
			if k.r.IntN(4) > 0 && !c.seen && !w.forks {
				continue // Mostly, a process that execs does it at once.
			}
			k.exec(c)
			show(c, "executed", "start")
		case a < 7 && i > 0:
			c := k.exit(i)
			if w.exits {
				show(c, "exited", "end")
			}
		case a == 7 && w.logins && i > 0:
			k.ses++
			c.ses = k.ses
			show(c, "changed-login-id-to", "info")
		default:
			show(c, "connected", "info")
		}
	}
	t.Logf("seed %d: parents %d of %d, %+v", seed, found, asked, x.Stats())
}
