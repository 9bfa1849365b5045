// Package rules is the rules that Orlop comes with, embedded in the binary.
//
//	pack := rule.LoadFS(rules.FS, "rules")
//
// Each file carries events that it must and must not match; see rule.Test.
package rules

import "embed"

// FS holds the rule files, all at its root.
//
//go:embed *.toml
var FS embed.FS
