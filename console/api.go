package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/orlop/orlop/store"
)

// An apiRoute is a way into the JSON. A session has the scopes of its role.
type apiRoute struct {
	method, path string // below /api/v1
	scope        string
	or           string // another scope that is enough, or ""
	handle       func(s *Server, w http.ResponseWriter, r *http.Request, u *who) error
}

var apiRoutes = []apiRoute{
	{"GET", "/alerts", "read", "", (*Server).apiAlerts},
	{"GET", "/alerts/{id}", "read", "", (*Server).apiAlert},
	{"GET", "/alerts/{id}/history", "read", "", (*Server).apiHistory},
	{"GET", "/alerts/{id}/replay", "read", "", (*Server).apiReplay},
	{"POST", "/alerts/update", "alerts", "", (*Server).apiUpdate},
	{"GET", "/export.ndjson", "read", "", (*Server).exportNDJSON},
	{"GET", "/export.csv", "read", "", (*Server).exportCSV},
	{"GET", "/exceptions", "read", "", (*Server).apiExceptions},
	{"POST", "/exceptions", "exceptions", "", (*Server).apiExceptionPut},
	{"POST", "/exceptions/preview", "read", "exceptions", (*Server).apiPreview},
	{"DELETE", "/exceptions/{id}", "exceptions", "", (*Server).apiExceptionDelete},
	{"GET", "/rules", "read", "", (*Server).apiRules},
	{"GET", "/rules/{id}", "read", "", (*Server).apiRule},
	{"PUT", "/rules/{id}/state", "rules", "", (*Server).apiRuleState},
	{"GET", "/coverage", "read", "", (*Server).apiCoverage},
	{"GET", "/hosts", "read", "", (*Server).apiHosts},
	{"GET", "/sources", "read", "", (*Server).apiSources},
	{"GET", "/audit", "audit", "", (*Server).apiAudit},
	{"GET", "/whoami", "read", "", (*Server).apiWhoami},
	{"GET", "/users", "users", "", (*Server).apiUsers},
	{"PUT", "/users/{name}", "users", "", (*Server).apiUserPut},
	{"DELETE", "/users/{name}", "users", "", (*Server).apiUserDelete},
	{"POST", "/users/{name}/link", "users", "", (*Server).apiUserLink},
	{"GET", "/tokens", "tokens", "", (*Server).apiTokens},
	{"POST", "/tokens", "tokens", "", (*Server).apiTokenCreate},
	{"DELETE", "/tokens/{name}", "tokens", "", (*Server).apiTokenDelete},
}

func (s *Server) apiRoutes(mux *http.ServeMux) {
	for _, rt := range apiRoutes {
		mux.HandleFunc(rt.method+" /api/v1"+rt.path, func(w http.ResponseWriter, r *http.Request) {
			if err := s.serveAPI(w, r, rt); err != nil {
				code, text := s.status(r, err)
				w.Header().Del("Content-Disposition")
				writeJSON(w, code, map[string]string{"error": text})
			}
		})
	}
	mux.HandleFunc("GET /api/v1/openapi.json", func(w http.ResponseWriter, r *http.Request) {
		b, err := files.ReadFile("openapi.json")
		if err != nil {
			panic("console: bug: " + err.Error())
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write(b)
	})
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusNotFound, map[string]string{"error": "There is no such thing in the API; see /api/v1/openapi.json."})
	})
}

func (s *Server) serveAPI(w http.ResponseWriter, r *http.Request, rt apiRoute) error {
	u, err := s.bearer(r)
	if err != nil {
		return err
	}
	if u == nil {
		if u, err = s.who(r); err != nil {
			return err
		}
		// A session of a browser: what changes something is of the same origin, as the
		// policy for all requests sees to, and JSON, which no form can send.
	}
	if u == nil {
		w.Header().Set("WWW-Authenticate", `Bearer realm="orlop"`)
		return &problem{http.StatusUnauthorized, "A token is needed: Authorization: Bearer …"}
	}
	i := slices.IndexFunc(scopes, func(x struct {
		Name, Says string
		Role       store.Role
	}) bool {
		return x.Name == rt.scope
	})
	if u.Token != nil && !contains(u.Token.Scopes, rt.scope) && (rt.or == "" || !contains(u.Token.Scopes, rt.or)) {
		return &problem{http.StatusForbidden, fmt.Sprintf("The token lacks the scope %s.", rt.scope)}
	}
	if !u.may(scopes[i].Role) {
		return &problem{http.StatusForbidden, fmt.Sprintf("This takes the role %s; %s is %s.", scopes[i].Role, u.User.Name, u.User.Role)}
	}
	if r.Method == http.MethodPost || r.Method == http.MethodPut {
		if ct, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); ct != "application/json" {
			return &problem{http.StatusUnsupportedMediaType, "Expected Content-Type: application/json."}
		}
	}
	return rt.handle(s, w, r, u)
}

// bearer is who asks by a token, or nil if there is none.
func (s *Server) bearer(r *http.Request) (*who, error) {
	h := r.Header.Get("Authorization")
	if h == "" {
		return nil, nil
	}
	wrong := &problem{http.StatusUnauthorized, "The token is wrong, has expired or was removed."}
	key, ok := strings.CutPrefix(h, "Bearer ")
	if !ok || !strings.HasPrefix(key, "orlop_") || len(key) > 200 {
		return nil, wrong
	}
	if wait := s.limit.take(s.o.Now(), "token "+client(r)+" "+sumOf([]byte(key)), 600, 100*time.Millisecond); wait > 0 {
		return nil, &problem{http.StatusTooManyRequests, "Too many requests with this token."}
	}
	t, err := s.o.Store.UseToken(r.Context(), s.o.Now(), key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, wrong
	}
	if err != nil {
		return nil, err
	}
	u, err := s.o.Store.User(r.Context(), t.User)
	if errors.Is(err, store.ErrNotFound) {
		return nil, wrong
	}
	if err != nil {
		return nil, err
	}
	return &who{User: u, Token: t}, nil
}

// body reads a JSON body, and nothing that it should not have.
func body(r *http.Request, v any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		code := http.StatusBadRequest
		if e := new(http.MaxBytesError); errors.As(err, &e) {
			code = http.StatusRequestEntityTooLarge
		}
		return &problem{code, "The body cannot be read: " + plain(err.Error(), 300) + "."}
	}
	if _, err := d.Token(); err != io.EOF {
		return &problem{http.StatusBadRequest, "The body has more than one value."}
	}
	return nil
}

type apiPage struct {
	Total  int               `json:"total"`
	Head   int64             `json:"head"`
	Alerts []json.RawMessage `json:"alerts"`
	After  store.Cursor      `json:"after,omitempty"`
	Before store.Cursor      `json:"before,omitempty"`
	Facets []apiFacet        `json:"facets,omitempty"`
	Groups []apiGroup        `json:"groups,omitempty"`

	Warnings []apiWarning `json:"warnings,omitempty"`
}

// An apiWarning is about a piece of q.
type apiWarning struct {
	Start   int    `json:"start"`
	End     int    `json:"end"`
	Message string `json:"message"`
}

type apiFacet struct {
	Field   string     `json:"field"`
	Values  []apiCount `json:"values"`
	Missing int        `json:"missing"`
}

type apiCount struct {
	Value string `json:"value"`
	Count int    `json:"count"`
}

type apiGroup struct {
	Values []*string `json:"values"` // null: without the field
	Count  int       `json:"count"`
	First  time.Time `json:"first"`
	Last   time.Time `json:"last"`
}

func (s *Server) apiAlerts(w http.ResponseWriter, r *http.Request, u *who) error {
	v := r.URL.Query()
	if v.Get("status") == "" {
		v.Set("status", "all")
	}
	a, err := parseAsk(v)
	if err != nil {
		return err
	}
	q, how, err := a.query(s.o.Now())
	if err != nil {
		return err
	}
	if how.Wrong != "" {
		return &problem{http.StatusBadRequest, fmt.Sprintf("The query has a mistake behind %q: %s.", plain(how.Where, 200), how.Wrong)}
	}
	if len(v["facet"]) > 10 {
		return &problem{http.StatusBadRequest, "Expected at most 10 facets."}
	}
	for _, f := range v["facet"] {
		q.Facets = append(q.Facets, store.Facet{Field: f, Limit: 50})
	}
	q.GroupBy = a.By
	res, err := s.o.Store.Query(r.Context(), q)
	if err != nil {
		return refused(err)
	}
	out := &apiPage{Total: res.Total, Head: res.Head, Alerts: []json.RawMessage{}}
	for _, h := range s.hints(a.Q, res.Hints) {
		out.Warnings = append(out.Warnings, apiWarning{h.Start, h.End, plain(h.Piece, 200) + " " + h.Says + "."})
	}
	for _, rec := range res.Records {
		out.Alerts = append(out.Alerts, rec.AppendJSON(nil))
	}
	if n := len(res.Records); n > 0 {
		if res.Older {
			out.After = res.Records[n-1].Cursor
		}
		if res.Newer {
			out.Before = res.Records[0].Cursor
		}
	}
	for _, f := range res.Facets {
		af := apiFacet{Field: f.Field, Missing: f.Missing, Values: []apiCount{}}
		for _, c := range f.Values {
			af.Values = append(af.Values, apiCount(c))
		}
		out.Facets = append(out.Facets, af)
	}
	for _, g := range res.Groups {
		ag := apiGroup{Count: g.Count, First: g.First, Last: g.Last}
		for _, x := range g.Values {
			var p *string
			if !x.Missing {
				p = &x.Value
			}
			ag.Values = append(ag.Values, p)
		}
		out.Groups = append(out.Groups, ag)
	}
	return writeJSON(w, http.StatusOK, out)
}

func (s *Server) apiAlert(w http.ResponseWriter, r *http.Request, u *who) error {
	rec, err := s.o.Store.Alert(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, err = w.Write(append(escaped(rec.AppendJSON(nil)), '\n'))
	return err
}

func (s *Server) apiHistory(w http.ResponseWriter, r *http.Request, u *who) error {
	if _, err := s.o.Store.Alert(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	return s.apiActions(w, r, &store.ActionQuery{Alert: r.PathValue("id"), Limit: 1000})
}

func (s *Server) apiActions(w http.ResponseWriter, r *http.Request, q *store.ActionQuery) error {
	all := []*store.Action{}
	for a, err := range s.o.Store.Actions(r.Context(), q) {
		if err != nil {
			return err
		}
		all = append(all, a)
	}
	return writeJSON(w, http.StatusOK, map[string]any{"actions": all})
}

func (s *Server) apiUpdate(w http.ResponseWriter, r *http.Request, u *who) error {
	var in struct {
		IDs      []string     `json:"ids"`
		Status   store.Status `json:"status"`
		Reason   string       `json:"reason"`
		Assign   []string     `json:"assign"`
		Unassign []string     `json:"unassign"`
		Tag      []string     `json:"tag"`
		Untag    []string     `json:"untag"`
		Comment  string       `json:"comment"`
	}
	if err := body(r, &in); err != nil {
		return err
	}
	if len(in.IDs) == 0 || len(in.IDs) > mostChanged {
		return &problem{http.StatusBadRequest, fmt.Sprintf("ids: expected 1 to %s.", number(mostChanged))}
	}
	did, err := s.update(r, u, in.IDs, store.Change{Status: in.Status, Reason: in.Reason, Assign: in.Assign, Unassign: in.Unassign, Tag: in.Tag, Untag: in.Untag, Comment: in.Comment})
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, did)
}

func (s *Server) apiExceptions(w http.ResponseWriter, r *http.Request, u *who) error {
	all, err := s.o.Store.Exceptions(r.Context())
	if err != nil {
		return err
	}
	if all == nil {
		all = []*store.Exception{}
	}
	return writeJSON(w, http.StatusOK, map[string]any{"exceptions": all})
}

func (s *Server) apiExceptionPut(w http.ResponseWriter, r *http.Request, u *who) error {
	var x store.Exception
	if err := body(r, &x); err != nil {
		return err
	}
	if err := x.Check(); err != nil {
		return &problem{http.StatusBadRequest, "The exception is refused: " + err.Error() + "."}
	}
	if len(x.Entries) == 0 && x.Where == "" {
		return &problem{http.StatusBadRequest, "An exception without a condition removes everything."}
	}
	was := &store.Exception{}
	if x.ID != "" {
		var err error
		if was, err = s.o.Store.Exception(r.Context(), x.ID); err != nil {
			return err
		}
	}
	for _, id := range x.Rules {
		if contains(was.Rules, id) {
			continue
		}
		if err := s.knowRule(r.Context(), id); err != nil {
			return err
		}
	}
	if err := s.o.Store.PutException(r.Context(), u.actor(), s.o.Now(), &x); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, &x)
}

func (s *Server) apiPreview(w http.ResponseWriter, r *http.Request, u *who) error {
	var in struct {
		Exception store.Exception `json:"exception"`
		From      time.Time       `json:"from"`
		To        time.Time       `json:"to"`
	}
	if err := body(r, &in); err != nil {
		return err
	}
	p, err := s.o.Store.Preview(r.Context(), &in.Exception, in.From, in.To, 20)
	if err != nil {
		return &problem{http.StatusBadRequest, "The exception is refused: " + err.Error() + "."}
	}
	ids := []string{}
	for _, rec := range p.Alerts {
		ids = append(ids, rec.Alert.ID)
	}
	rules := []map[string]any{}
	for _, rm := range p.Rules {
		rules = append(rules, map[string]any{"rule_id": rm.RuleID, "name": rm.RuleName, "total": rm.Total, "removed": rm.Removed})
	}
	return writeJSON(w, http.StatusOK, map[string]any{"total": p.Total, "removed": p.Removed, "true_positives": p.True, "worked_on": p.Worked, "rules": rules, "sample": ids})
}

func (s *Server) apiExceptionDelete(w http.ResponseWriter, r *http.Request, u *who) error {
	if err := s.o.Store.DeleteException(r.Context(), u.actor(), s.o.Now(), r.PathValue("id"), plain(r.URL.Query().Get("why"), 1000)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) apiRules(w http.ResponseWriter, r *http.Request, u *who) error {
	rows, err := s.ruleRows(r.Context())
	if err != nil {
		return err
	}
	out := []map[string]any{}
	for _, x := range rows {
		out = append(out, x.json())
	}
	return writeJSON(w, http.StatusOK, map[string]any{"rules": out})
}

func (s *Server) apiRuleState(w http.ResponseWriter, r *http.Request, u *who) error {
	var in struct {
		Disabled bool   `json:"disabled"`
		Reason   string `json:"reason"`
	}
	if err := body(r, &in); err != nil {
		return err
	}
	if in.Disabled && strings.TrimSpace(in.Reason) == "" {
		return &problem{http.StatusBadRequest, "reason: say why the rule is to be off."}
	}
	st := &store.RuleState{RuleID: r.PathValue("id"), Disabled: in.Disabled, Reason: in.Reason}
	if err := s.knowRule(r.Context(), st.RuleID); err != nil {
		return err
	}
	if err := s.o.Store.PutRuleState(r.Context(), u.actor(), s.o.Now(), st); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, st)
}

func (s *Server) apiHosts(w http.ResponseWriter, r *http.Request, u *who) error {
	res, err := s.o.Store.Query(r.Context(), &store.Query{Filters: []store.Filter{{Field: fieldBlock, Not: true}}, GroupBy: []string{"host.name"}, Groups: 1000})
	if err != nil {
		return err
	}
	out := []map[string]any{}
	for _, g := range res.Groups {
		if !g.Values[0].Missing {
			out = append(out, map[string]any{"name": g.Values[0].Value, "alerts": g.Count, "first": g.First, "last": g.Last})
		}
	}
	return writeJSON(w, http.StatusOK, map[string]any{"hosts": out})
}

func (s *Server) apiSources(w http.ResponseWriter, r *http.Request, u *who) error {
	out := []map[string]any{}
	if s.o.Sources != nil {
		for _, x := range s.o.Sources() {
			out = append(out, map[string]any{"name": x.Name, "about": x.About, "in": x.In, "evaluated": x.Evaluated, "filtered": x.Filtered,
				"late": x.Late, "lost": x.Lost, "rejected": x.Rejected, "waiting": x.Waiting})
		}
	}
	return writeJSON(w, http.StatusOK, map[string]any{"sources": out})
}

func (s *Server) apiAudit(w http.ResponseWriter, r *http.Request, u *who) error {
	q := r.URL.Query()
	aq := &store.ActionQuery{User: q.Get("user"), What: q.Get("what"), Object: q.Get("object"), Limit: 100}
	if b := q.Get("before"); b != "" {
		if _, err := fmt.Sscan(b, &aq.Before); err != nil || aq.Before < 1 {
			return &problem{http.StatusBadRequest, "before: expected a number."}
		}
	}
	return s.apiActions(w, r, aq)
}

func (s *Server) apiWhoami(w http.ResponseWriter, r *http.Request, u *who) error {
	out := map[string]any{"user": u.User.Name, "role": u.User.Role}
	if u.Token != nil {
		out["token"], out["scopes"] = u.Token.Name, u.Token.Scopes
	}
	return writeJSON(w, http.StatusOK, out)
}
