package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/valyala/fastjson"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/detect"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/internal/agent"
	"github.com/orlop/orlop/rule"
	"github.com/orlop/orlop/rules"
	"github.com/orlop/orlop/source"
)

// seedFile is the rule that the project grew from.
const seedFile = "execution_container_runtime_cli_suspicious_arguments.toml"

// A contender does some work, the same in each round.
type contender struct {
	name   string // for people
	key    string // for benchstat
	group  string // that it is compared in
	cores  int
	events int // that it reads
	bytes  int
	text   []byte // what it reads, if it is not a program of its own
	work   func(text []byte) error

	took   []time.Duration // by round
	allocs float64         // an event, once it has begun
}

// A bench is everything that is measured.
type bench struct {
	contenders []*contender
	files      string // a folder of rules
	rules      int    // that are in it
	loads      []time.Duration
	heap       []float64          // MB that they keep
	absent     []string           // programs that are not installed
	searched   int                // lines of a file that is searched
	size       map[string]float64 // of a document, in kB
}

// The groups.
const (
	processes = "process"
	workday   = "mixed"
	auditLog  = "audit"
	search    = "search"
)

// prepare makes n documents, the rules and the contenders, with so many rules each. The
// last count but one stands for many rules.
func prepare(dir string, n int, counts []int) (*bench, error) {
	many := counts[len(counts)-2]
	b := &bench{files: filepath.Join(dir, "rules"), rules: counts[len(counts)-1], size: map[string]float64{}}
	seed, err := seedRule()
	if err != nil {
		return nil, err
	}
	made := synthesize(b.rules)
	all := append([]*rule.Rule{seed}, made...)
	process, mixed := newFleet(1, 2).processes(n), newFleet(2, 2).workday(n)
	log, records := newFleet(3, 2).audit(n)
	add := func(c contender) { b.contenders = append(b.contenders, &c) }
	type engine struct {
		rules  int
		enrich bool
	}
	works := map[engine]func([]byte) error{}
	orlop := func(group string, text []byte, events, count, cores int, enrich bool) error {
		// An engine serves all documents, one after the other.
		work, err := works[engine{count, enrich}], error(nil)
		if work == nil {
			work, err = scanner(all[:count], enrich)
			works[engine{count, enrich}] = work
		}
		name, key := fmt.Sprintf("Orlop, %s", plural(count, "rule")), fmt.Sprintf("Orlop/%s/rules=%d", group, count)
		if enrich {
			name, key = name+", process table", key+"/enriched"
		}
		add(contender{name: name, key: key, group: group, cores: cores, events: events, bytes: len(text), text: text, work: work})
		return err
	}
	for _, g := range []struct {
		name string
		text []byte
	}{{processes, process}, {workday, mixed}} {
		b.size[g.name] = float64(len(g.text)) / float64(n) / 1e3
		for _, count := range counts {
			for cores := 1; ; cores = runtime.NumCPU() {
				if err := orlop(g.name, g.text, n, count, cores, false); err != nil {
					return nil, err
				}
				if cores == runtime.NumCPU() {
					break
				}
			}
		}
		if err := orlop(g.name, g.text, n, many, 1, true); err != nil {
			return nil, err
		}
		add(contender{name: "`fastjson`, parse only", key: "Fastjson/" + g.name, group: g.name, cores: 1, events: n, bytes: len(g.text), text: g.text, work: fast})
		add(contender{name: "`encoding/json`, parse only", key: "EncodingJSON/" + g.name, group: g.name, cores: 1, events: n, bytes: len(g.text), text: g.text, work: standard})
		few := lines(g.text, n/10)
		if err := b.jq(dir, g.name, few, n/10); err != nil {
			return nil, err
		}
	}
	for _, count := range []int{1, many} {
		if err := orlop(auditLog, log, records, count, 1, false); err != nil {
			return nil, err
		}
	}
	if err := b.search(dir, seed, 6*n); err != nil {
		return nil, err
	}
	if err := os.Mkdir(b.files, 0o755); err != nil {
		return nil, err
	}
	for _, r := range made {
		if err := os.WriteFile(filepath.Join(b.files, r.ID+".toml"), []byte(file(r)), 0o644); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// lines are the first n lines of text.
func lines(text []byte, n int) []byte {
	end := 0
	for range n {
		end += bytes.IndexByte(text[end:], '\n') + 1
	}
	return text[:end]
}

func plural(n int, noun string) string {
	text := fmt.Sprint(n)
	if n >= 1000 {
		text = fmt.Sprintf("%d,%03d", n/1000, n%1000)
	}
	if n != 1 {
		noun += "s"
	}
	return text + " " + noun
}

func seedRule() (*rule.Rule, error) {
	for _, r := range rule.LoadFS(rules.FS, "rules").Rules {
		if strings.HasSuffix(r.File, seedFile) {
			return r, nil
		}
	}
	return nil, fmt.Errorf("no rule %s in the pack", seedFile)
}

// scanner returns what reads text with rules, of which none may want any of it.
func scanner(rules []*rule.Rule, enrich bool) (func(text []byte) error, error) {
	schema := event.NewSchema()
	g := detect.New(detect.Options{Schema: schema, Lateness: 10 * time.Second})
	if err := g.SetRules(rules); err != nil {
		return nil, err
	}
	return func(text []byte) error {
		p := agent.Replay{Schema: schema, Enrich: enrich, Inputs: []*source.Input{source.NewInput("bench", bytes.NewReader(text))}}
		alerts := 0
		emit := func(*alert.Alert) { alerts++ }
		err := p.Detect(context.Background(), g, emit, func(int) error { return nil })
		if n := p.Stats.Rejected.Load(); err == nil && (n > 0 || alerts > 0) {
			err = fmt.Errorf("bug: %d rejected, %d alerts", n, alerts)
		}
		return err
	}, nil
}

func fast(text []byte) error {
	var p fastjson.Parser
	for l := range bytes.Lines(text) {
		if _, err := p.ParseBytes(l); err != nil {
			return err
		}
	}
	return nil
}

func standard(text []byte) error {
	for l := range bytes.Lines(text) {
		var doc map[string]any
		if err := json.Unmarshal(l, &doc); err != nil {
			return err
		}
	}
	return nil
}

// program adds a contender that is another program, if it is installed, and prints what
// is wanted.
func (b *bench) program(c contender, want string, args ...string) bool {
	path, err := exec.LookPath(args[0])
	if err != nil {
		return false
	}
	c.cores = 1
	c.work = func([]byte) error {
		var out, trouble bytes.Buffer // grep stops at its first match if nobody reads the count
		cmd := exec.Command(path, args[1:]...)
		cmd.Stdout, cmd.Stderr = &out, &trouble
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%w: %s", err, trouble.String())
		}
		if got := strings.TrimSpace(out.String()); got != want {
			return fmt.Errorf("printed %q, want %q", got, want)
		}
		return nil
	}
	b.contenders = append(b.contenders, &c)
	return true
}

// jq is one filter, over part of the documents for it takes its time.
func (b *bench) jq(dir, group string, text []byte, n int) error {
	name := filepath.Join(dir, group+".ndjson")
	if err := os.WriteFile(name, text, 0o644); err != nil {
		return err
	}
	c := contender{name: "`jq`, one filter", key: "Jq/" + group, group: group, events: n, bytes: len(text)}
	const filter = `select((.event.category | index("process")) and .process.name == "ctr" and (.process.args | index("exec")))`
	if !b.program(c, "", "jq", "-c", filter, name) && group == processes {
		b.absent = append(b.absent, "jq")
	}
	return nil
}

// literal is what grep and its like look for in the place of the seed rule.
const literal = `"ctr"`

// search is the seed rule over a file in which one of 10,000 lines matches, as scan
// --no-enrich reads it, and programs that look for a literal of it.
func (b *bench) search(dir string, seed *rule.Rule, n int) error {
	for _, s := range []struct {
		name, key string
		workers   int
	}{{"of virtual machines", "machines", 0}, {"of which a quarter are workers of a cluster", "workers", 2}} {
		name := filepath.Join(dir, s.key+".ndjson")
		f, err := os.Create(name)
		if err != nil {
			return err
		}
		fleet, size, want := newFleet(4, s.workers), 0, 0
		for i := range n {
			var doc []byte
			if i%10000 == 1 {
				doc = fleet.suspicious()
				want++
			} else {
				doc = fleet.started(fleet.step())
			}
			size += len(doc)
			if _, err := f.Write(doc); err != nil {
				f.Close()
				return err
			}
		}
		if err := f.Close(); err != nil {
			return err
		}
		b.searched = n
		group := search + "/" + s.key
		for _, skip := range []bool{true, false} {
			c := contender{name: "Orlop, the seed rule, hosts " + s.name, key: "Orlop/" + group, group: group, cores: 1, events: n, bytes: size}
			if !skip {
				c.name, c.key = c.name+", reading every line", c.key+"/all"
			}
			c.work = func([]byte) error { return scanFile(name, seed, skip, want) }
			b.contenders = append(b.contenders, &c)
		}
		for _, args := range [][]string{{"rg", "-c", "-F", "--no-config", literal, name}, {"grep", "-c", "-F", literal, name}} {
			c := contender{name: fmt.Sprintf("`%s -c -F '%s'`, the same", args[0], literal), key: strings.ToUpper(args[0][:1]) + args[0][1:] + "/" + group, group: group, events: n, bytes: size}
			ok := b.program(c, fmt.Sprint(want), args...)
			if !ok && s.workers == 0 {
				b.absent = append(b.absent, args[0])
			}
		}
	}
	return nil
}

func scanFile(name string, seed *rule.Rule, skip bool, want int) error {
	schema := event.NewSchema()
	g := detect.New(detect.Options{Schema: schema, Lateness: -1})
	if err := g.SetRules([]*rule.Rule{seed}); err != nil {
		return err
	}
	inputs, err := source.Open([]string{name}, nil)
	if err != nil {
		return err
	}
	p := agent.Replay{Schema: schema, Inputs: inputs}
	if skip {
		p.Literals = g.Literals
	}
	alerts := 0
	emit := func(*alert.Alert) { alerts++ }
	err = p.Detect(context.Background(), g, emit, func(int) error { return nil })
	if err == nil && alerts != want {
		err = fmt.Errorf("bug: %d alerts, want %d", alerts, want)
	}
	return err
}

// measure lets everybody work, in turn, one round after the other.
func (b *bench) measure(rounds int) error {
	all := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(all)
	for round := -1; round < rounds; round++ { // the first is not counted
		for _, c := range b.contenders {
			took, err := c.turn()
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			if round >= 0 {
				c.took = append(c.took, took)
			}
		}
		runtime.GOMAXPROCS(1)
		if round >= 0 && len(b.loads) < 5 {
			if err := b.load(); err != nil {
				return err
			}
		}
		fmt.Fprintf(os.Stderr, "\rround %d of %d", round+1, rounds)
	}
	fmt.Fprintln(os.Stderr)
	for _, c := range b.contenders {
		if err := c.count(); err != nil {
			return err
		}
	}
	return nil
}

// turn is one contender's part of a round: it works three times, or as often as half a
// second has room for, and the best counts, for others use the machine, too.
func (c *contender) turn() (best time.Duration, err error) {
	runtime.GOMAXPROCS(c.cores)
	begin := time.Now()
	for i := 0; i == 0 || i < 3 && time.Since(begin) < time.Second/2; i++ {
		runtime.GC()
		start := time.Now()
		if err := c.work(c.text); err != nil {
			return 0, err
		}
		if took := time.Since(start); i == 0 || took < best {
			best = took
		}
	}
	return best, nil
}

// count finds how many allocations an event takes in the long run: what the second
// half of the text takes more than the first, for readers have to begin, and remember.
func (c *contender) count() error {
	c.allocs = math.NaN()
	if c.text == nil {
		return nil
	}
	mallocs := func(text []byte) (float64, error) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := c.work(text)
		runtime.ReadMemStats(&after)
		return float64(after.Mallocs - before.Mallocs), err
	}
	half := c.text[:len(c.text)/2]
	half = half[:bytes.LastIndexByte(half, '\n')+1]
	one, err := mallocs(half)
	if err != nil {
		return err
	}
	both, err := mallocs(c.text)
	if err != nil {
		return err
	}
	events := float64(c.events) * float64(len(c.text)-len(half)) / float64(len(c.text))
	c.allocs = max(0, both-one) / events
	return nil
}

// load reads the rule files and gives them to an engine.
func (b *bench) load() error {
	live := func() float64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	before := live()
	start := time.Now()
	pack := rule.Load(b.files)
	if len(pack.Errors) > 0 {
		return fmt.Errorf("bug: %s", pack.Errors.Report())
	}
	g := detect.New(detect.Options{Schema: event.NewSchema(), Lateness: 10 * time.Second})
	if err := g.SetRules(pack.Rules); err != nil {
		return err
	}
	b.loads = append(b.loads, time.Since(start))
	b.heap = append(b.heap, (live()-before)/1e6)
	runtime.KeepAlive(pack)
	runtime.KeepAlive(g)
	return nil
}
