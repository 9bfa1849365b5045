package source

// A MissingError says why a host cannot be watched in some way, and what to do about it.
type MissingError struct {
	Source string // "bpf"
	What   string
	Fix    string
	Err    error // what the kernel said; may be nil
}

func (e *MissingError) Error() string {
	msg := e.Source + ": " + e.What
	if e.Err != nil {
		msg += ": " + e.Err.Error()
	}
	return msg + " (" + e.Fix + ")"
}

func (e *MissingError) Unwrap() error { return e.Err }

// A Check is one thing that a live source needs of the host.
type Check struct {
	Name   string
	State  string // what was found
	Fix    string // what to do; "" if it is as it should be
	Needed bool   // without it the source does not run
}

// FirstMissing is the first of the checks that a source cannot run without, or nil.
func FirstMissing(source string, checks []Check) error {
	for _, c := range checks {
		if c.Needed && c.Fix != "" {
			return &MissingError{Source: source, What: c.Name + ": " + c.State, Fix: c.Fix}
		}
	}
	return nil
}

// Limits are those of the checks that a source runs without, though not with all that it
// could tell.
func Limits(checks []Check) []Check {
	var out []Check
	for _, c := range checks {
		if !c.Needed && c.Fix != "" {
			out = append(out, c)
		}
	}
	return out
}
