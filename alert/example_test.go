package alert_test

import (
	"fmt"
	"time"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/rule"
)

func ExampleMaker() {
	r := &rule.Rule{
		ID: "0e1d7c6a-1f0b-4c0e-9d57-3a6a3c1f2b11", Name: "ctr runs",
		Type: "eql", Severity: "low", RiskScore: 21,
	}
	s := event.NewSchema()
	var e event.Event
	doc := `{"event": {"category": "process"}, "process": {"name": "ctr"}, "host": {"name": "worker-1"}}`
	if err := event.NewDecoder(s).Decode([]byte(doc), &e); err != nil {
		fmt.Println(err)
		return
	}
	e.Set(s.Field("process.parent.name"), event.String("bash")) // as enrichment does

	a, err := alert.NewMaker(s).Event(r, &e, alert.Match{Now: time.Date(2026, 4, 29, 10, 0, 0, 0, time.UTC)})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(a.Reason)
	fmt.Println(string(a.AppendJSON(nil)[:138]))
	// Output:
	// process event with process ctr, parent process bash, on worker-1 created low alert ctr runs.
	// {"event":{"category":"process","kind":"signal"},"process":{"name":"ctr","parent":{"name":"bash"}},"host":{"name":"worker-1"},"kibana.alert
}
