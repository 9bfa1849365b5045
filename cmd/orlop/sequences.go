package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/detect"
	"github.com/orlop/orlop/internal/agent"
	"github.com/orlop/orlop/source"
)

// memoryFlags are what rules of several events may take.
type memoryFlags struct{ memory, ruleMemory size }

func (m *memoryFlags) add(cmd *cobra.Command) {
	m.memory, m.ruleMemory = detect.DefaultBudget, 0
	cmd.Flags().Var(&m.memory, "sequence-memory", "memory for partial sequences, of all rules together; the oldest are given up for more")
	cmd.Flags().Var(&m.ruleMemory, "rule-memory", "memory for partial sequences of one rule (default as --sequence-memory)")
}

// sequenceFlags are how rules of several events are followed.
type sequenceFlags struct {
	memoryFlags
	lateness string
	bound    time.Duration // what lateness says; negative is none
}

func (s *sequenceFlags) add(cmd *cobra.Command) {
	s.memoryFlags.add(cmd)
	cmd.Flags().StringVar(&s.lateness, "lateness", "", "how much older than the newest event of its source an event may come and still count in sequences, or \"unbounded\" (default unbounded for files, 10s for what comes through a pipe to standard input)")
}

// options are those of the engine. Every input is announced, see expect; what waits
// for one that is read later, and does not fit into memory, waits on disk.
func (s *sequenceFlags) options() (detect.Options, error) {
	o := detect.Options{Budget: int64(s.memory), RuleBudget: int64(s.ruleMemory), Lateness: -1}
	s.bound = -1
	if s.lateness != "" && s.lateness != "unbounded" {
		d, err := time.ParseDuration(s.lateness)
		if err != nil || d < 0 {
			return o, usage("--lateness %q: expected a duration such as 10s, or unbounded", s.lateness)
		}
		s.bound = d
	}
	return o, nil
}

// expect announces the inputs to the engine before the first is read, and returns
// what is to be told when one has been.
func (s *sequenceFlags) expect(g *detect.Engine, inputs []*source.Input, emit func(*alert.Alert)) func(*source.Input) {
	left := map[string]int{} // a file may be named twice
	for _, in := range inputs {
		lateness := s.bound
		if s.lateness == "" && in.Name() == "-" && in.Size() < 0 {
			lateness = agent.DefaultLateness // its events come as they happen
		}
		g.Expect(in.Name(), lateness)
		left[in.Name()]++
	}
	return func(in *source.Input) {
		if left[in.Name()]--; left[in.Name()] == 0 {
			g.Ended(in.Name(), emit)
		}
	}
}

// A size is a number of bytes, written with a unit: 64MB, 1GB.
type size int64

var units = []struct {
	name string
	n    size
}{{"GB", 1 << 30}, {"MB", 1 << 20}, {"KB", 1 << 10}, {"B", 1}}

func (s *size) String() string {
	if *s == 0 {
		return ""
	}
	for _, u := range units {
		if *s%u.n == 0 {
			return strconv.FormatInt(int64(*s/u.n), 10) + u.name
		}
	}
	return ""
}

// Set reads a size; K, M and G are powers of 1024, with or without B or iB.
func (s *size) Set(text string) error {
	t := strings.ToUpper(strings.TrimSpace(text))
	t = strings.Replace(t, "IB", "B", 1)
	unit := size(1)
	for _, u := range units {
		if name := strings.TrimSuffix(u.name, "B"); strings.HasSuffix(t, u.name) || name != "" && strings.HasSuffix(t, name) {
			unit, t = u.n, strings.TrimSuffix(strings.TrimSuffix(t, u.name), name)
			break
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(t), 10, 64)
	if err != nil || n <= 0 || n > 1<<40 {
		return fmt.Errorf("expected a size such as 64MB")
	}
	*s = size(n) * unit
	return nil
}

// Type names the value in help.
func (s *size) Type() string { return "SIZE" }
