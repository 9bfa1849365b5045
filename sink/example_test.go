package sink_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/sink"
)

// printer is a sink that prints what it gets.
type printer struct{ stop func() }

func (p printer) Write(_ context.Context, alerts []*alert.Alert) error {
	for _, a := range alerts {
		fmt.Println(a.Severity, a.RuleName, a.ID)
	}
	p.stop()
	return nil
}

func (printer) Close() error { return nil }

func ExampleOutbox() {
	dir, err := os.MkdirTemp("", "outbox-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	ctx, cancel := context.WithCancel(context.Background())
	box, err := sink.OpenOutbox(sink.OutboxOptions{Dir: dir}, sink.Route{Name: "screen", Sink: printer{cancel}})
	if err != nil {
		log.Fatal(err)
	}
	defer box.Close()

	a, err := alert.Parse([]byte(`{"kibana.alert.uuid": "e1", "kibana.alert.rule.rule_id": "r1",
		"kibana.alert.rule.name": "ctr runs", "kibana.alert.severity": "low"}`))
	if err != nil {
		log.Fatal(err)
	}
	if err := box.Append(a); err != nil {
		log.Print(err) // it is delivered all the same
	}
	box.Run(ctx)
	fmt.Println(box.Stats().Sinks[0].Delivered, "delivered")
	// Output:
	// low ctr runs e1
	// 1 delivered
}
