package agent

import (
	_ "embed"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/orlop/orlop/eql"
	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/expr"
	"github.com/orlop/orlop/internal/config"
	"github.com/orlop/orlop/rule"
)

// A Tuning says who may do below the API what the rules look for. It is one
// file of lists:
//
//	remove = ["portainer"]              # entries of the built-in file that do not hold
//
//	[[role]]                            # orlop.host.role of events
//	name  = "bastion"
//	host  = ["bastion-*"]               # host.name
//	label = { "node.role" = ["bastion"] } # labels.*
//
//	[[peer]]                            # orlop.socket.peer of connects to a runtime's socket
//	name       = "our monitoring"
//	executable = ["/opt/mon/agent"]     # process.executable
//	unit       = ["mon.service"]        # systemd's, of the system, by the cgroup
//	image      = ["registry.corp/mon*"] # container.image.name
//	namespace  = ["monitoring"]         # orchestrator.namespace
//	user       = ["root"]
//	role       = ["worker"]
//	daemon     = true                   # no login has started it, as far as the source says
//
//	[[exempt]]                          # orlop.tuning.exempt = true
//	name     = "nightly image clean-up"
//	role     = ["worker"]
//	login    = ["sre-kim"]              # the login user
//	user     = ["janitor"]              # the login user, else user.name or user.id
//	parent   = ["/opt/janitor/janitor"] # the parent's executable
//	ancestor = ["/opt/janitor/*"]       # that of any ancestor that was shown
//	image    = ["registry.corp/mon*"]   # container.image.name, and namespace, as of a peer
//	daemon   = true
//	where    = 'process where orlop.runtime.behaviour == "image-delete"'
//	until    = "2027-01-01"
//
// All the keys of an entry have to hold; of a list, one element. Patterns know
// * and ?, and are case-sensitive. A file adds to the built-in one (tuning.toml beside
// this file); an entry of the same name takes the place of a built-in one.
//
// A name alone exempts nobody: whose executable is not written with the folder that it
// is installed in could be a copy of anything. What is in a container is known by the image or the
// namespace, which the runtime says, and not by a path in files of its own: an entry that has
// paths and asks for no container is of the host.
// init and systemd are nobody's excuse: every orphan has them as its parent, so an entry
// that asks for them and for nothing else that a process comes from is refused.
type Tuning struct {
	// Warnings are of entries that say more than their author may have meant.
	Warnings []string

	name    string // of the file
	roles   []rolePred
	peers   []entryPred
	exempts []entryPred
	connect expr.Pred // to a runtime's socket

	socket, main, role, peer, exempt, by event.Field
}

type rolePred struct {
	name string
	pred expr.Pred
}

// An entryPred is a [[peer]] or an [[exempt]].
type entryPred struct {
	name  string
	roles []string
	preds []expr.Pred
	until time.Time
}

// holds reports whether all that the entry asks for is so of e.
func (x *entryPred) holds(e *event.Event) bool {
	if !x.until.IsZero() && !e.Time.Before(x.until) {
		return false
	}
	for _, p := range x.preds {
		if !p.Match(e) {
			return false
		}
	}
	return true
}

type tuningFile struct {
	Remove []string `toml:"remove"`
	Role   []struct {
		Name  string              `toml:"name"`
		Host  []string            `toml:"host"`
		Label map[string][]string `toml:"label"`
	} `toml:"role"`
	Peer []struct {
		Name       string   `toml:"name"`
		Executable []string `toml:"executable"`
		Unit       []string `toml:"unit"`
		Image      []string `toml:"image"`
		Namespace  []string `toml:"namespace"`
		User       []string `toml:"user"`
		Role       []string `toml:"role"`
		Daemon     bool     `toml:"daemon"`
	} `toml:"peer"`
	Exempt []struct {
		Name      string   `toml:"name"`
		Role      []string `toml:"role"`
		Login     []string `toml:"login"`
		User      []string `toml:"user"`
		Parent    []string `toml:"parent"`
		Ancestor  []string `toml:"ancestor"`
		Image     []string `toml:"image"`
		Namespace []string `toml:"namespace"`
		Daemon    bool     `toml:"daemon"`
		Where     string   `toml:"where"`
		Until     string   `toml:"until"`
	} `toml:"exempt"`
}

//go:embed tuning.toml
var defaultTuning []byte

// builtIn is the name of the built-in file, in mistakes.
const builtIn = "built-in tuning"

// LoadTuning reads a tuning file, which adds to the built-in one; without a name, that alone.
func LoadTuning(name string, s *event.Schema) (*Tuning, error) {
	own, err := readTuning(builtIn, defaultTuning, nil, s)
	if err != nil || name == "" {
		return own.tuning, err
	}
	text, err := config.ReadFile(name)
	if err != nil {
		return nil, err
	}
	r, err := readTuning(name, text, own, s)
	if err != nil {
		return nil, err
	}
	return r.tuning, r.tuning.reach(name, s)
}

// A tuningReader reads one file.
type tuningReader struct {
	name   string
	text   []byte
	schema *event.Schema
	tuning *Tuning
	errs   []error

	removed map[string]bool  // built-in entries
	known   map[string]bool  // roles
	taken   map[string]bool  // names, with their kind
	orphans [][2]event.Event // made when they are asked for
}

func (r *tuningReader) fail(format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf(r.name+": "+format, args...))
}

func (r *tuningReader) warn(format string, args ...any) {
	r.tuning.Warnings = append(r.tuning.Warnings, fmt.Sprintf(r.name+": "+format, args...))
}

// readTuning reads a file that adds to what base has, which may be nil.
func readTuning(name string, text []byte, base *tuningReader, s *event.Schema) (*tuningReader, error) {
	t := &Tuning{
		name:   name,
		socket: s.Field("orlop.socket.runtime"), main: s.Field("orlop.runtime.content_main"), role: s.Field("orlop.host.role"), peer: s.Field("orlop.socket.peer"),
		exempt: s.Field("orlop.tuning.exempt"), by: s.Field("orlop.tuning.exempt_by"),
	}
	r := &tuningReader{
		name: name, text: text, schema: s, tuning: t,
		removed: map[string]bool{}, known: map[string]bool{}, taken: map[string]bool{},
	}
	var f tuningFile
	d := toml.NewDecoder(strings.NewReader(string(text))).DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return r, tomlError(name, err)
	}
	t.connect = r.condition(`event.action == "connected-to" and orlop.socket.runtime != null`)
	for i, x := range f.Role {
		r.role(i, x.Name, x.Host, x.Label)
	}
	if base != nil {
		for _, role := range base.tuning.roles {
			if !r.known[role.name] {
				r.known[role.name] = true
				t.roles = append(t.roles, role)
			}
		}
	}
	for i, x := range f.Peer {
		e, ok := r.entry("peer", i, x.Name, x.Role)
		if !ok {
			continue
		}
		if len(x.Executable)+len(x.Unit)+len(x.Image)+len(x.Namespace) == 0 {
			r.fail("peer %q needs an executable, a unit, an image or a namespace", x.Name)
		}
		for _, p := range x.Executable {
			if why := loose(p); why != "" {
				r.fail("peer %q: executable %s: %s", x.Name, p, why)
			}
		}
		if len(x.Unit)+len(x.Image)+len(x.Namespace) == 0 {
			for _, p := range x.Executable {
				if like := takesIn(p, interpreters, speakers); like != "" {
					r.warn("peer %q: executable %s takes in %s, by which anybody may speak to a socket: write the program's own path, or its unit too", x.Name, p, like)
				}
			}
		}
		r.noStars(x.Name, "peer", "unit", x.Unit)
		if len(x.Executable) > 0 {
			r.ask(&e, "process.executable like "+list(x.Executable))
		}
		if len(x.Unit) > 0 {
			r.ask(&e, inUnit(x.Unit))
		}
		r.container(&e, "peer", x.Image, x.Namespace, true)
		r.users(&e, "peer", x.User, nil, x.Daemon)
		t.peers = append(t.peers, e)
	}
	for i, x := range f.Exempt {
		e, ok := r.entry("exempt", i, x.Name, x.Role)
		if !ok {
			continue
		}
		r.users(&e, "exempt", x.User, x.Login, x.Daemon)
		r.container(&e, "exempt", x.Image, x.Namespace, len(x.Parent)+len(x.Ancestor) > 0 && !ofContainer.MatchString(x.Where))
		r.programs(&e, x.Parent, x.Ancestor, len(x.User)+len(x.Login)+len(x.Image)+len(x.Namespace) > 0 || x.Where != "")
		if x.Where != "" {
			r.where(&e, fmt.Sprintf("exempt.%d.where", i), x.Where, len(x.Login)+len(x.Parent)+len(x.Ancestor)+len(x.Image)+len(x.Namespace) > 0)
		}
		if x.Until != "" {
			at, ok := event.ParseTime(x.Until)
			if !ok {
				r.fail("exempt %q: until %q is not a date, such as 2027-01-01", x.Name, x.Until)
			}
			e.until = at
		}
		if len(x.Role)+len(x.User)+len(x.Login)+len(x.Parent)+len(x.Ancestor)+len(x.Image)+len(x.Namespace)+len(x.Where) == 0 {
			r.fail("exempt %q would exempt everything: say whom", x.Name)
		}
		t.exempts = append(t.exempts, e)
	}
	if base != nil {
		r.inherit(base, f.Remove)
	} else if len(f.Remove) > 0 {
		r.fail("remove: there is nothing to remove from")
	}
	return r, errors.Join(r.errs...)
}

// inherit adds the entries of base that are neither removed nor replaced.
func (r *tuningReader) inherit(base *tuningReader, remove []string) {
	var names []string
	for _, x := range slices.Concat(base.tuning.peers, base.tuning.exempts) {
		names = append(names, x.name)
	}
	for _, name := range remove {
		if !slices.Contains(names, name) {
			hint := syntax.DidYouMean(name, names)
			if hint != "" {
				hint = " (" + hint + ")"
			}
			r.fail("remove: the built-in tuning has no entry %q%s", name, hint)
		}
		r.removed[name] = true
	}
	add := func(kind string, to *[]entryPred, from []entryPred) {
		for _, x := range from {
			if !r.removed[x.name] && !r.taken[kind+" "+x.name] {
				*to = append(*to, x)
			}
		}
	}
	add("peer", &r.tuning.peers, base.tuning.peers)
	add("exempt", &r.tuning.exempts, base.tuning.exempts)
}

func (r *tuningReader) role(i int, name string, hosts []string, labels map[string][]string) {
	var any []string
	if len(hosts) > 0 {
		any = append(any, "host.name like "+list(hosts))
	}
	for k, vs := range labels {
		any = append(any, syntax.FieldString("labels."+k)+" like "+list(vs))
	}
	if name == "" || len(any) == 0 {
		r.fail("role %d needs a name, and a host or a label", i+1)
		return
	}
	if r.known[name] {
		r.fail("role %q is there twice", name)
	}
	if slices.ContainsFunc(hosts, everything) {
		r.warn("role %q matches every host, whatever its name is", name)
	}
	slices.Sort(any)
	r.known[name] = true
	r.tuning.roles = append(r.tuning.roles, rolePred{name, r.condition(strings.Join(any, " or "))})
}

// entry begins an entry: what peers and exempts have in common.
func (r *tuningReader) entry(kind string, i int, name string, roles []string) (e entryPred, ok bool) {
	if name == "" {
		r.fail("%s %d needs a name", kind, i+1)
		return e, false
	}
	if r.taken[kind+" "+name] {
		r.fail("%s %q is there twice", kind, name)
	}
	r.taken[kind+" "+name] = true
	for _, role := range roles {
		if !r.known[role] {
			r.fail("%s %q: there is no role %q", kind, name, role)
		}
	}
	e.name, e.roles = name, roles
	if len(roles) > 0 {
		r.ask(&e, "orlop.host.role in "+list(roles))
	}
	return e, true
}

// ofContainer finds in a query that it asks for a container itself.
var ofContainer = regexp.MustCompile(`\b(container\.(id|name|image|labels)|orchestrator\.)`)

// container asks which container e's process is in. Where nothing is said of that, an entry
// that knows programs by their paths is of the host's: in a container a path is whatever
// its files say.
func (r *tuningReader) container(e *entryPred, kind string, images, namespaces []string, paths bool) {
	r.noStars(e.name, kind, "image", images)
	r.noStars(e.name, kind, "namespace", namespaces)
	if len(images) > 0 {
		r.ask(e, "container.image.name like "+list(images))
	}
	if len(namespaces) > 0 {
		r.ask(e, "orchestrator.namespace like "+list(namespaces))
	}
	if paths && len(images)+len(namespaces) == 0 {
		r.ask(e, "container.id == null")
	}
}

// users asks who e's process belongs to. The login user stays who it is through su and
// sudo, so that where it is known another user's name does not count.
func (r *tuningReader) users(e *entryPred, kind string, users, logins []string, daemon bool) {
	r.noStars(e.name, kind, "user", users)
	r.noStars(e.name, kind, "login", logins)
	if len(users) > 0 {
		r.ask(e, loginIs(users)+" or "+noLogin+" and (user.name like "+list(users)+" or user.id like "+list(users)+")")
	}
	if len(logins) > 0 {
		r.ask(e, loginIs(logins))
	}
	if daemon {
		r.ask(e, noLogin)
	}
}

// loginIs asks for the user that has logged in, whom Auditbeat has elsewhere than Auditd
// Manager and our own sources.
func loginIs(patterns []string) string {
	var any []string
	for _, f := range [...]string{"auditd.user.audit.name", "auditd.user.audit.id", "user.audit.name", "user.audit.id"} {
		any = append(any, f+" like "+list(patterns))
	}
	return strings.Join(any, " or ")
}

// noLogin holds for what nobody has logged in for, as far as the source says.
const noLogin = `(auditd.user.audit.id == null or auditd.user.audit.id in ("unset", "4294967295", "-1"))` +
	` and (user.audit.id == null or user.audit.id in ("unset", "4294967295", "-1"))`

// programs asks for what is above e's process. Further says that the entry asks for more.
func (r *tuningReader) programs(e *entryPred, parents, ancestors []string, further bool) {
	for _, p := range slices.Concat(parents, ancestors) {
		switch {
		case isInit(p):
			r.fail("exempt %q: %s is the parent of every orphan, and exempts nobody", e.name, p)
		case !strings.HasPrefix(p, "/") && !strings.HasPrefix(p, "*") && !strings.HasPrefix(p, "?"):
			r.fail("exempt %q: %s is no path of a program, such as /opt/%[2]s or */%[2]s", e.name, p)
		case loose(p) != "":
			r.warn("exempt %q: %s: %s", e.name, p, loose(p))
		case !further && takesIn(p, interpreters, starters) != "":
			r.warn("exempt %q: %s is above much that anybody runs: say more, by user, login or where", e.name, p)
		}
	}
	if len(parents) > 0 {
		r.ask(e, "process.parent.executable like "+list(parents))
	}
	if len(ancestors) > 0 {
		r.ask(e, "orlop.process.ancestor like "+list(ancestors))
	}
}

// where asks what a query of the user's asks, which stands at key of the file. Origin
// says that other keys ask where the process comes from.
func (r *tuningReader) where(e *entryPred, key, text string, origin bool) {
	src := rule.TextAt(r.name, r.text, key)
	src.Text = text
	q, err := eql.Compile(src, r.schema)
	if err != nil {
		r.errs = append(r.errs, err)
		return
	}
	if mistakes := misspelt(q); len(mistakes) > 0 {
		r.errs = append(r.errs, mistakes)
	}
	switch {
	case q.Kind() != eql.Events:
		r.fail("exempt %q: where takes a query for single events", e.name)
	case !asks(q):
		r.fail("exempt %q: where asks for no field, and would exempt everything or nothing", e.name)
	case !origin && r.takesOrphans(q):
		r.fail("exempt %q: where asks for init as the parent, as it is of every orphan, and for nothing else that a process comes from: "+
			"name its unit by process.cgroup, or an ancestor", e.name)
	default:
		e.preds = append(e.preds, q.Filter)
	}
}

func (r *tuningReader) noStars(name, kind, key string, values []string) {
	for _, v := range values {
		if everything(v) {
			what := "says nothing"
			if key == "user" || key == "login" {
				what = "is everybody"
			}
			r.fail("%s %q: %s %q %s: leave the key out", kind, name, key, v, what)
		}
	}
}

// ask adds a condition of ours.
func (r *tuningReader) ask(e *entryPred, text string) { e.preds = append(e.preds, r.condition(text)) }

func (r *tuningReader) condition(text string) expr.Pred {
	q, err := eql.Compile(syntax.Source{Name: r.name, Text: "any where " + text}, r.schema)
	if err != nil {
		r.errs = append(r.errs, err)
		return expr.Bool(false)
	}
	return q.Filter
}

// inUnit is the condition that a process is in a unit of the system's manager. Users
// have managers of their own, and may call units there as they like.
func inUnit(units []string) string {
	var in []string
	for _, u := range units {
		if !strings.Contains(u, ".") {
			u += ".service"
		}
		for _, at := range [...]string{"/system.slice/", "*:/system.slice/"} {
			in = append(in, at+u, at+u+"/*")
		}
	}
	var any []string
	for _, f := range [...]string{"process.cgroup", "process.cgroup.path", "orlop.cgroup"} {
		any = append(any, f+" like "+list(in))
	}
	return strings.Join(any, " or ")
}

// tomlError gives a mistake its place.
func tomlError(name string, err error) error {
	var strict *toml.StrictMissingError
	if errors.As(err, &strict) {
		var errs []error
		for _, e := range strict.Errors {
			row, col := e.Position()
			errs = append(errs, fmt.Errorf("%s:%d:%d: unknown key %q", name, row, col, strings.Join(e.Key(), ".")))
		}
		return errors.Join(errs...)
	}
	var de *toml.DecodeError
	if errors.As(err, &de) {
		row, col := de.Position()
		msg := strings.TrimPrefix(de.Error(), "toml: ")
		if strings.HasSuffix(msg, "of type []string") {
			msg = fmt.Sprintf("%s: expected a list of strings", strings.Join(de.Key(), "."))
		} else if strings.HasSuffix(msg, "of type string") {
			msg = fmt.Sprintf("%s: expected a string", strings.Join(de.Key(), "."))
		}
		return fmt.Errorf("%s:%d:%d: %s", name, row, col, msg)
	}
	return fmt.Errorf("%s: %w", name, err)
}

// list writes strings as the right side of in or like.
func list(vs []string) string {
	quoted := make([]string, len(vs))
	for i, v := range vs {
		quoted[i] = syntax.QuoteString(v)
	}
	return "(" + strings.Join(quoted, ", ") + ")"
}

// Ended says which of a file's own entries hold for nothing that happens at now or later.
func (t *Tuning) Ended(now time.Time) (warnings []string) {
	for i := range t.exempts {
		if x := &t.exempts[i]; !x.until.IsZero() && !now.Before(x.until) {
			warnings = append(warnings, fmt.Sprintf("%s: exempt %q is over: it has held until %s", t.name, x.name, x.until.UTC().Format(time.DateOnly)))
		}
	}
	return warnings
}

// Apply sets what the lists say of e.
func (t *Tuning) Apply(e *event.Event) {
	var roles []event.Value
	for _, r := range t.roles {
		if r.pred.Match(e) {
			roles = append(roles, event.String(r.name))
		}
	}
	if len(roles) > 0 {
		e.Set(t.role, event.List(roles))
	}
	// Who is called like a client and is none is nobody's peer, wherever it lies.
	if e.Get(t.socket).Exists() && !e.Get(t.main).Exists() && t.connect.Match(e) {
		for i := range t.peers {
			if t.peers[i].holds(e) {
				e.Set(t.peer, event.String(t.peers[i].name))
				break
			}
		}
	}
	for i := range t.exempts {
		if x := &t.exempts[i]; x.holds(e) {
			e.Set(t.exempt, event.Bool(true))
			e.Set(t.by, event.String(x.name))
			return
		}
	}
}
