package expr

import (
	"sync"

	"github.com/orlop/orlop/event"
)

// A Script is a predicate that has to be computed: a function or an operation
// on fields. With several values in its fields it is tried with every
// combination of one value each and holds if one of them makes it true; a
// missing field takes part as null.
type Script struct {
	X      Scalar
	Text   string // as EQL
	IsNull bool   // holds where X is null, not where it is true
	fields []event.Field
	frames sync.Pool // of *Frame, so that matching does not allocate
}

// MaxCombinations bounds how many combinations of values a Script tries where
// several of its fields are lists; behind it, it does not hold. The product of
// the lengths of hostile arrays has no other limit.
const MaxCombinations = 1 << 16

// A Scalar is a computed value. Null stands for null and for missing.
type Scalar interface {
	Eval(*Frame) event.Value
	each(func(Scalar))
}

// A Frame is one choice of a value for each field of a script.
type Frame struct {
	e      *event.Event
	fields []event.Field
	choice []int
	args   []event.Value // of the functions that are being computed, outermost first
}

// NewScript returns a predicate over x.
func NewScript(x Scalar, text string, isNull bool) *Script {
	s := &Script{X: x, Text: text, IsNull: isNull}
	seen := map[event.Field]bool{}
	var walk func(Scalar)
	walk = func(x Scalar) {
		if f, ok := x.(*FieldValue); ok && !seen[f.Field] {
			seen[f.Field] = true
			s.fields = append(s.fields, f.Field)
		}
		x.each(walk)
	}
	walk(x)
	return s
}

func (p *Script) String() string { return p.Text }

func (p *Script) Match(e *event.Event) bool {
	lists, most := 0, 0
	for _, f := range p.fields {
		if v := e.Get(f); v.Kind() == event.KindList {
			lists++
			most = v.Len()
		}
	}
	fr, _ := p.frames.Get().(*Frame)
	if fr == nil {
		fr = &Frame{choice: make([]int, len(p.fields))}
	}
	fr.e = e
	defer func() {
		clear(fr.args[:cap(fr.args)]) // keep nothing of the event
		fr.e, fr.fields, fr.args = nil, nil, fr.args[:0]
		p.frames.Put(fr)
	}()
	if lists == 0 { // Fast path: one value a field.
		return p.holds(fr)
	}
	if lists > 1 {
		most = MaxCombinations
	}
	fr.fields = p.fields
	clear(fr.choice)
	for range most {
		if p.holds(fr) {
			return true
		}
		i := 0
		for ; i < len(fr.choice); i++ {
			if fr.choice[i]++; fr.choice[i] < e.Get(p.fields[i]).Len() {
				break
			}
			fr.choice[i] = 0
		}
		if i == len(fr.choice) {
			return false
		}
	}
	return false
}

func (p *Script) holds(fr *Frame) bool {
	v := p.X.Eval(fr)
	if p.IsNull {
		return !v.Exists()
	}
	b, _ := boolean(v)
	return b && v.Kind() == event.KindBool
}

// A FieldValue is the chosen value of a field.
type FieldValue struct{ Ref }

// A ConstValue is a constant.
type ConstValue struct{ V event.Value }

// An Apply is a function of its arguments, which Fn must not keep. What Fn
// returns is null where it cannot be computed.
type Apply struct {
	Fn   func(args []event.Value) event.Value
	Args []Scalar
}

func (x *FieldValue) each(func(Scalar)) {}
func (x *ConstValue) each(func(Scalar)) {}
func (x *Apply) each(f func(Scalar)) {
	for _, a := range x.Args {
		f(a)
	}
}

func (x *FieldValue) Eval(fr *Frame) event.Value {
	v := fr.e.Get(x.Field)
	switch v.Kind() {
	case event.KindMissing:
		return event.Null()
	case event.KindList:
		for i, f := range fr.fields {
			if f == x.Field {
				return v.At(fr.choice[i])
			}
		}
	}
	return v
}

func (x *ConstValue) Eval(*Frame) event.Value { return x.V }

func (x *Apply) Eval(fr *Frame) event.Value {
	base := len(fr.args)
	for _, a := range x.Args {
		v := a.Eval(fr)
		fr.args = append(fr.args, v)
	}
	v := x.Fn(fr.args[base:])
	fr.args = fr.args[:base]
	return v
}
