package agent

import (
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/source"
	"github.com/orlop/orlop/source/bpf"
)

// Doctor looks at what live sources need of this host, and whether one opens.
func Doctor() ([]bpf.Check, error) {
	checks := bpf.Checks()
	s, err := OpenLive("auto", LiveOptions{Options: source.Options{Schema: event.NewSchema()}})
	if err != nil {
		return checks, err
	}
	checks = append(checks, bpf.Check{Name: "programs", State: s.String()})
	return checks, s.Close()
}
