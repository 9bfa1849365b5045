package agent

import (
	"fmt"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/source"
	"github.com/orlop/orlop/source/bpf"
)

// A Diagnosis is what a live source needs of this host.
type Diagnosis struct {
	Source string
	Checks []source.Check
	Err    error // why it does not run; nil if it does
}

// Doctor looks at what each of the sources that auto takes needs of this host, and
// changes nothing. Best is the first that runs, "" if none does. Host is what the host is
// to be called, "" if nobody says.
func Doctor(host string) (all []Diagnosis, best string) {
	for _, k := range liveKinds {
		if !k.auto {
			continue
		}
		d := Diagnosis{Source: k.name, Checks: k.checks(host)}
		d.Err = source.FirstMissing(k.name, d.Checks)
		if k.name == "bpf" && d.Err == nil {
			d.Err = tryBPF(&d)
		}
		if best == "" && d.Err == nil {
			best = k.name
		}
		all = append(all, d)
	}
	return all, best
}

// tryBPF loads the programs: only the kernel itself knows whether it takes them.
func tryBPF(d *Diagnosis) error {
	s, err := bpf.Open(bpf.Options{Options: source.Options{Schema: event.NewSchema()}})
	if err != nil {
		d.Checks = append(d.Checks, source.Check{Name: "programs", State: err.Error(), Fix: "use --source audit", Needed: true})
		return fmt.Errorf("programs: %w", err)
	}
	d.Checks = append(d.Checks, source.Check{Name: "programs", State: s.String()})
	return s.Close()
}
