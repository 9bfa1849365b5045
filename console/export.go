package console

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/orlop/orlop/store"
)

// mostExport is how many alerts one export has.
const mostExport = 1_000_000

// export writes all alerts that a query selects. Who reads too slowly is let go.
func (s *Server) export(w http.ResponseWriter, r *http.Request, u *who, a *ask, form, kind string, write func(*store.Record) error, flush func() error) error {
	q, how, err := a.query(s.o.Now())
	if err != nil {
		return err
	}
	if how.Wrong != "" {
		return &problem{http.StatusBadRequest, "The query has a mistake: " + how.Wrong + "."}
	}
	q.After, q.Before, q.Limit = "", "", 0
	err = s.o.Store.Note(r.Context(), s.o.Now(), &store.Action{By: u.actor(), What: "alert.export", Object: form, Note: plain(a.URL(), 1000)})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="alerts-%s.%s"`, s.o.Now().UTC().Format("20060102T150405Z"), form))
	out := http.NewResponseController(w)
	n := 0
	for rec, err := range s.o.Store.Records(r.Context(), q) {
		if err != nil {
			if n == 0 {
				w.Header().Del("Content-Type")
				return refused(err)
			}
			s.o.Log.Warn("an export ended early", "reason", err)
			panic(http.ErrAbortHandler) // so that the client sees that it is not whole
		}
		if n%100 == 0 {
			out.SetWriteDeadline(time.Now().Add(time.Minute))
		}
		if n++; n > mostExport {
			break
		}
		if err := write(rec); err != nil {
			return nil
		}
	}
	flush()
	return nil
}

var csvColumns = []string{
	"@timestamp", "kibana.alert.original_time", fieldSeverity, "kibana.alert.risk_score", fieldRuleName, fieldRule, "host.name", "user.name",
	"process.command_line", "process.executable", "process.parent.command_line", "orlop.runtime.behaviour", "orlop.runtime.host_access", "orlop.runtime.container",
	"kibana.alert.reason", store.FieldStatus, store.FieldReason, store.FieldAssignees, store.FieldTags, "kibana.alert.uuid",
}

// inert is a cell of CSV that no spreadsheet takes for a formula and in which nothing is
// hidden.
func inert(s string) string {
	s = plain(s, 32_000) // a cell of Excel holds 32,767
	if s != "" && strings.ContainsRune("=+-@|%\t\r＝＋－＠", []rune(s)[0]) {
		s = "'" + s
	}
	return s
}

func (s *Server) exportCSV(w http.ResponseWriter, r *http.Request, u *who) error {
	a, err := parseAsk(r.URL.Query())
	if err != nil {
		return err
	}
	out := csv.NewWriter(w)
	head := false
	title := func() error {
		if head {
			return nil
		}
		head = true
		names := slices.Clone(csvColumns)
		names[0] = "timestamp" // what begins with @ could be a formula
		return out.Write(names)
	}
	return s.export(w, r, u, a, "csv", "text/csv; charset=utf-8", func(rec *store.Record) error {
		if err := title(); err != nil {
			return err
		}
		d := read(rec)
		var cells []string
		for _, c := range csvColumns {
			cells = append(cells, inert(strings.Join(d.texts(c), ", ")))
		}
		return out.Write(cells)
	}, func() error {
		title()
		out.Flush()
		return out.Error()
	})
}

func (s *Server) exportNDJSON(w http.ResponseWriter, r *http.Request, u *who) error {
	a, err := parseAsk(r.URL.Query())
	if err != nil {
		return err
	}
	return s.export(w, r, u, a, "ndjson", "application/x-ndjson", func(rec *store.Record) error {
		_, err := w.Write(append(escaped(rec.AppendJSON(nil)), '\n'))
		return err
	}, func() error { return nil })
}

// escaped is JSON in which characters that act on what shows them are written as \u.
func escaped(doc []byte) []byte {
	if !bytes.ContainsFunc(doc, hidden) {
		return doc
	}
	out := make([]byte, 0, len(doc)+64)
	for _, r := range string(doc) {
		switch {
		case r == '\n', !hidden(r):
			out = append(out, string(r)...)
		case r > 0xffff:
			r -= 0x10000
			out = fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+(r>>10), 0xdc00+(r&0x3ff))
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}

func writeJSON(w http.ResponseWriter, code int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, err = w.Write(append(escaped(b), '\n'))
	return err
}
