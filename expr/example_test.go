package expr_test

import (
	"fmt"
	"strings"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/expr"
)

func ExampleExplain() {
	s := event.NewSchema()
	ref := func(name string) expr.Ref { return expr.Ref{Field: s.Field(name), Name: name} }
	p := expr.NewAll(
		expr.NewIn(ref("process.args"), false, event.String("run"), event.String("exec")),
		expr.NewNot(expr.NewLike(ref("user.name"), ":", true, "svc-*")),
	)
	var e event.Event
	if err := event.NewDecoder(s).Decode([]byte(`{"process":{"args":["ctr","run"]}}`), &e); err != nil {
		fmt.Println(err)
		return
	}
	var show func(x expr.Explanation, indent int)
	show = func(x expr.Explanation, indent int) {
		fmt.Printf("%s%v: %s", strings.Repeat("  ", indent), x.Held, x.Clause)
		for _, u := range x.Fields {
			if u.Matched.Exists() {
				fmt.Printf(" because of %q", u.Matched.Text())
			} else if !u.Value.Exists() {
				fmt.Printf(" because there is none")
			}
		}
		fmt.Println()
		for _, y := range x.Parts {
			show(y, indent+1)
		}
	}
	show(expr.Explain(p, &e), 0)
	// Output:
	// true: process.args in ("run", "exec") and not user.name : "svc-*"
	//   true: process.args in ("run", "exec") because of "run"
	//   true: not user.name : "svc-*"
	//     false: user.name : "svc-*" because there is none
}
