package audit

import (
	"bytes"
	"errors"
)

// A Type is the kernel's number of a record type; 0 is a type we know only by name.
type Type uint16

// The types that the reassembler treats in their own way.
const (
	typeLogin     Type = 1006
	typeUserCmd   Type = 1123
	typeSyscall   Type = 1300
	typePath      Type = 1302
	typeConfig    Type = 1305
	typeSockaddr  Type = 1306
	typeCwd       Type = 1307
	typeExecve    Type = 1309
	typeEOE       Type = 1320
	typeSeccomp   Type = 1326
	typeProctitle Type = 1327
	typeAVC       Type = 1400
)

// A Record is one line of an audit log, taken apart as far as all types have
// it in common. Its bytes are borrowed from the line.
type Record struct {
	Node   []byte // of the node= prefix
	Type   Type
	Name   []byte // "SYSCALL"; empty if the line has only a number
	Millis int64  // since 1970
	Serial uint64
	Raw    []byte // fields as the kernel wrote them
	Names  []byte // fields that auditd translated (log_format = ENRICHED)
}

var (
	errCut         = errors.New("the record is cut short")
	errNotRecord   = errors.New("not an audit record")
	errType        = errors.New("not an audit record: bad type")
	errStamp       = errors.New("not an audit record: bad stamp, want audit(seconds.millis:serial)")
	errInterpreted = errors.New("interpreted audit record: its values cannot be read back (use ausearch --raw)")
)

// Parse takes a line apart: what auditd writes, what ausearch --raw prints, and
// the kernel's own form in syslog and the journal, with anything before it.
func (r *Record) Parse(line []byte) error {
	*r = Record{}
	b := line
	if !hasPrefix(b, "type=") { // Fast path: nothing stands before the type.
		i := bytes.Index(b, []byte("type="))
		for i > 0 && b[i-1] != ' ' && b[i-1] != '\t' {
			j := bytes.Index(b[i+1:], []byte("type="))
			if j < 0 {
				return errNotRecord
			}
			i += 1 + j
		}
		if i < 0 {
			return errNotRecord
		}
		before := b[:i]
		b = b[i:]
		if n := bytes.LastIndex(before, []byte("node=")); n >= 0 && (n == 0 || before[n-1] == ' ') {
			r.Node = word(before[n+len("node="):])
		}
	}
	b = b[len("type="):]
	i := bytes.IndexByte(b, ' ')
	if i <= 0 || i > 64 {
		return errNotRecord
	}
	name := b[:i]
	b = b[i+1:]
	if !r.setType(name) {
		return errType
	}
	if hasPrefix(b, "msg=") {
		b = b[len("msg="):]
	}
	return r.ParseText(b)
}

// ParseText takes the text of a netlink message apart: "audit(…): …". The
// caller has set Type.
func (r *Record) ParseText(b []byte) error {
	if !hasPrefix(b, "audit(") {
		return errNotRecord
	}
	b = b[len("audit("):]
	sec, n := digits(b)
	if n == 0 || n > 11 || len(b) <= n || b[n] != '.' {
		if n > 0 && len(b) > n && b[n] == '/' {
			return errInterpreted
		}
		return errStamp
	}
	b = b[n+1:]
	ms, n := digits(b)
	if n == 0 || n > 9 || len(b) <= n || b[n] != ':' {
		return errStamp
	}
	b = b[n+1:]
	for ; n < 3; n++ {
		ms *= 10
	}
	for ; n > 3; n-- {
		ms /= 10
	}
	serial, n := digits(b)
	if n == 0 || n > 19 || len(b) <= n || b[n] != ')' {
		return errStamp
	}
	b = b[n+1:]
	if len(b) > 0 && b[0] == ':' {
		b = b[1:]
	}
	r.Millis, r.Serial = int64(sec*1000+ms), serial
	r.Raw = b
	if i := bytes.IndexByte(b, 0x1d); i >= 0 {
		r.Raw, r.Names = b[:i], b[i+1:]
	}
	// A quoted value never holds a quote, and every SYSCALL names the program
	// behind its numbers: without it, the last of those may lack digits.
	if bytes.Count(r.Raw, quote)%2 != 0 || r.Type == typeSyscall && !bytes.Contains(r.Raw, exeField) {
		return errCut
	}
	return nil
}

var quote, exeField = []byte{'"'}, []byte(" exe=")

// setType reads the name of a type, its number, or UNKNOWN[number].
func (r *Record) setType(name []byte) bool {
	if n, l := digits(name); l == len(name) {
		if n == 0 || n > 65535 {
			return false
		}
		r.Type = Type(n)
		return true
	}
	r.Name = name
	switch string(name) { // Fast path: what an exec has.
	case "SYSCALL":
		r.Type = typeSyscall
	case "PATH":
		r.Type = typePath
	case "EXECVE":
		r.Type = typeExecve
	case "CWD":
		r.Type = typeCwd
	case "PROCTITLE":
		r.Type = typeProctitle
	case "EOE":
		r.Type = typeEOE
	case "BPRM_FCAPS":
		r.Type = 1321
	default:
		if t, ok := typeNumbers[string(name)]; ok {
			r.Type = t
			return true
		}
		for _, c := range name {
			if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '[' && c != ']' {
				return false
			}
		}
		if rest, ok := bytes.CutPrefix(name, []byte("UNKNOWN[")); ok {
			n, l := digits(rest)
			if l == 0 || n > 65535 || string(rest[l:]) != "]" {
				return false
			}
			r.Type, r.Name = Type(n), nil
		}
	}
	return true
}

func hasPrefix(b []byte, s string) bool { return len(b) >= len(s) && string(b[:len(s)]) == s }

// digits reads a decimal number, of which more than 19 digits are not counted.
func digits(b []byte) (v uint64, n int) {
	for n < len(b) && n < 20 && b[n]-'0' <= 9 {
		v = v*10 + uint64(b[n]-'0')
		n++
	}
	return v, n
}

// word is b up to its first blank.
func word(b []byte) []byte {
	if i := bytes.IndexByte(b, ' '); i >= 0 {
		return b[:i]
	}
	return b
}

// A field is one key=value of a record.
type field struct {
	key, val []byte
	quote    byte // '"' or '\'' or '{' if the value stood in those, which are taken off
}

// next reads the first field of b into f and returns what follows it, or nil
// when there is none. Words without = are skipped.
func (f *field) next(b []byte) []byte {
	for {
		for len(b) > 0 && (b[0] == ' ' || b[0] == '(') {
			b = b[1:]
		}
		i := 0
		for i < len(b) && b[i] != '=' && b[i] != ' ' {
			i++
		}
		if i >= len(b) {
			return nil
		}
		if b[i] == '=' {
			f.key, b = b[:i], b[i+1:]
			break
		}
		b = b[i+1:]
	}
	f.quote = 0
	if len(b) == 0 {
		f.val = b
		return empty
	}
	switch c := b[0]; c {
	case '"', '\'', '{':
		b = b[1:]
		end := -1
		switch c {
		case '"':
			end = bytes.IndexByte(b, '"')
		case '{':
			end = bytes.IndexByte(b, '}')
		default: // A message ends at the last quote: what is in it may hold some.
			end = bytes.LastIndexByte(b, '\'')
		}
		f.quote = c
		if end < 0 {
			f.val = b
			return empty
		}
		f.val = b[:end]
		return b[end+1:]
	}
	i := bytes.IndexByte(b, ' ')
	if i < 0 {
		i = len(b)
	}
	f.val = b[:i]
	b = b[i:]
	if j := bytes.IndexByte(f.val, '='); j >= 0 {
		// Older auditds put the first translated field directly after the text.
		for _, k := range glued {
			if at := j - len(k); at >= 0 && string(f.val[at:j]) == k {
				b = f.val[at : i+len(b) : i+len(b)]
				f.val = f.val[:at]
				break
			}
		}
	}
	// Very old PAM messages: (hostname=?, addr=?, terminal=cron res=success).
	if n := len(f.val); n > 0 && (f.val[n-1] == ',' || f.val[n-1] == ')' && f.val[0] != '(') {
		f.val = f.val[:n-1]
	}
	return b
}

// empty is a rest that is not nil.
var empty = []byte{}

// glued are the keys that a translated field begins with, longest first.
var glued = []string{"SYSCALL", "OLD-AUID", "OAUID", "FSUID", "FSGID", "SADDR", "AUID", "EUID", "SUID", "EGID", "SGID", "OUID", "OGID", "ARCH", "UID", "GID"}

// unset reports whether the kernel or auditd had nothing to say.
func (f *field) unset() bool {
	if f.quote != 0 {
		return false
	}
	switch string(f.val) {
	case "", "(null)", "(none)", "?":
		return true
	}
	return false
}

// appendText appends the text of a string value to dst: what is in quotes as
// it is, what is bare from hexadecimal.
func appendText(dst []byte, f *field) []byte {
	if f.quote != 0 {
		return append(dst, f.val...)
	}
	return appendUnhex(dst, f.val)
}

// appendUnhex appends the bytes that s writes in hexadecimal, or s itself if it
// is not hexadecimal.
func appendUnhex(dst, s []byte) []byte {
	if len(s)%2 != 0 || len(s) == 0 {
		return append(dst, s...)
	}
	n := len(dst)
	for i := 0; i < len(s); i += 2 {
		hi, lo := unhex[s[i]], unhex[s[i+1]]
		if hi|lo > 15 {
			return append(dst[:n], s...)
		}
		dst = append(dst, hi<<4|lo)
	}
	return dst
}

// unhex is the value of a hexadecimal digit, 255 for other bytes. Audit writes
// capitals; records that went through other tools may not.
var unhex = func() (t [256]byte) {
	for i := range t {
		t[i] = 255
	}
	for i := range 10 {
		t['0'+i] = byte(i)
	}
	for i := range 6 {
		t['A'+i], t['a'+i] = byte(10+i), byte(10+i)
	}
	return t
}()
