package agent

import (
	"bytes"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/source"
)

// chronological puts inputs in the order of their first events: audit.log* names
// the newest log first, and a process table wants to see a parent before its
// children. Standard input, pipes, and files that do not say, keep their places
// in front of what follows them. Audit logs of the Kubernetes API come first of all,
// whenever they begin: of what happens on nodes it has to be known whether the API
// would have said so.
func chronological(ctx context.Context, inputs []*source.Input) error {
	if len(inputs) < 2 {
		return nil
	}
	type dated struct {
		in  *source.Input
		at  time.Time
		api bool
	}
	list := make([]dated, len(inputs))
	var last time.Time
	for i := len(inputs) - 1; i >= 0; i-- {
		in := inputs[i]
		var at time.Time
		api := false
		if in.Size() >= 0 && in.Name() != "-" { // A look at a pipe would take from it.
			var err error
			if at, api, err = firstTime(ctx, in.Name()); err != nil {
				return err
			}
		}
		if at.IsZero() {
			at = last // goes with the one behind it
		}
		last = at
		list[i] = dated{in, at, api}
	}
	slices.SortStableFunc(list, func(a, b dated) int {
		switch {
		case a.api == b.api:
			return a.at.Compare(b.at)
		case a.api:
			return -1
		}
		return 1
	})
	for i := range list {
		inputs[i] = list[i].in
	}
	return nil
}

// peek is how far into a file its first time is looked for.
const peek = 64 << 10

// firstTime is the time of the first event of a file, if its beginning says, and
// whether it is an audit log of the Kubernetes API.
func firstTime(ctx context.Context, name string) (at time.Time, api bool, err error) {
	ins, err := source.Open([]string{name}, nil)
	if err != nil {
		return at, false, err
	}
	defer Discard(ins)
	format, err := ins[0].Format(ctx)
	if err != nil {
		return at, false, err
	}
	api = format == source.KubeAudit
	w := ins[0].Window(ctx)
	for w.More(peek) && len(w.Bytes()) < peek {
		if at = timeIn(w.Bytes()); !at.IsZero() {
			return at, api, nil
		}
	}
	return timeIn(w.Bytes()), api, ctx.Err()
}

var (
	auditStamp = []byte("audit(")
	timestamp  = []byte(`"@timestamp"`)
	received   = []byte(`"requestReceivedTimestamp"`)
)

// timeIn finds the first audit(SECONDS.MILLIS: or "@timestamp": in b.
func timeIn(b []byte) time.Time {
	if _, rest, ok := bytes.Cut(b, auditStamp); ok {
		if sec, _, ok := bytes.Cut(rest, []byte{':'}); ok && len(sec) < 32 {
			if f, err := strconv.ParseFloat(string(sec), 64); err == nil {
				return time.UnixMilli(int64(f * 1000))
			}
		}
	}
	_, rest, ok := bytes.Cut(b, timestamp)
	if !ok {
		if _, rest, ok = bytes.Cut(b, received); !ok {
			return time.Time{}
		}
	}
	rest = bytes.TrimLeft(rest, ": \t\r\n[")
	if len(rest) > 0 && rest[0] == '"' {
		if text, _, ok := bytes.Cut(rest[1:], []byte{'"'}); ok {
			at, _ := event.ParseTime(string(text))
			return at
		}
	}
	end := bytes.IndexAny(rest, ",} ]\r\n")
	if end < 0 || end > 32 {
		return time.Time{}
	}
	if v, ok := event.Number(string(rest[:end])); ok {
		at, _ := event.TimeOf(v)
		return at
	}
	return time.Time{}
}
