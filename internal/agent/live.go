package agent

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/orlop/orlop/source"
	"github.com/orlop/orlop/source/audit"
)

// A LiveSource is a source of what happens on this host.
type LiveSource interface {
	source.Source
	fmt.Stringer // what it is attached to
	io.Closer

	// Intake says what became of what happened. It may be called at any time.
	Intake() Intake
}

// An Intake accounts for what a live source saw: Seen is Emitted + Filtered + Lost
// + Waiting, and what was rejected.
type Intake struct {
	Seen     int64 // all that happened
	Emitted  int64
	Filtered int64 // known to be nothing new
	Lost     int64 // dropped, because nobody read fast enough
	Waiting  int64 // not read yet

	// Of Emitted, programs that were not looked at in time: what is in their file,
	// and what a runtime has on record of their container.
	Unidentified, Unrecorded int64
}

// A Resumer is a live source that can go on where an earlier run ended, such as a
// file. A checkpoint keeps its position beside the state of the rules, so both must
// be of the same moment: the position comes with the number of events that it is
// behind, and is taken when that is the number of those that are judged.
type Resumer interface {
	// Position says where to go on so that every event comes for which emit has
	// not returned, and none for which it has; emitted is how many those are,
	// since Run began. It may be called at any time, and must not wait for emit.
	// Only the source itself reads what is in at; it is at most a few kilobytes.
	Position() (at []byte, emitted int64)
}

// LiveOptions are what every live source wants to know.
type LiveOptions struct {
	source.Options
	LoginUID *uint32 // only processes of this login uid; nil is all
	Path     string  // of a kind that reads a file; "" is where that usually is
	Resume   []byte  // the position of an earlier run; nil if there was none, or to begin anew
	Stdin    io.Reader
}

// A liveKind makes a live source.
type liveKind struct {
	name string
	auto bool // auto may take it
	// lateness is how much older than its newest event, or than the clock once it
	// has handed on all that it has, an event of it may be.
	lateness time.Duration
	checks   func(host string) []source.Check
	open     func(LiveOptions) (LiveSource, error)
}

// LiveKinds lists what OpenLive can be asked for.
func LiveKinds() []string {
	names := []string{"auto"}
	for _, k := range liveKinds {
		names = append(names, k.name)
	}
	return names
}

// PutBack undoes what a run that was killed has left in the kernel, whatever is watched
// next: audit rules that nobody reads slow the host down. It is called before the first
// source of a run is opened.
func PutBack(log *slog.Logger) {
	if err := audit.PutBack(""); err != nil {
		log.Warn("what a run that was killed has changed of the kernel's audit settings stays", "reason", err)
	}
}

// OpenLive opens the live source of that name, or, for auto, of the first kind that
// works; what it is attached to then says why the better ones do not. Lateness is what
// its kind needs. The error says why none works.
func OpenLive(name string, o LiveOptions) (src LiveSource, lateness time.Duration, err error) {
	var why []error
	for _, k := range liveKinds {
		if name != k.name && (name != "auto" || !k.auto) {
			continue
		}
		s, err := k.open(o)
		if err == nil {
			if len(why) > 0 {
				s = second{s, reasons(why).Error()}
			}
			return s, k.lateness, nil
		}
		why = append(why, err)
	}
	if len(why) == 0 {
		return nil, 0, fmt.Errorf("source %q: expected %s", name, strings.Join(LiveKinds(), ", "))
	}
	if missing := (*source.MissingError)(nil); !errors.As(reasons(why), &missing) {
		return nil, 0, reasons(why)
	}
	return nil, 0, fmt.Errorf("this host cannot be watched: %w", reasons(why))
}

// reasons are why sources do not open, on one line.
type reasons []error

func (r reasons) Error() string {
	var texts []string
	for _, err := range r {
		texts = append(texts, err.Error())
	}
	return strings.Join(texts, "; ")
}

func (r reasons) Unwrap() []error { return r }

// Limits says what a source does not see here, though it could on another host, or with
// other rights.
func Limits(src LiveSource) []source.Check {
	if s, ok := src.(second); ok {
		src = s.LiveSource
	}
	if s, ok := src.(interface{ Limits() []source.Check }); ok {
		return s.Limits()
	}
	return nil
}

// A second source is not the best one.
type second struct {
	LiveSource
	why string
}

func (s second) String() string { return s.LiveSource.String() + "; no " + s.why }
