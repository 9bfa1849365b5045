package main

import (
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
)

func median(xs []float64) float64 {
	s := slices.Sorted(slices.Values(xs))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// best is the least time that c took: what others do on the machine only adds to it.
func (c *contender) best() float64 { return slices.Min(c.took).Seconds() }

// times says how many times as fast as d c is, for as many bytes.
func (c *contender) times(d *contender) float64 {
	if c == nil || d == nil {
		return math.NaN()
	}
	return d.best() / float64(d.bytes) * float64(c.bytes) / c.best()
}

func (c *contender) rate(n int) float64 { return float64(n) / c.best() }

// find returns the contender with the key, or nil.
func (b *bench) find(key string, cores int) *contender {
	for _, c := range b.contenders {
		if c.key == key && c.cores == cores {
			return c
		}
	}
	return nil
}

// number writes f with three digits that matter, and commas; of what is not there, –.
func number(f float64) string {
	switch {
	case math.IsNaN(f):
		return "–"
	case f >= 1000:
		step := math.Pow(10, math.Floor(math.Log10(f))-2)
		text := fmt.Sprintf("%.0f", math.Round(f/step)*step)
		for i := len(text) - 3; i > 0; i -= 3 {
			text = text[:i] + "," + text[i:]
		}
		return text
	case f >= 100:
		return fmt.Sprintf("%.0f", f)
	case f >= 10:
		return fmt.Sprintf("%.1f", f)
	}
	return fmt.Sprintf("%.2f", f)
}

type table struct{ strings.Builder }

func (t *table) row(cells ...string) { t.WriteString("| " + strings.Join(cells, " | ") + " |\n") }

func (t *table) head(cells ...string) {
	t.row(cells...)
	t.WriteString("|---" + strings.Repeat("|---:", len(cells)-1) + "|\n")
}

// tables are the results in Markdown.
func (b *bench) tables(rounds int) string {
	var t table
	fmt.Fprintf(&t, "%s. The best of %d rounds", machine(), rounds)
	if len(b.absent) > 0 {
		fmt.Fprintf(&t, "; not installed: %s", strings.Join(b.absent, ", "))
	}
	t.WriteString(".\n")
	for _, g := range []struct{ key, about string }{
		{processes, "Documents of Elastic Defend about processes that begin, %.1f kB each:"},
		{workday, "Documents of a day, of Elastic Defend (processes, files, connections) and Auditbeat, %.1f kB each on average:"},
	} {
		fmt.Fprintf(&t, "\n"+g.about+"\n\n", b.size[g.key])
		all := runtime.NumCPU()
		t.head("one core", "events/s", "MB/s", "× `fastjson`", "× `jq`", "time, of 1 rule's", "allocations an event", fmt.Sprintf("%d cores, × one", all))
		json, jq, one := b.find("Fastjson/"+g.key, 1), b.find("Jq/"+g.key, 1), b.find("Orlop/"+g.key+"/rules=1", 1)
		for _, c := range b.contenders {
			if c.group != g.key || c.cores != 1 {
				continue
			}
			part := math.NaN()
			if strings.HasPrefix(c.key, "Orlop") {
				part = one.times(c)
			}
			more := b.find(c.key, all)
			if all == 1 {
				more = nil
			}
			t.row(c.name, number(c.rate(c.events)), number(c.rate(c.bytes)/1e6), number(c.times(json)), number(c.times(jq)), number(part), number(c.allocs), number(more.times(c)))
		}
	}
	fmt.Fprintf(&t, "\nA file of %s lines, of which one in 10,000 matches, on one core:\n\n", number(float64(b.searched)))
	grep := "Rg"
	if b.find("Rg/"+search+"/machines", 1) == nil {
		grep = "Grep"
	}
	t.head("", "MB/s", "× `"+strings.ToLower(grep)+"`")
	for _, c := range b.contenders {
		if strings.HasPrefix(c.group, search) {
			t.row(c.name, number(c.rate(c.bytes)/1e6), number(c.times(b.find(grep+"/"+c.group, 1))))
		}
	}
	t.WriteString("\nRaw records of auditd, four of five events an execve and one a connect, on one core:\n\n")
	t.head("", "records/s", "MB/s", "time, of 1 rule's", "allocations a record")
	for _, c := range b.contenders {
		if c.group == auditLog {
			t.row(c.name, number(c.rate(c.events)), number(c.rate(c.bytes)/1e6), number(b.find("Orlop/"+auditLog+"/rules=1", 1).times(c)), number(c.allocs))
		}
	}
	fmt.Fprintf(&t, "\nLoading %s, a file each, until they can run: %.0f ms on one core, %.1f MB of heap kept.\n", plural(b.rules, "rule"), float64(slices.Min(b.loads).Microseconds())/1e3, median(b.heap))
	return t.String()
}

// benchstat writes each round as benchstat reads it.
func (b *bench) benchstat(w io.Writer) {
	fmt.Fprintf(w, "goos: %s\ngoarch: %s\npkg: github.com/orlop/orlop/cmd/bench\ncpu: %s\n", runtime.GOOS, runtime.GOARCH, machine())
	for _, c := range b.contenders {
		for _, d := range c.took {
			fmt.Fprintf(w, "Benchmark%s-%d\t1\t%.1f ns/op\t%.2f MB/s", c.key, c.cores, float64(d.Nanoseconds())/float64(c.events), float64(c.bytes)/1e6/d.Seconds())
			if c.text != nil {
				fmt.Fprintf(w, "\t%.3f allocs/op", c.allocs)
			}
			fmt.Fprintln(w)
		}
	}
	for i, d := range b.loads {
		fmt.Fprintf(w, "BenchmarkLoad/rules=%d-1\t1\t%d ns/op\t%.2f live-MB\n", b.rules, d.Nanoseconds(), b.heap[i])
	}
}
