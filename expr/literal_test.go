package expr_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/orlop/orlop/eql"
	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/expr"
)

// What a condition needs of a document's JSON, in the way that costs least where each
// literal costs 100 less its length. ~ is of either case.
func TestLiterals(t *testing.T) {
	f := func(where, want string) {
		t.Helper()
		q, err := eql.Compile(syntax.Source{Text: "any where " + where}, event.NewSchema())
		if err != nil {
			t.Fatal(err)
		}
		ls, ok := expr.Literals(q.Filter, func(l event.Literal) float64 { return 100 - float64(len(l.Text)) })
		got := "none"
		if ok {
			var texts []string
			for _, l := range ls {
				fold := ""
				if l.Fold {
					fold = "~"
				}
				texts = append(texts, fold+l.Text)
			}
			got = strings.Join(texts, " ")
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", where, got, want)
		}
	}
	f(`process.name == "ctr"`, `"ctr"`)
	f(`process.name in ("ctr", "crictl")`, `"ctr" "crictl"`)
	f(`process.name : "CTR"`, `~"ctr"`)
	f(`process.name : ("ctr*", "*Sock?et")`, `~"ctr ~sock`)
	f(`process.args like "/run/*containerd.sock"`, `containerd.sock"`)
	f(`process.name regex "ctr|crictl"`, `~"ctr" ~"crictl"`)
	f(`process.name regex ".*\\.so"`, `~.so`)
	// A conjunction has a choice, a disjunction has none.
	f(`process.name == "ctr" and process.args == "snapshots"`, `"snapshots"`)
	f(`process.name == "ctr" or process.args == "snapshots"`, `"ctr" "snapshots"`)
	f(`process.name == "ctr" and not process.args == "snapshots"`, `"ctr"`)
	f(`process.name == "ctr" or not process.args == "snapshots"`, `none`)
	f(`process.name == "ctr" or process.pid > 3`, `none`)
	f(`process.name == "ctr" or length(process.name) == 3`, `none`)
	f(`process.name == "ctr" or process.name == null`, `none`)
	// JSON has no quotes and backslashes in strings but by escapes.
	f(`process.name == "say \"hello\" to C:\\Windows"`, `Windows"`)
	f(`process.name == "\"\""`, `none`)
	// Numbers and booleans have no quotes, numbers and dates several spellings.
	f(`process.name == "4711"`, `none`)
	f(`process.name : "47110*"`, `none`)
	f(`process.name : "rue*"`, `none`)
	f(`process.name == true`, `none`)
	f(`process.name == "2026-04-29"`, `none`)
	f(`process.name : "1.2.3.4"`, `none`)
	f(`process.name : "inf*"`, `none`)
	f(`process.name : "sh"`, `~"sh"`)
	f(`process.name : "*sh*"`, `~sh`)
	f(`process.name : ".*"`, `~".`)
	f(`process.name : "*.*"`, `none`)
	f(`process.name : "*.s*"`, `~.s`)
	f(`process.name : "-1*"`, `none`)
	f(fmt.Sprintf(`process.name == "é%s"`, "ctr"), `"éctr"`)
}
