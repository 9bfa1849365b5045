package syslog

import (
	"encoding/json"
	"fmt"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/sink"
)

const logAudit = 13

// What syslog and CEF make of a severity.
var (
	syslogSeverity = map[string]int{"critical": 2, "high": 3, "medium": 4, "low": 5}
	cefSeverity    = map[string]int{"critical": 10, "high": 8, "medium": 5, "low": 3}
)

// message is an alert as a SYSLOG-MSG.
func (s *output) message(a *alert.Alert) []byte {
	severity, ok := syslogSeverity[a.Severity]
	if !ok {
		severity = 6
	}
	at := "-"
	if !a.Time.IsZero() {
		at = a.Time.UTC().Format("2006-01-02T15:04:05.000000Z")
	}
	doc := sink.Document(a)
	isCEF, fields := s.o.Format == "cef", mainFields
	if isCEF {
		fields = cefNames
	}
	texts := sink.Texts(doc, fields...)
	host := name(texts[0])
	if host == "-" {
		host = name(s.o.Host)
	}
	head := fmt.Sprintf("<%d>1 %s %s orlop - alert - ", logAudit*8+severity, at, host)
	room := s.o.MaxBytes - len(head)
	if isCEF {
		return append([]byte(head), fit(room, func(most int) []byte { return cef(a, texts, most) })...)
	}
	if len(doc) <= room { // in ASCII it gets no shorter
		if msg := ascii(doc); len(msg) <= room {
			return append([]byte(head), msg...)
		}
	}
	return append([]byte(head), fit(room, func(most int) []byte { return short(a, texts, most) })...)
}

// fit makes a message with texts of so many characters that it has room.
func fit(room int, make func(most int) []byte) []byte {
	for most := 4000; ; most /= 2 {
		if b := make(most); len(b) <= room || most == 1 {
			return b
		}
	}
}

// name is s as a HOSTNAME: printable ASCII, no blank, 255 at most.
func name(s string) string {
	b := []byte(s[:min(len(s), 255)])
	for i, c := range b {
		if c <= ' ' || c >= 0x7f {
			b[i] = '_'
		}
	}
	if len(b) == 0 {
		return "-"
	}
	return string(b)
}

// ascii is JSON with all that is not ASCII as \u: servers differ in what they make
// of the byte order mark that UTF-8 needs.
func ascii(doc []byte) []byte {
	out := make([]byte, 0, len(doc))
	for i := 0; i < len(doc); {
		if c := doc[i]; c < 0x7f {
			out = append(out, c)
			i++
			continue
		}
		r, n := utf8.DecodeRune(doc[i:])
		i += n
		if hi, lo := utf16.EncodeRune(r); hi != unicode.ReplacementChar {
			out = fmt.Appendf(out, `\u%04x\u%04x`, hi, lo)
		} else {
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}

// mainFields are those of a document that was too long. The host is the first.
var mainFields = []string{"host.name", "user.name", "process.executable", "process.command_line", "process.parent.executable", "container.id"}

// short is an alert and the texts of its main fields, of at most so many characters.
func short(a *alert.Alert, texts []string, most int) []byte {
	doc := map[string]any{
		"kibana.alert.uuid":         a.ID,
		"kibana.alert.rule.rule_id": a.RuleID,
		"kibana.alert.rule.name":    sink.Plain(a.RuleName, most),
		"kibana.alert.severity":     a.Severity,
		"kibana.alert.risk_score":   a.RiskScore,
		"kibana.alert.reason":       sink.Plain(a.Reason, most),
		"orlop.shortened":           true,
	}
	if !a.Time.IsZero() {
		doc["@timestamp"] = a.Time.UTC().Format(time.RFC3339Nano)
	}
	for i, text := range texts {
		if text != "" {
			doc[mainFields[i]] = sink.Plain(text, most)
		}
	}
	b, err := json.Marshal(doc)
	if err != nil {
		panic("syslog: bug: " + err.Error())
	}
	return ascii(b)
}

// The lengths that the dictionary of CEF allows.
var cefFields = []struct {
	key, label, field string
	most              int
}{
	{"dvchost", "", "host.name", 100},
	{"suser", "", "user.name", 1023},
	{"spid", "", "process.pid", 20},
	{"sproc", "", "process.executable", 1023},
	{"act", "", "event.action", 63},
	{"cs2", "commandLine", "process.command_line", 4000},
	{"cs3", "containerId", "container.id", 4000},
	{"cs4", "parentProcess", "process.parent.executable", 4000},
}

// cefNames are the fields that CEF has. The host is the first.
var cefNames = func() (names []string) {
	for _, f := range cefFields {
		names = append(names, f.field)
	}
	return names
}()

// cef is an alert and the texts of its cefFields in Common Event Format.
func cef(a *alert.Alert, texts []string, most int) []byte {
	severity, ok := cefSeverity[a.Severity]
	if !ok {
		severity = 0
	}
	var b strings.Builder
	fmt.Fprintf(&b, "CEF:0|Orlop|Orlop|%s|%s|%s|%d|", header(version(), 31), header(a.RuleID, 1023), header(a.RuleName, min(512, most)), severity)
	first := true
	put := func(key, value string, limit int) {
		if value == "" {
			return
		}
		if !first {
			b.WriteByte(' ')
		}
		first = false
		b.WriteString(key + "=" + extension(value, limit))
	}
	if !a.Time.IsZero() {
		put("rt", strconv.FormatInt(a.Time.UnixMilli(), 10), 20)
	}
	put("cs1Label", "alertId", 1023)
	put("cs1", a.ID, 4000)
	for i, text := range texts {
		f := cefFields[i]
		if text != "" && f.label != "" {
			put(f.key+"Label", f.label, 1023)
		}
		put(f.key, text, min(f.most, most))
	}
	put("msg", a.Reason, min(1023, most))
	if msg := b.String(); strings.IndexFunc(msg, func(r rune) bool { return r >= utf8.RuneSelf }) >= 0 {
		return []byte("\uFEFF" + msg)
	}
	return []byte(b.String())
}

// header is s in a header of CEF, which is one line.
func header(s string, most int) string {
	return strings.NewReplacer(`\`, `\\`, `|`, `\|`).Replace(sink.Plain(s, most-1))
}

// extension is s as a value in an extension of CEF, which may have line ends.
func extension(s string, most int) string {
	var lines []string
	n := 0
	for line := range strings.SplitSeq(s, "\n") {
		if n++; n > most {
			break
		}
		plain := sink.Plain(strings.TrimSuffix(line, "\r"), max(most-n-1, 0))
		n += utf8.RuneCountInString(plain)
		lines = append(lines, strings.NewReplacer(`\`, `\\`, `=`, `\=`).Replace(plain))
	}
	return strings.Join(lines, `\n`)
}

// version is that of the program.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "0"
}
