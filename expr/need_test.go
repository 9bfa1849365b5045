package expr_test

import (
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/expr"
)

// A leaf holds for no event without what it needs.
func TestNeedsAreNecessary(t *testing.T) {
	s := event.NewSchema()
	ref := expr.Ref{Field: s.Field("f"), Name: "f"}
	rapid.Check(t, func(r *rapid.T) {
		p := drawLeaf(r, ref)
		_, needs, ok := expr.Needs(p)
		if !ok {
			r.Fatalf("%s: no needs", p)
		}
		for range 20 {
			v := drawValue(r)
			var e event.Event
			e.Set(ref.Field, v)
			if !p.Match(&e) {
				continue
			}
			has := false
			for _, n := range needs {
				has = has || meets(v, n)
			}
			if !has {
				r.Fatalf("%s holds for %s %s, which has none of %+v", p, v.Kind(), v.AppendJSON(nil), needs)
			}
		}
	})
}

// meets says whether a value has what is needed, as the comment of How says it.
func meets(v event.Value, n expr.Need) bool {
	text := strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, v.Text())
	number := v
	if v.Kind() == event.KindString {
		number, _ = event.Number(v.Str())
		if at, ok := event.ParseTime(v.Str()); ok && !number.Exists() {
			number = event.Int(at.UnixMilli())
		}
	}
	isNumber := number.Kind() == event.KindInt || number.Kind() == event.KindFloat
	switch n.How {
	case expr.Whole:
		return text == n.Text
	case expr.Start:
		return strings.HasPrefix(text, n.Text)
	case expr.End:
		return strings.HasSuffix(text, n.Text)
	case expr.Part:
		return strings.Contains(text, n.Text)
	case expr.Equal:
		return isNumber && number.Float() == n.Number
	case expr.AtMost:
		return isNumber && number.Float() <= n.Number
	case expr.AtLeast:
		return isNumber && number.Float() >= n.Number
	case expr.Inside:
		a, err := netip.ParseAddr(v.Str())
		return err == nil && n.Block.Contains(a.Unmap().WithZone(""))
	}
	return true
}

func drawLeaf(r *rapid.T, ref expr.Ref) expr.Pred {
	fold := rapid.Bool().Draw(r, "fold")
	switch rapid.IntRange(0, 5).Draw(r, "leaf") {
	case 0:
		var vs []event.Value
		for range rapid.IntRange(1, 3).Draw(r, "length") {
			vs = append(vs, drawValue(r))
		}
		return expr.NewIn(ref, fold, vs...)
	case 1:
		return &expr.Compare{Ref: ref, Op: rapid.SampledFrom([]string{"<", "<=", ">", ">="}).Draw(r, "op"), C: expr.NewConst(drawValue(r))}
	case 2:
		var texts []string
		for range rapid.IntRange(1, 3).Draw(r, "length") {
			texts = append(texts, rapid.StringOfN(rapid.SampledFrom([]rune("aAbé*?")), 0, 6, -1).Draw(r, "wildcard"))
		}
		return expr.NewLike(ref, "like", fold, texts...)
	case 3:
		p := &expr.CIDR{Ref: ref}
		for _, s := range rapid.SliceOfN(rapid.SampledFrom([]string{"10.0.0.0/8", "10.1.2.3", "::/0", "fe80::/10", "0.0.0.0/0", "::ffff:10.0.0.0/104"}), 1, 3).Draw(r, "blocks") {
			b, err := expr.ParseBlock(s)
			if err != nil {
				r.Fatal(err)
			}
			p.Blocks, p.Text = append(p.Blocks, b), append(p.Text, s)
		}
		return p
	}
	for {
		p, err := expr.NewRegex(ref, "regex", fold, drawRegex(r, 3))
		if err == nil {
			return p
		}
	}
}

func drawRegex(r *rapid.T, depth int) string {
	if depth == 0 {
		return rapid.SampledFrom([]string{"a", "b", "A", "é", "ab", "[ab]", "[^a]", "[a-b]", ".", "@", "#", "<1-12>", `"aB"`, "()", `\w`}).Draw(r, "atom")
	}
	x := drawRegex(r, depth-1)
	switch rapid.IntRange(0, 7).Draw(r, "op") {
	case 0:
		return x + "|" + drawRegex(r, depth-1)
	case 1:
		return "(" + x + ")&(" + drawRegex(r, depth-1) + ")"
	case 2:
		return "~(" + x + ")"
	case 3:
		return "(" + x + ")" + rapid.SampledFrom([]string{"?", "*", "+", "{2}", "{1,2}", "{0,1}", "{0}", "{2,}"}).Draw(r, "times")
	case 4:
		return "(" + x + "|" + drawRegex(r, depth-1) + ")" + drawRegex(r, depth-1)
	}
	return x + drawRegex(r, depth-1)
}

func drawValue(r *rapid.T) event.Value {
	switch rapid.IntRange(0, 9).Draw(r, "kind") {
	case 0:
		return event.Int(rapid.SampledFrom([]int64{0, 5, -5, 1<<53 + 1, 1 << 53, 1577836800000}).Draw(r, "int"))
	case 1:
		return event.Float(rapid.SampledFrom([]float64{0, 5, 5.5, -5, 1 << 53, 1e300}).Draw(r, "float"))
	case 2:
		return event.Bool(rapid.Bool().Draw(r, "bool"))
	case 3:
		return event.String(rapid.SampledFrom([]string{
			"5", "5.0", "05", "-5", "5e0", "true", "TRUE", "9007199254740993", "2020-01-01", "2020-01-01T00:00:00Z", "2020-01-01T01:00:00+01:00", "1970-01-01T00:00:00.005Z",
			"10.1.2.3", "::ffff:10.1.2.3", "fe80::1%eth0", "::1", "192.0.2.1", "12", "012"}).Draw(r, "text"))
	}
	return event.String(rapid.StringOfN(rapid.SampledFrom([]rune("aAbBé1")), 0, 6, -1).Draw(r, "text"))
}
