package syntax_test

import (
	"fmt"

	"github.com/orlop/orlop/eql/syntax"
)

func ExampleParse() {
	q, err := syntax.Parse(syntax.Source{Text: `process where process.name in("ctr" , "crictl") and(x==1 or y)`})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(q)
	// Output: process where process.name in ("ctr", "crictl") and (x == 1 or y)
}

func ExampleFormat() {
	q, err := syntax.Parse(syntax.Source{Text: `sequence by host.id with maxspan=60s
[process where process.name=="ctr"] // someone on the node
[file where file.path:"/etc/*" // configuration
and not user.name in("root", /* a person */"admin")] | head 5`})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(syntax.Format(q))
	// Output:
	// sequence by host.id with maxspan=1m
	//   [process where process.name == "ctr"]  // someone on the node
	//   [
	//     file where
	//       file.path : "/etc/*" and  // configuration
	//       not user.name in ("root", /* a person */ "admin")
	//   ]
	// | head 5
}

func ExampleWalk() {
	x, err := syntax.ParseExpr(syntax.Source{Text: `length(process.name) > 3 and not process.args : "a*"`})
	if err != nil {
		fmt.Println(err)
		return
	}
	syntax.Walk(x, func(y syntax.Expr) bool {
		if f, ok := y.(*syntax.Field); ok {
			fmt.Println(f)
		}
		return true
	})
	// Output:
	// process.name
	// process.args
}
