package expr_test

import (
	"strings"
	"testing"
	"time"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/expr"
	"pgregory.net/rapid"
)

func TestWildcards(t *testing.T) {
	f := func(pattern, s string, want bool) {
		t.Helper()
		p := expr.NewPattern(pattern, false)
		if got := p.Match(s); got != want {
			t.Errorf("%q on %q: got %v", pattern, s, got)
		}
	}
	f("*.exe", "cmd.exe", true)
	f("*.exe", "cmd.exe.txt", false)
	f("*a*a*", "a", false)
	f("*a*a*", "xaxax", true)
	f("a*a", "a", false)
	f("?", "é", true)
	f("?", "", false)
	f("é?", "éé", true)
	f("?*?", "a", false)
	f("?*?", "ab", true)
	f("*?b", "ab", true)
	f("", "", true)
	f("*", "", true)
	f("a\\*", "a\\x", true) // no escapes
	f("%_", "%_", true)
	f("*\x80", "é", false)

	fold := expr.NewPattern("*Cmd.E?E", true)
	if !fold.Match(`C:\CMD.eXe`) || fold.Match("cmd.exeé") {
		t.Error("folding")
	}
	if k := expr.NewPattern("K", true); k.Match("\u212a") { // the Kelvin sign is no ASCII letter
		t.Error("folding is for ASCII only")
	}
}

func TestWildcardsMatchWhatTryingEverythingMatches(t *testing.T) {
	var wild func(p, s []rune) bool
	wild = func(p, s []rune) bool {
		switch {
		case len(p) == 0:
			return len(s) == 0
		case p[0] == '*':
			return wild(p[1:], s) || len(s) > 0 && wild(p, s[1:])
		}
		return len(s) > 0 && (p[0] == '?' || p[0] == s[0]) && wild(p[1:], s[1:])
	}
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SliceOfN(rapid.SampledFrom([]rune("ab*?é")), 0, 6).Draw(t, "pattern")
		s := rapid.SliceOfN(rapid.SampledFrom([]rune("aAbé")), 0, 6).Draw(t, "text")
		fold := rapid.Bool().Draw(t, "fold")
		in := string(s)
		if fold {
			in = strings.ReplaceAll(in, "A", "a")
		}
		compiled := expr.NewPattern(string(p), fold)
		if got, want := compiled.Match(string(s)), wild(p, []rune(in)); got != want {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

// A long list gives what its patterns give one by one.
func TestManyWildcardsMatchWhatEachMatches(t *testing.T) {
	s := event.NewSchema()
	ref := expr.Ref{Field: s.Field("x"), Name: "x"}
	long := strings.Repeat("b", 70)
	word := rapid.OneOf(rapid.StringOfN(rapid.SampledFrom([]rune("aAb*?é")), 0, 6, -1), rapid.SampledFrom([]string{long + "*a", "*a" + long, long + "a*" + long}))
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.SliceOfN(word, 9, 14).Draw(t, "patterns")
		value := rapid.OneOf(rapid.StringOfN(rapid.SampledFrom([]rune("aAbé")), 0, 6, -1), rapid.SampledFrom([]string{long + "xa", "a" + long, long + "aa" + long, long})).Draw(t, "value")
		fold := rapid.Bool().Draw(t, "fold")
		var e event.Event
		e.Set(ref.Field, event.String(value))
		want := false
		for _, text := range texts {
			p := expr.NewPattern(text, fold)
			want = want || p.Match(value)
		}
		if got := expr.NewLike(ref, ":", fold, texts...).Match(&e); got != want {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

func TestWildcardsOfManyStarsAreQuick(t *testing.T) {
	p := expr.NewPattern(strings.Repeat("*a?", 500)+"*b", true)
	start := time.Now()
	p.Match(strings.Repeat("a", 1<<16))
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

// A script over several lists tries every combination, but not without end.
func TestCombinationsAreBounded(t *testing.T) {
	s := event.NewSchema()
	a, b := s.Field("a"), s.Field("b")
	values := make([]event.Value, 5000)
	for i := range values {
		values[i] = event.Int(int64(i))
	}
	var e event.Event
	e.Set(a, event.List(values))
	e.Set(b, event.List(values))
	tried := 0
	never := expr.NewScript(&expr.Apply{
		Args: []expr.Scalar{&expr.FieldValue{Ref: expr.Ref{Field: a}}, &expr.FieldValue{Ref: expr.Ref{Field: b}}},
		Fn:   func([]event.Value) event.Value { tried++; return event.Bool(false) },
	}, "never", false)
	if never.Match(&e) || tried != expr.MaxCombinations {
		t.Errorf("tried %d combinations, want %d", tried, expr.MaxCombinations)
	}
	// One list is tried to its end, however long.
	long := make([]event.Value, expr.MaxCombinations+10)
	for i := range long {
		long[i] = event.Int(int64(i))
	}
	e.Set(a, event.List(long))
	last := expr.NewScript(&expr.Apply{
		Args: []expr.Scalar{&expr.FieldValue{Ref: expr.Ref{Field: a}}},
		Fn:   func(v []event.Value) event.Value { return event.Bool(v[0].Int() == int64(len(long)-1)) },
	}, "last", false)
	if !last.Match(&e) {
		t.Error("the last element was not tried")
	}
}
