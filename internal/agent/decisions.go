package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/expr"
	"github.com/orlop/orlop/internal/own"
	"github.com/orlop/orlop/rule"
	"github.com/orlop/orlop/store"
)

// Decisions are what people have decided in the console of a store: what is excepted from
// which rules, and which rules are off.
type Decisions struct {
	Exceptions []*store.Exception `json:"exceptions"`
	Rules      []*store.RuleState `json:"rules"`
}

// decided is what a run makes of Decisions. It is guarded by Live.mu.
type decided struct {
	text    []byte // the Decisions, as JSON; nil if none were heard of
	rules   []*rule.Rule
	off     map[string]bool         // by rule_id
	of      map[string][]*exception // by rule_id; "" is of all rules
	refused []string                // exceptions that cannot run, and why
	active  int                     // exceptions that can
	held    map[held]store.Hold     // not in the store yet
}

type held struct{ exception, rule string }

// exception is one that runs.
type exception struct {
	id      string
	pred    expr.Pred
	expires time.Time
}

// Decided says what a run knows of decisions.
type Decided struct {
	Exceptions int      `json:"exceptions"`        // that hold, or will until they expire
	Refused    []string `json:"refused,omitempty"` // exceptions that cannot run, and why
	Off        int      `json:"rules_off"`
}

// Decide makes the run act on what people have decided, from the next event on. An
// exception that cannot run does nothing, and is told by [Live.Decided].
func (l *Live) Decide(d *Decisions) error {
	text, err := json.Marshal(d)
	if err != nil {
		return err
	}
	next := decided{text: text, off: map[string]bool{}, of: map[string][]*exception{}}
	for _, r := range d.Rules {
		if r.Disabled {
			next.off[r.RuleID] = true
		}
	}
	for _, x := range d.Exceptions {
		err := x.Check()
		var pred expr.Pred
		if err == nil {
			pred, err = x.Compile(l.Schema)
		}
		if err != nil {
			next.refused = append(next.refused, fmt.Sprintf("%.100q: %v", x.Name, err))
			continue
		}
		next.active++
		run := &exception{x.ID, pred, x.Expires}
		ids := x.Rules
		if len(ids) == 0 {
			ids = []string{""}
		}
		for _, id := range ids {
			next.of[id] = append(next.of[id], run)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if bytes.Equal(text, l.decided.text) {
		return nil
	}
	was := l.decided
	next.rules, next.held = was.rules, was.held
	l.decided = next
	for _, why := range next.refused {
		if !slices.Contains(was.refused, why) {
			l.log(slog.LevelError, "an exception cannot run, and does nothing", "exception", why)
		}
	}
	if !sameKeys(was.off, next.off) {
		if next.rules == nil {
			for _, s := range l.Engine.Rules() {
				l.decided.rules = append(l.decided.rules, s.Rule)
			}
		}
		// Those that are wrong were so before, and do not run.
		l.Engine.SetRules(l.wanted(l.decided.rules))
	}
	l.log(slog.LevelInfo, "what people decided in the console holds", "exceptions", next.active, "rules_off", len(next.off))
	return nil
}

func sameKeys(a, b map[string]bool) bool {
	for k := range a {
		if !b[k] {
			return false
		}
	}
	return len(a) == len(b)
}

// wanted are rules as people want them: those that are off are there, and do not run. The
// caller holds mu.
func (l *Live) wanted(rules []*rule.Rule) []*rule.Rule {
	if len(l.decided.off) == 0 {
		return rules
	}
	rules = slices.Clone(rules)
	for i, r := range rules {
		if l.decided.off[r.ID] {
			off := *r
			off.Enabled = false
			rules[i] = &off
		}
	}
	return rules
}

// except reports whether an exception keeps an event from a rule, and counts that. What
// expires does so by the time of events, as in a Tuning: it may be asked again of the same
// ones. The engine's caller holds mu.
func (l *Live) except(r *rule.Rule, e *event.Event) bool {
	for _, of := range [...][]*exception{l.decided.of[r.ID], l.decided.of[""]} {
		for _, x := range of {
			at := e.Time
			if at.IsZero() {
				at = l.now
			}
			if !x.expires.IsZero() && !at.Before(x.expires) || !x.pred.Match(e) {
				continue
			}
			if l.decided.held == nil {
				l.decided.held = map[held]store.Hold{}
			}
			h := l.decided.held[held{x.id, r.ID}]
			h.Exception, h.Rule = x.id, r.ID
			h.Count++
			if at.After(h.Last) {
				h.Last = at
			}
			l.decided.held[held{x.id, r.ID}] = h
			return true
		}
	}
	return false
}

// Decided says what the run knows of decisions; it is nil if it knows of none.
func (l *Live) Decided() *Decided {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.decided.text == nil {
		return nil
	}
	return &Decided{Exceptions: l.decided.active, Refused: slices.Clone(l.decided.refused), Off: len(l.decided.off)}
}

// holds hands over how often exceptions have held since it was last called.
func (l *Live) holds() (all []store.Hold) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range l.decided.held {
		all = append(all, h)
	}
	clear(l.decided.held)
	return all
}

// unhold takes back what the store has not taken.
func (l *Live) unhold(all []store.Hold) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range all {
		k := held{h.Exception, h.Rule}
		more := l.decided.held[k]
		h.Count += more.Count
		if more.Last.After(h.Last) {
			h.Last = more.Last
		}
		l.decided.held[k] = h
	}
}

// decisionsName is the file in a state directory that has the last known Decisions.
const decisionsName = "decisions.json"

// Recall makes the run act on what the last one with the same State knew, for as long as
// the store does not tell.
func (l *Live) Recall() error {
	name := l.State.path(decisionsName)
	text, err := own.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var d Decisions
	if err := json.Unmarshal(text, &d); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return l.Decide(&d)
}

// Learn asks a store what people have decided, and makes the run act on it. It is kept with
// the State for the next run.
func (l *Live) Learn(ctx context.Context, s *store.Store) error {
	var d Decisions
	var err error
	if d.Exceptions, err = s.Exceptions(ctx); err != nil {
		return err
	}
	if d.Rules, err = s.RuleStates(ctx); err != nil {
		return err
	}
	if err := l.Decide(&d); err != nil {
		return err
	}
	if err := l.keepDecisions(); err != nil {
		l.log(slog.LevelError, "what people decided is not kept for a start without the store", "reason", err)
	}
	return nil
}

// keepDecisions writes them beside the state, unless the same is there.
func (l *Live) keepDecisions() error {
	if l.State == nil {
		return nil
	}
	l.mu.Lock()
	text := l.decided.text
	l.mu.Unlock()
	name := l.State.path(decisionsName)
	if was, err := own.ReadFile(name); err == nil && bytes.Equal(was, text) {
		return nil
	}
	if err := own.WriteFile(name+".new", text); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

const (
	relearn   = time.Second     // when a store that did not tell is asked again
	bringEach = 5 * time.Second // how often the store is brought what exceptions have held
	bringLast = 2 * time.Second // how long that may take at the end
)

// Heed makes the run act on what people decide in a store from now on, and tells the store
// how often exceptions hold, until ctx ends. What was known last stays while the store does
// not answer.
func (l *Live) Heed(ctx context.Context, s *store.Store) {
	bringing := make(chan struct{})
	go func() {
		defer close(bringing)
		tick := time.NewTicker(bringEach)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				l.bring(ctx, s)
			case <-ctx.Done():
				last, cancel := context.WithTimeout(context.WithoutCancel(ctx), bringLast)
				defer cancel()
				l.bring(last, s)
				return
			}
		}
	}()
	said := ""
	for ctx.Err() == nil {
		known := int64(-1) // actions; each decision is one
		err := s.Watch(ctx, func(n store.Notice) error {
			if n.Actions == known {
				return nil
			}
			if err := l.Learn(ctx, s); err != nil {
				return err
			}
			known, said = n.Actions, ""
			return nil
		})
		if ctx.Err() != nil {
			break
		}
		if why := err.Error(); why != said {
			said = why
			l.log(slog.LevelWarn, "the store does not tell what people decide in the console; what was known last holds", "reason", err)
		}
		select {
		case <-time.After(relearn):
		case <-ctx.Done():
		}
	}
	<-bringing
}

// bring adds to the store how often exceptions have held.
func (l *Live) bring(ctx context.Context, s *store.Store) {
	all := l.holds()
	if len(all) == 0 {
		return
	}
	if err := s.AddHolds(ctx, all); err != nil {
		l.unhold(all)
		l.log(slog.LevelWarn, "the store does not take how often exceptions held; it is brought later", "reason", err)
	}
}
