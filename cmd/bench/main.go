// Bench measures what rules cost, beside other programs that read the same:
//
//	go run ./cmd/bench [-benchstat] [-write docs/performance.md]
//
// It makes documents and rules of its own, always the same ones, and lets each
// contender do its work in turn, round after round, so that whatever else the machine
// does hits all alike. In a round each works three times, or as often as half a second has
// room for. The tables have the best of all that: what others do only adds to it.
//
// With -benchstat it prints each round in the form that benchstat reads. With -write it
// puts the tables into a file, in place of what is between its markers.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
)

func main() {
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: bench [flags]")
		flag.PrintDefaults()
	}
	rounds := flag.Int("rounds", 11, "how many rounds are measured")
	documents := flag.Int("documents", 10000, "how many documents a round reads; the file that is searched has 6 times as many")
	benchstat := flag.Bool("benchstat", false, "print each round as benchstat reads it")
	write := flag.String("write", "", "put the tables between the markers of this `FILE`")
	flag.Parse()
	if flag.NArg() > 0 || *rounds < 1 || *documents < 100 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*rounds, *documents, []int{1, 10, 100, 1000, 2000}, *benchstat, *write); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(rounds, documents int, counts []int, benchstat bool, write string) (err error) {
	dir, err := os.MkdirTemp("", "orlop-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b, err := prepare(dir, documents, counts)
	if err != nil {
		return err
	}
	if err := b.measure(rounds); err != nil {
		return err
	}
	if benchstat {
		b.benchstat(os.Stdout)
		return nil
	}
	text := b.tables(rounds)
	if write == "" {
		fmt.Print(text)
		return nil
	}
	return between(write, text)
}

const begin, end = "<!-- begin measured -->\n", "<!-- end measured -->\n"

// between puts text between the markers of a file.
func between(name, text string) error {
	old, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	head, rest, ok := bytes.Cut(old, []byte(begin))
	_, tail, ok2 := bytes.Cut(rest, []byte(end))
	if !ok || !ok2 {
		return fmt.Errorf("%s: expected the lines %q and %q", name, strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	return os.WriteFile(name, []byte(string(head)+begin+text+end+string(tail)), 0o644)
}

// machine says in general words where it was measured.
func machine() string {
	model := runtime.GOARCH
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for l := range strings.Lines(string(text)) {
			if k, v, ok := strings.Cut(l, ":"); ok && strings.TrimSpace(k) == "model name" {
				model = strings.TrimSpace(v)
				break
			}
		}
	}
	return fmt.Sprintf("%s, %d cores, %s, %s", model, runtime.NumCPU(), runtime.GOOS, runtime.Version())
}
