package enrich

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"unsafe"

	"github.com/orlop/orlop/event"
)

// requestFields are what an audit event of the Kubernetes API says of an exec into a
// pod, and of which containers a pod has.
type requestFields struct {
	id, resource, sub, namespace, name, uid, uri, outcome event.Field
	metaName, metaUID                                     [2]event.Field
	statusID, statusName                                  [6]event.Field

	ofNamespace, ofPod, ofName event.Field // the runtime's record of a container
	cut                        event.Field

	interactive event.Field

	userName, askedBy event.Field

	exec, requested, joinedBy, unjoined, repeated, periodic, behind event.Field
}

func newRequestFields(s *event.Schema) requestFields {
	f := func(name string) event.Field { return s.Field("kubernetes.audit." + name) }
	own := func(name string) event.Field { return s.Field("orlop.kubernetes." + name) }
	r := requestFields{
		id: f("auditID"), resource: f("objectRef.resource"), sub: f("objectRef.subresource"),
		namespace: f("objectRef.namespace"), name: f("objectRef.name"), uid: f("objectRef.uid"), uri: f("requestURI"),
		outcome:     s.Field("event.outcome"),
		ofNamespace: s.Field("orchestrator.namespace"), ofPod: s.Field("orchestrator.resource.name"), ofName: s.Field("container.name"),
		interactive: s.Field("process.interactive"),
		cut:         s.Field("process.Ext.command_line_truncated"),
		userName:    s.Field("user.name"), askedBy: own("user.name"),
		exec: own("exec"), requested: own("requested"), joinedBy: own("joined_by"), unjoined: own("unjoined"), behind: own("behind"),
		repeated: s.Field("orlop.container.repeated"), periodic: s.Field("orlop.container.periodic"),
	}
	for i, object := range [...]string{"requestObject.", "responseObject."} {
		r.metaName[i], r.metaUID[i] = f(object+"metadata.name"), f(object+"metadata.uid")
		for j, list := range [...]string{"containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"} {
			r.statusID[3*i+j], r.statusName[3*i+j] = f(object+"status."+list+".containerID"), f(object+"status."+list+".name")
		}
	}
	return r
}

// A pod is one of the API's, or a container of it.
type pod struct{ namespace, name, container string }

func (p pod) size() int { return len(p.namespace) + len(p.name) + len(p.container) }

// A request is one for an exec, of which the API's log has an event for each stage. It
// accounts for one process.
type request struct {
	at      int64
	id      string
	of      pod
	user    string // who asks
	command uint64 // hash of what is to run; 0 is unknown
	tty     answer // whether it is to have a terminal
	key     string // what it has in common with the event of its process
	used    bool
}

// An entrance is a process that the CRI has put into a container, and whose request
// may yet come.
type entrance struct {
	at      int64
	key     string
	of      pod
	command [3]uint64
	tty     answer
}

const (
	maxRequests  = 8192
	maxEntrances = 256
	maxPods      = 4096 // twice: those of late and those before
	// asked is how long before an exec its request has come.
	asked = int64(10e9)
)

func (r *request) size() int {
	return int(unsafe.Sizeof(*r)) + len(r.id) + len(r.key) + len(r.user) + r.of.size()
}

func (n *entrance) size() int {
	return int(unsafe.Sizeof(*n)) + len(n.key) + n.of.size()
}

// within reports whether r may be the request of an exec at t.
func (r *request) within(t int64) bool { return r.at <= t && t-r.at <= asked }

// asks reports whether r is a request for what e is. The pod is compared if that of e
// is known, the container and the terminal if both say which.
func (r *request) asks(e *entrance) bool {
	if r.command != 0 && e.command[0] != 0 && !slices.Contains(e.command[:], r.command) {
		return false
	}
	if r.tty != 0 && e.tty != 0 && r.tty != e.tty {
		return false
	}
	if e.of.name == "" {
		return r.command != 0 && e.command[0] != 0 // by the command alone
	}
	return r.of.name == e.of.name && r.of.namespace == e.of.namespace &&
		(r.of.container == "" || e.of.container == "" || r.of.container == e.of.container)
}

// api notes what an audit event of the API says of pods, and joins a request for an exec
// with the process that it is for, if that was seen before.
func (x *Enricher) api(e *event.Event) {
	f := &x.kf
	text := func(f event.Field) string {
		if s := first(e.Get(f)).Str(); len(s) <= 256 {
			return s
		}
		return ""
	}
	if text(f.resource) != "pods" {
		return
	}
	of := pod{namespace: text(f.namespace), name: text(f.name)}
	if of.name == "" {
		of = pod{namespace: text(f.ofNamespace), name: text(f.ofPod)} // as the source names it in ECS's terms
	}
	uid := text(f.uid)
	for i := range f.metaUID {
		if of.name == "" {
			of.name = text(f.metaName[i])
		}
		if uid == "" && text(f.sub) != "binding" {
			uid = text(f.metaUID[i])
		}
	}
	if of.name == "" || of.namespace == "" {
		return
	}
	x.learnPod(uid, of)
	for i := range f.statusID {
		ids, names := e.Get(f.statusID[i]), e.Get(f.statusName[i])
		for j := range min(ids.Len(), names.Len(), 64) {
			if _, id, ok := strings.Cut(ids.At(j).Str(), "://"); ok && ids.Len() == names.Len() && len(names.At(j).Str()) <= 256 {
				x.learnPod(id, pod{of.namespace, of.name, names.At(j).Str()})
			}
		}
	}
	if text(f.sub) != "exec" || e.Time.IsZero() {
		return
	}
	r := request{at: e.Time.UnixNano(), id: text(f.id), of: of, user: strings.Clone(text(f.userName))}
	i, _ := slices.BinarySearchFunc(x.requests, r.at, func(q request, at int64) int { return cmp.Compare(q.at, at) })
	for j := i; j < len(x.requests) && x.requests[j].at == r.at; j++ {
		if q := &x.requests[j]; q.id == r.id {
			// Another stage of it.
			if has(e.Get(f.outcome), "failure") && !q.used {
				x.known -= q.size()
				x.requests = slices.Delete(x.requests, j, j+1)
				return
			}
			x.fillText(e, f.exec, q.key)
			return
		}
	}
	if has(e.Get(f.outcome), "failure") {
		return
	}
	if u, err := url.ParseRequestURI(first(e.Get(f.uri)).Str()); err == nil {
		q := u.Query()
		if r.command = commandOf(q["command"]); r.command != 0 {
			r.tty = answerOf(q.Get("tty") == "true")
		}
		if name := q.Get("container"); len(name) <= 256 {
			r.of.container = strings.Clone(name)
		}
	}
	r.id, r.of.namespace, r.of.name = strings.Clone(r.id), strings.Clone(of.namespace), strings.Clone(of.name)
	r.key = r.id
	for j := range x.entrances {
		n := &x.entrances[j]
		if r.within(n.at) && r.asks(n) {
			r.used, r.key = true, n.key
			x.fillText(e, f.askedBy, r.user)
			x.behind = true
			x.dropEntrance(j)
			break
		}
	}
	x.fillText(e, f.exec, r.key)
	for len(x.requests) == maxRequests || x.known > x.o.MaxBytes/4 && len(x.requests) > 0 {
		x.forgotten = max(x.forgotten, x.requests[0].at+asked)
		x.known -= x.requests[0].size()
		x.requests = slices.Delete(x.requests, 0, 1)
		i = max(i-1, 0)
	}
	x.requests = slices.Insert(x.requests, i, r)
	x.known += r.size()
}

// entered joins a process that the CRI has put into container k with the request for
// it, which then accounts for no other.
func (x *Enricher) entered(s *sight, c *proc, k *container) {
	e, f := s.e, &x.kf
	n := entrance{at: s.t, key: c.entity, of: k.of}
	if v := first(e.Get(f.interactive)); v.Kind() == event.KindBool {
		n.tty = answerOf(v.Bool())
	}
	by := "names"
	if n.of.name == "" {
		if n.of, by = x.podOf(k.id), "container"; n.of.name == "" {
			n.of, by = x.podOf(k.uid), "pod"
		}
	}
	if n.of.name == "" {
		by = "command"
	}
	if args := e.Get(x.f.args); !e.Get(f.cut).Exists() && args.Len() <= 1024 {
		x.args = texts(x.args[:0], args)
		for i := range min(len(n.command), len(x.args)) {
			n.command[i] = commandOf(x.args[i:]) // A script's interpreter comes before it.
		}
	}
	i, _ := slices.BinarySearchFunc(x.requests, s.t-asked, func(q request, at int64) int { return cmp.Compare(q.at, at) })
	perhaps := false
	var found *request
	for ; i < len(x.requests) && x.requests[i].at <= s.t; i++ {
		r := &x.requests[i]
		if r.used {
			continue
		}
		if r.asks(&n) {
			if found == nil || found.command == 0 && r.command != 0 {
				found = r
			}
		}
		perhaps = perhaps || n.of.name == "" && (r.command == 0 || n.command[0] == 0)
	}
	if found != nil {
		found.used = true
		x.fill(e, f.requested, event.Bool(true))
		x.fillText(e, f.joinedBy, by)
		x.fillText(e, f.askedBy, found.user)
		x.fillText(e, f.exec, found.key)
		return
	}
	x.fillText(e, f.exec, c.entity)
	again, periodic := k.again(n.command[0], s.t)
	if again > 0 {
		x.fill(e, f.repeated, event.Int(int64(again)))
	}
	if periodic {
		x.fill(e, f.periodic, event.Bool(true))
	}
	if x.behind {
		x.fill(e, f.behind, event.Bool(true))
	}
	switch {
	case perhaps:
		x.fillText(e, f.unjoined, "pod")
		return
	case s.t <= x.forgotten:
		x.fillText(e, f.unjoined, "forgotten")
		return
	}
	for len(x.entrances) == maxEntrances || x.known > x.o.MaxBytes/4 && len(x.entrances) > 0 {
		x.dropEntrance(0)
	}
	x.entrances = append(x.entrances, n)
	x.known += n.size()
}

func (x *Enricher) dropEntrance(i int) {
	x.known -= x.entrances[i].size()
	x.entrances = slices.Delete(x.entrances, i, i+1)
}

// A habit is a command that the CRI runs in a container again and again without a
// request, as the kubelet does for probes.
type habit struct {
	command uint64
	times   int32
	began   int64
	ran     [8]int64 // the latest first: a readiness and a liveness probe may share a command
}

const (
	// usual is how soon a command is run again that is a habit.
	usual = int64(10 * 60e9)
	// shortest is the shortest period of a probe (periodSeconds is at least 1).
	shortest = int64(1e9)
	// long is how long a command has been run before it is said to have a period: more
	// than one who tries a thing thrice takes, less than three runs of a default probe.
	long = int64(15e9)
)

// again returns how often a command was run in k lately and whether it has a period, and
// remembers it.
func (k *container) again(command uint64, t int64) (times int32, periodic bool) {
	if command == 0 {
		return 0, false
	}
	h := &k.habits[0] // the same command's, or else the oldest
	for i := range k.habits {
		if k.habits[i].command == command {
			h = &k.habits[i]
			break
		}
		if k.habits[i].ran[0] < h.ran[0] {
			h = &k.habits[i]
		}
	}
	if h.command != command || t-h.ran[0] > usual {
		*h = habit{command: command, began: t}
	}
	times, periodic = h.times, t-h.began >= long && h.periodic(t)
	h.times = min(h.times+1, 1<<30)
	if t > h.ran[0] {
		copy(h.ran[1:], h.ran[:])
		h.ran[0] = t
	}
	return times, periodic
}

// periodic reports whether two runs before t are at the same distance, of a probe's
// period or more: as far from each other as the later from t, but for what a busy node
// takes to start a program.
func (h *habit) periodic(t int64) bool {
	runs := h.ran[:min(int(h.times), len(h.ran))]
	for i, mid := range runs {
		period := t - mid
		off := min(max(period/10, 250e6), 3e9)
		if period < shortest-off {
			continue
		}
		for _, early := range runs[i+1:] {
			if d := mid - early - period; early != 0 && -off <= d && d <= off {
				return true
			}
		}
	}
	return false
}

// stated notes the pod that the runtime has on record of a container.
func (x *Enricher) stated(h *host, k *container, e *event.Event) {
	f := &x.kf
	name := first(e.Get(f.ofPod)).Str()
	if k.of.name != "" || name == "" {
		return
	}
	of := pod{x.word(first(e.Get(f.ofNamespace)).Str()), x.word(name), x.word(first(e.Get(f.ofName)).Str())}
	if of.size() <= 1024 {
		k.of = of
		x.hold(h, of.size())
	}
}

func (x *Enricher) podOf(id string) pod {
	if p, ok := x.pods[id]; ok {
		return p
	}
	return x.olderPods[id]
}

// learnPod notes that an id, of a pod or of a container, is that of p.
func (x *Enricher) learnPod(id string, p pod) {
	if id == "" || len(id) > 256 || x.podOf(id) == p {
		return
	}
	if len(x.pods) >= maxPods || x.known > x.o.MaxBytes/4 {
		for id, p := range x.olderPods {
			x.known -= podBytes + len(id) + p.size()
		}
		x.olderPods, x.pods = x.pods, nil
	}
	if x.pods == nil {
		x.pods = map[string]pod{}
	}
	if old, ok := x.pods[id]; ok {
		x.known -= podBytes + len(id) + old.size()
	}
	id = strings.Clone(id)
	p = pod{strings.Clone(p.namespace), strings.Clone(p.name), strings.Clone(p.container)}
	x.pods[id] = p
	x.known += podBytes + len(id) + p.size()
}

const podBytes = 2 * int(unsafe.Sizeof(pod{}))

// commandOf is a hash of a command: FNV-1a over the last element of its program's path,
// which $PATH may complete, and its arguments. It is 0 for none.
func commandOf(args []string) uint64 {
	if len(args) == 0 {
		return 0
	}
	h := uint64(14695981039346656037)
	for i, a := range args {
		if i == 0 {
			a = base(a)
		}
		for j := range len(a) {
			h = (h ^ uint64(a[j])) * 1099511628211
		}
		h = (h ^ 0xff) * 1099511628211
	}
	return h | 1
}
