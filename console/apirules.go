package console

import (
	"net/http"

	"github.com/orlop/orlop/rule"
	"github.com/orlop/orlop/store"
)

// What the JSON API tells of rules: one of them, what they cover, and what one makes of the
// events of an alert today.

func (x *ruleRow) json() map[string]any {
	return map[string]any{"rule_id": x.ID, "name": x.Name, "severity": x.Severity, "type": x.Type, "idle": x.Idle, "disabled": x.Disabled,
		"alerts": x.Alerts, "open": x.Open, "false_positives": x.False, "ns_per_event": x.NS}
}

func (s *Server) apiRule(w http.ResponseWriter, r *http.Request, u *who) error {
	v, err := s.ruleOf(r)
	if err != nil {
		return err
	}
	x := &v.Rule
	tests := []map[string]any{}
	for _, t := range v.Tests.All {
		tests = append(tests, map[string]any{"name": t.Name, "must_match": t.Must, "events": t.Events, "result": t.Result, "wrong": t.Wrong})
	}
	held := []map[string]any{}
	for _, e := range v.Exceptions {
		held = append(held, map[string]any{"id": e.ID, "name": e.Name, "active": e.Active, "held": e.Held})
	}
	threat := x.Threat
	if threat == nil {
		threat = []rule.Threat{}
	}
	out := x.json()
	for k, value := range map[string]any{
		"description": x.Description, "language": x.Language, "query": x.Query.Text, "risk_score": x.RiskScore, "tags": x.Tags, "references": x.References,
		"note": x.Note, "setup": x.Setup, "threat": threat, "tried": x.Tried, "matched": x.Matched, "alerts_per_day": v.PerDay, "days": v.Days, "tests": tests, "exceptions": held,
	} {
		out[k] = value
	}
	if !v.Last.IsZero() {
		out["last"] = v.Last
	}
	if x.State != nil {
		out["state"] = x.State
	}
	return writeJSON(w, http.StatusOK, out)
}

func (s *Server) apiCoverage(w http.ResponseWriter, r *http.Request, u *who) error {
	v, err := s.cover(r.Context())
	if err != nil {
		return err
	}
	tactics := []map[string]any{}
	for _, t := range v.Tactics {
		techniques := []map[string]any{}
		for _, c := range t.Techniques {
			techniques = append(techniques, map[string]any{"id": c.ID, "name": c.Name, "rules": c.Rules, "off": c.Off, "alerts": c.Alerts, "rule_names": c.Names})
		}
		tactics = append(tactics, map[string]any{"id": t.ID, "name": t.Name, "alerts": t.Alerts, "techniques": techniques})
	}
	return writeJSON(w, http.StatusOK, map[string]any{"rules": v.Rules, "tactics": tactics})
}

func (s *Server) apiReplay(w http.ResponseWriter, r *http.Request, u *who) error {
	v, err := s.replayOf(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	missed := []map[string]any{}
	for _, m := range v.Why {
		clauses := []string{}
		for _, c := range m.Clauses {
			clauses = append(clauses, c.Text)
		}
		missed = append(missed, map[string]any{"item": m.Item, "missing": m.Missing, "clauses": clauses})
	}
	exceptions := v.Holds
	if exceptions == nil {
		exceptions = []string{}
	}
	return writeJSON(w, http.StatusOK, map[string]any{"events": v.Events, "events_lost": v.Left, "matches": v.Matches, "not_tried": v.Idle, "off": v.Off,
		"query_changed": v.Changed, "severity": v.Severity, "exceptions": exceptions, "did_not_hold": missed})
}

// What it tells of users and tokens. Hashes and keys are told to nobody, but for the secret
// of a token that has just been made.

func userJSON(x *store.User) map[string]any {
	return map[string]any{"name": x.Name, "role": x.Role, "disabled": x.Disabled, "created": x.Created, "password": x.Hash != "", "oidc": x.Subject != ""}
}

func (s *Server) apiUsers(w http.ResponseWriter, r *http.Request, u *who) error {
	all, err := s.o.Store.Users(r.Context())
	if err != nil {
		return err
	}
	out := []map[string]any{}
	for _, x := range all {
		out = append(out, userJSON(x))
	}
	return writeJSON(w, http.StatusOK, map[string]any{"users": out})
}

func (s *Server) apiUserPut(w http.ResponseWriter, r *http.Request, u *who) error {
	var in struct {
		Role     store.Role `json:"role"`
		Disabled bool       `json:"disabled"`
	}
	if err := body(r, &in); err != nil {
		return err
	}
	user, fresh, err := s.putUser(r.Context(), u, r.PathValue("name"), in.Role, in.Disabled)
	if err != nil {
		return err
	}
	code := http.StatusOK
	if fresh {
		code = http.StatusCreated
		if user, err = s.o.Store.User(r.Context(), user.Name); err != nil {
			return err
		}
	}
	return writeJSON(w, code, userJSON(user))
}

func (s *Server) apiUserDelete(w http.ResponseWriter, r *http.Request, u *who) error {
	if err := s.deleteUser(r.Context(), u, r.PathValue("name")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) apiUserLink(w http.ResponseWriter, r *http.Request, u *who) error {
	if err := body(r, &struct{}{}); err != nil {
		return err
	}
	link, err := s.linkOf(r, r.PathValue("name"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, map[string]any{"link": link, "expires": s.o.Now().Add(LinkLife)})
}

func tokenJSON(t *store.Token) map[string]any {
	out := map[string]any{"name": t.Name, "user": t.User, "scopes": t.Scopes, "created": t.Created}
	if !t.Expires.IsZero() {
		out["expires"] = t.Expires
	}
	if !t.Used.IsZero() {
		out["used"] = t.Used
	}
	return out
}

func (s *Server) apiTokens(w http.ResponseWriter, r *http.Request, u *who) error {
	all, err := s.tokens(r.Context(), u)
	if err != nil {
		return err
	}
	out := []map[string]any{}
	for _, t := range all {
		out = append(out, tokenJSON(t))
	}
	return writeJSON(w, http.StatusOK, map[string]any{"tokens": out})
}

func (s *Server) apiTokenCreate(w http.ResponseWriter, r *http.Request, u *who) error {
	var in struct {
		Name   string   `json:"name"`
		Scopes []string `json:"scopes"`
		Days   int      `json:"days"`
	}
	if err := body(r, &in); err != nil {
		return err
	}
	key, t, err := s.createToken(r.Context(), u, in.Name, in.Scopes, in.Days)
	if err != nil {
		return err
	}
	t.Created = s.o.Now()
	out := tokenJSON(t)
	out["token"] = key
	return writeJSON(w, http.StatusCreated, out)
}

func (s *Server) apiTokenDelete(w http.ResponseWriter, r *http.Request, u *who) error {
	if err := s.deleteToken(r.Context(), u, r.PathValue("name")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
