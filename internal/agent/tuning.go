package agent

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/orlop/orlop/eql"
	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/expr"
)

// A Tuning says who may do below the API what the rules look for. It is one
// file of lists:
//
//	[[role]]                            # orlop.host.role of events
//	name  = "bastion"
//	host  = ["bastion-*"]               # host.name
//	label = { "node.role" = ["bastion"] } # labels.*
//
//	[[exempt]]                          # orlop.tuning.exempt = true
//	name     = "nightly image clean-up"
//	role     = ["worker"]
//	user     = ["root"]                 # user.name, user.id or the login user
//	parent   = ["/opt/janitor/janitor"] # the parent's executable
//	ancestor = ["/usr/sbin/crond"]      # that of any ancestor that was shown
//	where    = 'process where orlop.runtime.behaviour == "image-delete"'
//	until    = "2027-01-01"
//
// All the keys of an entry have to hold; of a list, one element. Patterns know
// * and ?, and are case-sensitive. init and systemd are nobody's excuse: every
// orphan has them as its parent, so an entry that names them is refused.
type Tuning struct {
	roles   []rolePred
	exempts []exemptPred

	role, exempt, by event.Field
}

type rolePred struct {
	name string
	pred expr.Pred
}

type exemptPred struct {
	name  string
	preds []expr.Pred
	until time.Time
}

type tuningFile struct {
	Role []struct {
		Name  string              `toml:"name"`
		Host  []string            `toml:"host"`
		Label map[string][]string `toml:"label"`
	} `toml:"role"`
	Exempt []struct {
		Name     string   `toml:"name"`
		Role     []string `toml:"role"`
		User     []string `toml:"user"`
		Parent   []string `toml:"parent"`
		Ancestor []string `toml:"ancestor"`
		Where    string   `toml:"where"`
		Until    string   `toml:"until"`
	} `toml:"exempt"`
}

//go:embed tuning.toml
var defaultTuning []byte

// LoadTuning reads a tuning file; without a name, the built-in one.
func LoadTuning(name string, s *event.Schema) (*Tuning, error) {
	text := defaultTuning
	if name == "" {
		name = "tuning.toml"
	} else {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		text = b
	}
	return parseTuning(name, text, s)
}

func parseTuning(name string, text []byte, s *event.Schema) (*Tuning, error) {
	var f tuningFile
	d := toml.NewDecoder(strings.NewReader(string(text))).DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, tomlError(name, err)
	}
	t := &Tuning{role: s.Field("orlop.host.role"), exempt: s.Field("orlop.tuning.exempt"), by: s.Field("orlop.tuning.exempt_by")}
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(name+": "+format, args...)) }
	known, exempts := map[string]bool{}, map[string]bool{}
	for i, r := range f.Role {
		var any []string
		if len(r.Host) > 0 {
			any = append(any, "host.name like "+list(r.Host))
		}
		for k, vs := range r.Label {
			any = append(any, syntax.FieldString("labels."+k)+" like "+list(vs))
		}
		if r.Name == "" || len(any) == 0 {
			fail("role %d needs a name, and a host or a label", i+1)
			continue
		}
		if known[r.Name] {
			fail("role %q is there twice", r.Name)
		}
		slices.Sort(any)
		p, err := condition(s, name, strings.Join(any, " or "))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		known[r.Name] = true
		t.roles = append(t.roles, rolePred{r.Name, p})
	}
	for i, x := range f.Exempt {
		if x.Name == "" {
			fail("exempt %d needs a name", i+1)
			continue
		}
		e := exemptPred{name: x.Name}
		add := func(p expr.Pred, err error) {
			if err != nil {
				errs = append(errs, err)
				return
			}
			e.preds = append(e.preds, p)
		}
		if exempts[x.Name] {
			fail("exempt %q is there twice", x.Name)
		}
		exempts[x.Name] = true
		for _, r := range x.Role {
			if !known[r] {
				fail("exempt %q: there is no role %q", x.Name, r)
			}
		}
		for _, u := range x.User {
			if u != "" && strings.Trim(u, "*") == "" {
				fail("exempt %q: user %q is everybody: leave the key out", x.Name, u)
			}
		}
		if len(x.Role) > 0 {
			add(condition(s, name, "orlop.host.role in "+list(x.Role)))
		}
		if len(x.User) > 0 {
			u := list(x.User)
			add(condition(s, name, "user.name like "+u+" or user.id like "+u+" or auditd.user.audit.name like "+u))
		}
		for _, p := range slices.Concat(x.Parent, x.Ancestor) {
			switch {
			case isInit(p):
				fail("exempt %q: %s is the parent of every orphan, and exempts nobody", x.Name, p)
			case !strings.HasPrefix(p, "/") && !strings.HasPrefix(p, "*") && !strings.HasPrefix(p, "?"):
				fail("exempt %q: %s is no path of a program, such as /opt/%[2]s or */%[2]s", x.Name, p)
			}
		}
		if len(x.Parent) > 0 {
			add(condition(s, name, "process.parent.executable like "+list(x.Parent)))
		}
		if len(x.Ancestor) > 0 {
			add(condition(s, name, "orlop.process.ancestor like "+list(x.Ancestor)))
		}
		if x.Where != "" {
			q, err := eql.Compile(syntax.Source{Name: name + ": exempt " + x.Name, Text: x.Where}, s)
			switch {
			case err != nil:
				errs = append(errs, err)
			case q.Kind() != eql.Events:
				fail("exempt %q: where takes a query for single events", x.Name)
			case !asks(q):
				fail("exempt %q: where asks for no field, and would exempt everything or nothing", x.Name)
			case takesOrphans(q.Filter, s):
				fail("exempt %q: where asks for no more than that init is the parent, as it is of every orphan, and exempts nobody", x.Name)
			default:
				e.preds = append(e.preds, q.Filter)
			}
		}
		if x.Until != "" {
			at, ok := event.ParseTime(x.Until)
			if !ok {
				fail("exempt %q: until %q is not a date, such as 2027-01-01", x.Name, x.Until)
			}
			e.until = at
		}
		if len(x.Role)+len(x.User)+len(x.Parent)+len(x.Ancestor)+len(x.Where) == 0 {
			fail("exempt %q would exempt everything: say whom", x.Name)
		}
		t.exempts = append(t.exempts, e)
	}
	return t, errors.Join(errs...)
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

// inits are where the first process of a host or a container has its program.
var inits = []string{
	"/sbin/init", "/usr/sbin/init", "/bin/init", "/lib/systemd/systemd", "/usr/lib/systemd/systemd", "/bin/systemd", "/usr/bin/systemd",
	"/sbin/tini", "/usr/bin/tini", "/bin/tini", "/usr/bin/dumb-init",
}

// asks reports whether a query asks for a field.
func asks(q *eql.Query) (yes bool) {
	q.Source.Fields(func(*syntax.Field) { yes = true })
	return yes
}

// takesOrphans reports whether p holds for a process because init is its parent: for
// one of which no more is known, and not without that.
func takesOrphans(p expr.Pred, s *event.Schema) bool {
	d := event.NewDecoder(s)
	holds := func(doc string) bool {
		var e event.Event
		if err := d.Decode([]byte(doc), &e); err != nil {
			panic("agent: bug: " + err.Error())
		}
		return p.Match(&e)
	}
	const what = `"event":{"category":["process"],"type":["start"],"action":"exec"}`
	if holds("{" + what + "}") {
		return false
	}
	for _, init := range inits {
		name := path.Base(init)
		if holds(fmt.Sprintf(`{%s,"process":{"parent":{"pid":1,"executable":%q,"name":%q,"args":[%[2]q],"args_count":1,"command_line":%[2]q},`+
			`"Ext":{"ancestry":["x"]}},"orlop":{"process":{"ancestor":[%[2]q]}}}`, what, init, name)) {
			return true
		}
	}
	return false
}

// isInit reports whether a pattern takes in one of them.
func isInit(pattern string) bool {
	p := expr.NewPattern(pattern, false)
	return slices.ContainsFunc(inits, p.Match)
}

// list writes strings as the right side of in or like.
func list(vs []string) string {
	quoted := make([]string, len(vs))
	for i, v := range vs {
		quoted[i] = syntax.QuoteString(v)
	}
	return "(" + strings.Join(quoted, ", ") + ")"
}

func condition(s *event.Schema, name, text string) (expr.Pred, error) {
	q, err := eql.Compile(syntax.Source{Name: name, Text: "any where " + text}, s)
	if err != nil {
		return nil, err
	}
	return q.Filter, nil
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
next:
	for i := range t.exempts {
		x := &t.exempts[i]
		if !x.until.IsZero() && !e.Time.Before(x.until) {
			continue
		}
		for _, p := range x.preds {
			if !p.Match(e) {
				continue next
			}
		}
		e.Set(t.exempt, event.Bool(true))
		e.Set(t.by, event.String(x.name))
		return
	}
}
