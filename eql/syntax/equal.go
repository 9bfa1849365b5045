package syntax

import "slices"

// Equal reports whether two queries are the same but for layout: blanks,
// comments, parentheses that change nothing, and how a string is quoted.
func Equal(a, b *Query) bool {
	return same(a.Event, b.Event, equalFilter) &&
		same(a.Sequence, b.Sequence, equalSequence) &&
		same(a.Sample, b.Sample, func(a, b *Sample) bool {
			return equalFields(a.By, b.By) && slices.EqualFunc(a.Terms, b.Terms, equalTerm)
		}) &&
		slices.EqualFunc(a.Pipes, b.Pipes, func(a, b *Pipe) bool {
			return a.Name == b.Name && slices.EqualFunc(a.Args, b.Args, EqualExpr)
		})
}

// same reports whether both are there and equal, or neither is there.
func same[T any](a, b *T, equal func(a, b *T) bool) bool {
	if a == nil || b == nil {
		return a == b
	}
	return equal(a, b)
}

func equalSequence(a, b *Sequence) bool {
	return a.MaxSpan == b.MaxSpan && equalFields(a.By, b.By) &&
		slices.EqualFunc(a.Terms, b.Terms, equalTerm) && same(a.Until, b.Until, equalTerm)
}

func equalTerm(a, b *Term) bool {
	return a.Missing == b.Missing && a.Runs == b.Runs && equalFields(a.By, b.By) && equalFilter(a.Filter, b.Filter)
}

func equalFilter(a, b *Filter) bool {
	return a.Any == b.Any && a.Category == b.Category && EqualExpr(a.Where, b.Where)
}

func equalFields(a, b []*Field) bool { return slices.EqualFunc(a, b, equalField) }

func equalField(a, b *Field) bool { return a.Path == b.Path && a.Optional == b.Optional }

func equalLiteral(a, b *Literal) bool {
	return a.Kind == b.Kind && a.Bool == b.Bool && a.Int == b.Int && a.Float == b.Float && a.Str == b.Str
}

// EqualExpr is Equal for expressions.
func EqualExpr(a, b Expr) bool {
	switch a := a.(type) {
	case *Field:
		b, ok := b.(*Field)
		return ok && equalField(a, b)
	case *Literal:
		b, ok := b.(*Literal)
		return ok && equalLiteral(a, b)
	case *Not:
		b, ok := b.(*Not)
		return ok && EqualExpr(a.X, b.X)
	case *Logical:
		b, ok := b.(*Logical)
		return ok && a.Op == b.Op && slices.EqualFunc(a.Xs, b.Xs, EqualExpr)
	case *Binary:
		b, ok := b.(*Binary)
		return ok && a.Op == b.Op && EqualExpr(a.X, b.X) && EqualExpr(a.Y, b.Y)
	case *Neg:
		b, ok := b.(*Neg)
		return ok && a.Op == b.Op && EqualExpr(a.X, b.X)
	case *In:
		b, ok := b.(*In)
		return ok && a.Fold == b.Fold && a.Negated == b.Negated && EqualExpr(a.X, b.X) && slices.EqualFunc(a.List, b.List, EqualExpr)
	case *StringOp:
		b, ok := b.(*StringOp)
		return ok && a.Op == b.Op && a.Fold == b.Fold && EqualExpr(a.X, b.X) && slices.EqualFunc(a.List, b.List, equalLiteral)
	case *Call:
		b, ok := b.(*Call)
		return ok && a.Name == b.Name && a.Fold == b.Fold && slices.EqualFunc(a.Args, b.Args, EqualExpr)
	}
	return a == b
}
