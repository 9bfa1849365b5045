package console

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/orlop/orlop/store"
)

// A page is what all pages have.
type page struct {
	Title string
	User  *store.User
	CSRF  string
	Nav   []navItem
	Theme string
	Now   time.Time
	Zone  *time.Location
	Abs   bool   // times are shown as dates
	Done  string // what the last form has done
	Path  string
}

type navItem struct {
	Path, Name, Key string
	Current         bool
}

func (s *Server) page(r *http.Request, u *who, title string) page {
	p := page{Title: title, Now: s.o.Now(), Zone: time.UTC, Path: r.URL.Path}
	if u == nil || u.Session == nil {
		return p
	}
	p.User, p.CSRF, p.Theme = u.User, mask(u.Session.CSRF), u.User.Settings.Theme
	if z, err := time.LoadLocation(u.User.Settings.Zone); err == nil {
		p.Zone = z
	}
	p.Abs = r.URL.Query().Get("t") == "abs"
	p.Done = plain(r.URL.Query().Get("done"), 200)
	for _, n := range []navItem{
		{"/alerts", "Alerts", "a", false}, {"/rules", "Rules", "r", false}, {"/coverage", "Coverage", "c", false},
		{"/hosts", "Hosts", "h", false}, {"/sources", "Sources", "o", false}, {"/exceptions", "Exceptions", "e", false},
		{"/audit", "Audit log", "l", false}, {"/settings", "Settings", "s", false},
	} {
		if n.Path == "/audit" && !u.may(store.Admin) {
			continue
		}
		n.Current = r.URL.Path == n.Path || strings.HasPrefix(r.URL.Path, n.Path+"/")
		if n.Path == "/exceptions" && r.URL.Path == "/except" {
			n.Current = true
		}
		p.Nav = append(p.Nav, n)
	}
	return p
}

// May reports whether the user has a role.
func (p *page) May(r string) bool {
	return p.User != nil && (&who{User: p.User}).may(store.Role(r))
}

// Time is a moment for people: how long ago, and when.
func (p *page) Time(t time.Time) template.HTML {
	if t.IsZero() {
		return `<span class="dim">–</span>`
	}
	full := t.In(p.Zone).Format("2006-01-02 15:04:05.000 MST")
	shown, title := p.Ago(t), full
	if p.Abs {
		shown, title = p.Stamp(t), shown+" · "+full
	}
	return template.HTML(fmt.Sprintf(`<time datetime="%s" title="%s">%s</time>`, t.UTC().Format(time.RFC3339Nano), template.HTMLEscapeString(title), template.HTMLEscapeString(shown)))
}

// Stamp is a date and a time, the year if it is another.
func (p *page) Stamp(t time.Time) string {
	t = t.In(p.Zone)
	if t.Year() != p.Now.In(p.Zone).Year() {
		return t.Format("2006-01-02 15:04:05")
	}
	return t.Format("01-02 15:04:05")
}

// Full is all of a moment.
func (p *page) Full(t time.Time) string { return t.In(p.Zone).Format("2006-01-02 15:04:05.000 MST") }

// Ago is how long ago a moment was.
func (p *page) Ago(t time.Time) string {
	d := p.Now.Sub(t)
	if d < 0 {
		return "in " + short(-d)
	}
	return short(d) + " ago"
}

// short is a duration in its largest unit.
func short(d time.Duration) string {
	switch {
	case d < time.Second:
		return "0 s"
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	case d < 730*24*time.Hour:
		return fmt.Sprintf("%d d", d/(24*time.Hour))
	}
	return fmt.Sprintf("%d y", d/(365*24*time.Hour))
}

type pageTemplate = template.Template

func parsePages(static map[string]staticFile) (map[string]*pageTemplate, error) {
	funcs := template.FuncMap{
		"static": func(name string) (string, error) {
			f, ok := static[name]
			if !ok {
				return "", fmt.Errorf("console: bug: no %s", name)
			}
			return "/static/" + name + "?v=" + f.sum, nil
		},
		"show":   func(s string) template.HTML { return visible(s, 200) },
		"line":   func(s string) template.HTML { return visible(s, 300) },
		"long":   func(s string) template.HTML { return visible(s, 4000) },
		"prose":  func(s string) template.HTML { return visible(strings.Join(strings.Fields(s), " "), 4000) },
		"brief":  func(s string) template.HTML { return visible(s, 60) },
		"plain":  func(s string) string { return plain(s, 200) },
		"number": number,
		"plural": plural,
		"size":   size,
		"label":  func(field string) string { return plain(label(field), 200) },
		"level": func(severity string) string {
			if contains(severities, severity) {
				return severity
			}
			return "other"
		},
		"has":   func(list []string, x string) bool { return contains(list, x) },
		"first": func(list []string, n int) []string { return list[:min(n, len(list))] },
		"short": short,
		"join":  strings.Join,
		"add":   func(a, b int) int { return a + b },
		"dict": func(kv ...any) (map[string]any, error) {
			m := map[string]any{}
			for i := 0; i+1 < len(kv); i += 2 {
				m[kv[i].(string)] = kv[i+1]
			}
			return m, nil
		},
	}
	all := map[string]*pageTemplate{}
	for _, name := range []string{
		"error", "sign-in", "alerts", "alert", "replay", "except", "exceptions", "rules", "rule", "coverage", "sources", "hosts", "audit", "settings",
	} {
		t, err := template.New("base.html").Funcs(funcs).ParseFS(files, "templates/base.html", "templates/list.html", "templates/"+name+".html")
		if err != nil {
			return nil, fmt.Errorf("console: bug: %w", err)
		}
		all[name] = t
	}
	return all, nil
}

func contains(list []string, x string) bool {
	for _, y := range list {
		if x == y {
			return true
		}
	}
	return false
}

// render writes a page, once it is whole.
func (s *Server) render(w http.ResponseWriter, code int, name string, v any) error {
	var b bytes.Buffer
	if err := s.pages[name].ExecuteTemplate(&b, "base.html", v); err != nil {
		return fmt.Errorf("page %s: %w", name, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	w.Write(b.Bytes())
	return nil
}

// label is a field's name for people.
func label(field string) string {
	if l, ok := labels[field]; ok {
		return l
	}
	return field
}

var labels = map[string]string{
	store.FieldStatus:                      "Status",
	store.FieldReason:                      "Closed as",
	store.FieldTags:                        "Tag",
	store.FieldAssignees:                   "Assignee",
	fieldSeverity:                          "Severity",
	fieldRuleName:                          "Rule",
	fieldRule:                              "Rule id",
	"host.name":                            "Host",
	"user.name":                            "User",
	"process.name":                         "Process",
	"process.command_line":                 "Command",
	"process.parent.executable":            "Parent",
	"orlop.runtime.behaviour":              "Behaviour",
	"orlop.runtime.tool":                   "Tool",
	"orlop.runtime.container":              "Container",
	"orlop.runtime.host_access":            "Host access",
	"kibana.alert.rule.threat.tactic.name": "Tactic",
}

const (
	fieldSeverity = "kibana.alert.severity"
	fieldRule     = "kibana.alert.rule.rule_id"
	fieldRuleName = "kibana.alert.rule.name"
	fieldBlock    = "kibana.alert.building_block_type"
	fieldGroup    = "kibana.alert.group.id"
)
