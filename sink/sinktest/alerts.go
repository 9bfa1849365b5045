// Package sinktest proves that a sink keeps the contract of [sink.Sink].
package sinktest

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/orlop/orlop/alert"
)

// Alert is an alert with the texts in every place where an event or a rule has its say.
func Alert(t testing.TB, id, text string) *alert.Alert {
	t.Helper()
	doc, err := json.Marshal(map[string]any{
		"@timestamp": "2026-04-29T10:00:07.000Z",
		"event":      map[string]any{"kind": "signal", "action": text, "category": []string{"process", text}},
		"host":       map[string]any{"name": text},
		"user":       map[string]any{"name": text},
		"process": map[string]any{
			"name": text, "executable": text, "command_line": text, "args": []string{"ctr", text}, "pid": 7,
			"parent": map[string]any{"name": text, "command_line": text},
		},
		"container":                           map[string]any{"id": text},
		text:                                  text,
		"kibana.alert.uuid":                   id,
		"kibana.alert.original_time":          "2026-04-29T10:00:00.000Z",
		"kibana.alert.severity":               "high",
		"kibana.alert.risk_score":             73,
		"kibana.alert.reason":                 "process event with process " + text,
		"kibana.alert.depth":                  1,
		"kibana.alert.rule.rule_id":           "5a1d0000-0000-4000-8000-000000000001",
		"kibana.alert.rule.name":              "ctr runs " + text,
		"kibana.alert.original_event.dataset": "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	// encoding/json would have repaired it.
	doc = []byte(strings.ReplaceAll(string(doc), "INVALID", "\xff\xfe\xc3"))
	a, err := alert.Parse(doc)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Alerts are n alerts with IDs of their own, that begin with the prefix.
func Alerts(t testing.TB, prefix string, n int) []*alert.Alert {
	t.Helper()
	var all []*alert.Alert
	for i := range n {
		all = append(all, Alert(t, fmt.Sprintf("%s-%04d", prefix, i), fmt.Sprint("text ", i)))
	}
	return all
}

// IDs are those of alerts.
func IDs(alerts []*alert.Alert) []string {
	var ids []string
	for _, a := range alerts {
		ids = append(ids, a.ID)
	}
	return ids
}

// Hostile are texts that mean something to some format, or to who reads it.
var Hostile = map[string]string{
	"newlines":           "a\nb\r\nc\rd\u2028e\u0085f",
	"nul":                "a\x00b",
	"invalid UTF-8":      "aINVALIDb",
	"controls":           "\x1b[31mred\x1b[0m\x07\u009b2J",
	"direction":          "\u202eexe.txt\u2066x",
	"CEF":                `a|b\c=d e=f \n CEF:0|x|y|1|z|n|10|msg=forged`,
	"structured data":    `x" y="z"] [forged@1 a="b\"]`,
	"a frame":            "\n57 <13>1 2026-04-29T10:00:00Z h a - - - forged",
	"HTML":               `<script>alert(1)</script><!channel> <@U1> <https://x|y> & &amp;`,
	"Markdown":           "*bold* _it_ `code` :tada: [a](https://x) @here",
	"JSON":               `"}],"forged":[{"a":"\u0000\`,
	"a template":         `{{.Document}} {{ printf "%s" . }} ${HOME} %s%n`,
	"a bulk action":      "\n{\"delete\":{\"_id\":\"x\"}}\n",
	"a header":           "x\r\nX-Forged: 1\r\n\r\nbody",
	"megabytes":          strings.Repeat("x", 1<<18), // an alert has it in a dozen places
	"megabytes of signs": strings.Repeat(`"\|=]`+"\n", 1<<18/6),
	"nothing":            "",
	"astral":             "\U0001F600\U0010FFFF\uFFFE",
}

// made are the alerts of Hostile. Those of megabytes take a while to make, and
// whole families of sinks get the same: alerts do not change.
var made sync.Map

func hostile(t testing.TB, name string) *alert.Alert {
	t.Helper()
	a, ok := made.Load(name)
	if !ok {
		a, _ = made.LoadOrStore(name, Alert(t, "hostile", Hostile[name]))
	}
	return a.(*alert.Alert)
}
