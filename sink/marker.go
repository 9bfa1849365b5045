package sink

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/orlop/orlop/alert"
)

// GivenUpRule is the rule_id of the alert that a sink gets in place of alerts that
// the outbox had to give up.
const GivenUpRule = "8c1f3f6e-4f0e-4f0b-9a55-9b0d1f0f6a5e"

// givenUp is that alert. It says how many there were, between the last that the sink
// got and the next that it gets, and is the same each time it is made.
func givenUp(sink, host string, n, before uint64, after, until time.Time) *alert.Alert {
	const name = "Alerts Given Up"
	sum := sha256.Sum256(fmt.Appendf(nil, "orlop outbox %s %s %d %d", host, sink, before-n, before))
	id := hex.EncodeToString(sum[:])
	stamp := func(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
	what := map[string]any{"sink": sink, "given_up": n, "before": stamp(until)}
	since := ""
	if !after.IsZero() {
		what["after"] = stamp(after)
		since = "after " + stamp(after) + " and "
	}
	reason := fmt.Sprintf("the outbox gave up %d alerts from %sbefore %s that it had for %s: they were too many or too old, or damaged.",
		n, since, stamp(until), sink)
	doc, err := json.Marshal(map[string]any{
		"@timestamp": stamp(until),
		"event":      map[string]any{"kind": "signal", "dataset": "orlop.outbox"},
		"host":       map[string]any{"name": host},
		"message":    reason,
		"orlop":      map[string]any{"outbox": what},

		"kibana.alert.uuid": id, "kibana.alert.instance.id": id,
		"kibana.alert.status": "active", "kibana.alert.workflow_status": "open",
		"kibana.alert.severity": "high", "kibana.alert.risk_score": 73, "kibana.alert.reason": reason,
		"kibana.alert.depth": 1, "kibana.alert.ancestors": []any{},
		"kibana.alert.original_time": stamp(until),
		"kibana.alert.rule.rule_id":  GivenUpRule, "kibana.alert.rule.uuid": GivenUpRule,
		"kibana.alert.rule.name": name, "kibana.alert.rule.producer": "siem", "kibana.alert.rule.consumer": "siem",
	})
	if err != nil {
		panic("sink: bug: " + err.Error())
	}
	a, err := alert.Parse(doc)
	if err != nil {
		panic("sink: bug: " + err.Error())
	}
	return a
}
