package rule_test

import (
	"fmt"
	"testing/fstest"

	"github.com/orlop/orlop/rule"
)

func ExampleLoadFS() {
	fsys := fstest.MapFS{
		"ctr.toml": {Data: []byte(`[rule]
author = ["Ann"]
description = "Tells when ctr runs."
name = "ctr runs"
risk_score = 21
rule_id = "0e1d7c6a-1f0b-4c0e-9d57-3a6a3c1f2b11"
severity = "low"
type = "eql"
query = '''
process where process.name == "ctr"
'''
`)},
		"slip.toml": {Data: []byte(`[rule]
author = ["Ann"]
description = "Tells when crictl runs."
name = "crictl runs"
risk_score = 21
rule_id = "0e1d7c6a-1f0b-4c0e-9d57-3a6a3c1f2b12"
sevrity = "low"
type = "eql"
query = "process where process.name == 'crictl'"
`)},
	}
	pack := rule.LoadFS(fsys, "rules")
	for _, r := range pack.Rules {
		line, col := r.Query.Position(len("process where "))
		fmt.Printf("%s: %s; the condition is at %d:%d\n", r.File, r.Name, line, col)
	}
	fmt.Print(pack.Errors.Report())
	// Output:
	// rules/ctr.toml: ctr runs; the condition is at 10:15
	// rules/slip.toml:7:1: unknown key "sevrity" (did you mean "severity"?)
	//     sevrity = "low"
	//     ^^^^^^^
}
