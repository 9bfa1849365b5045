package source

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
)

// A Format is how the events of an input are written.
type Format string

const (
	Unknown Format = ""
	Audit   Format = "audit" // Linux audit records; package source/audit reads them
	ECS     Format = "ecs"   // ECS documents in JSON; package source/ecs reads them

	// KubeAudit is the audit log of the Kubernetes API server; package
	// source/kubeaudit reads it.
	KubeAudit Format = "kubeaudit"
)

const sniff = 64 << 10

// Format tells the format of the input by its first lines. It is Unknown if
// the input is empty or its start is neither. The error is that of ctx.
func (in *Input) Format(ctx context.Context) (Format, error) {
	w := in.Window(ctx)
	for {
		f, sure := detect(w.Bytes())
		if sure {
			return f, nil
		}
		if !w.More(sniff) {
			return f, ctx.Err()
		}
	}
}

// detect guesses the format of b; it is sure once more bytes cannot change it.
func detect(b []byte) (f Format, sure bool) {
	for len(b) > 0 {
		line, rest, whole := bytes.Cut(b, []byte("\n"))
		line = bytes.TrimLeft(line, " \t\r\x1e")
		if len(line) > 0 {
			switch {
			case line[0] == '{':
				is, sure := isKubeAudit(line)
				if is {
					return KubeAudit, true
				}
				return ECS, sure || whole
			case line[0] == '[':
				return ECS, true
			case isAudit(line):
				return Audit, true
			}
		}
		if !whole {
			return Unknown, false
		}
		b = rest
	}
	return Unknown, false
}

// isKubeAudit reports whether the start of an object is that of an event, or list of
// them, of the API server's audit log: however it is spaced and its keys are ordered, its
// own apiVersion says so. It is sure once that has come, or the object's end; or hits,
// which are a search response's and are read before its end.
func isKubeAudit(object []byte) (is, sure bool) {
	d := json.NewDecoder(bytes.NewReader(object))
	_, err := d.Token() // the brace
	for err == nil && d.More() {
		var key json.Token
		if key, err = d.Token(); err != nil {
			break
		}
		if key == "hits" {
			return false, true
		}
		var value json.RawMessage
		if err = d.Decode(&value); err == nil && key == "apiVersion" {
			return bytes.HasPrefix(value, []byte(`"audit.k8s.io/`)), true
		}
	}
	if err == nil {
		_, err = d.Token() // the other brace
	}
	return false, err != io.EOF && err != io.ErrUnexpectedEOF
}

// isAudit reports whether the start of a line has a type and a stamp.
func isAudit(line []byte) bool {
	line = line[:min(len(line), 1024)]
	t := bytes.Index(line, []byte("type="))
	return t >= 0 && bytes.Contains(line[t:], []byte("audit("))
}
