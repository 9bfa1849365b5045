package audit

import (
	"encoding/binary"
	"errors"
	"strings"
)

// What linux/audit.h says of rules.
const (
	filterTask = 1
	filterExit = 4
	actNever   = 0
	actAlways  = 2

	fieldArch     = 11
	fieldLoginUID = 9
	fieldDevMajor = 100
	fieldDevMinor = 101
	fieldInode    = 102
	fieldWatch    = 105
	fieldPerm     = 106
	fieldDir      = 107
	fieldFileType = 108
	fieldExe      = 112
	fieldA0       = 200
	fieldKey      = 210
	opEqual       = 0x40000000

	maskWords = 64
	maxFields = 64
	ruleSize  = 4 * (3 + maskWords + 3*maxFields + 1) // without its strings
)

// ruleKey marks our rules, so that they are known again.
const ruleKey = "orlop-sensor"

// A ruleField is one condition of a rule, for equality.
type ruleField struct {
	field, value uint32
	text         string
}

// ruleFor makes struct audit_rule_data of a rule that records system calls.
func ruleFor(arch uint32, calls []uint32, more ...ruleField) []byte {
	b := make([]byte, ruleSize)
	put := func(word int, v uint32) { binary.NativeEndian.PutUint32(b[4*word:], v) }
	fields := append([]ruleField{{field: fieldArch, value: arch}}, more...)
	fields = append(fields, ruleField{field: fieldKey, text: ruleKey})
	put(0, filterExit)
	put(1, actAlways)
	put(2, uint32(len(fields)))
	var mask [maskWords]uint32
	for _, nr := range calls {
		mask[nr/32] |= 1 << (nr % 32)
	}
	for i, m := range mask {
		put(3+i, m)
	}
	var text []byte
	for i, f := range fields {
		if f.text != "" {
			f.value = uint32(len(f.text))
			text = append(text, f.text...)
		}
		put(3+maskWords+i, f.field)
		put(3+maskWords+maxFields+i, f.value)
		put(3+maskWords+2*maxFields+i, opEqual)
	}
	put(3+maskWords+3*maxFields, uint32(len(text)))
	return append(b, text...)
}

// A rule is what matters to us of one that is loaded.
type rule struct {
	raw    []byte
	list   uint32
	action uint32
	mask   [maskWords]uint32
	fields []ruleField
	key    string
}

var errRule = errors.New("audit: the kernel shows a rule that is shorter than it says")

func parseRule(b []byte) (r rule, err error) {
	if len(b) < ruleSize {
		return r, errRule
	}
	get := func(word int) uint32 { return binary.NativeEndian.Uint32(b[4*word:]) }
	r.raw, r.list, r.action = b, get(0)&^0x10, get(1) // 0x10 is AUDIT_FILTER_PREPEND
	n := get(2)
	if n > maxFields {
		return r, errRule
	}
	for i := range r.mask {
		r.mask[i] = get(3 + i)
	}
	text := b[ruleSize:]
	for i := range int(n) {
		f := ruleField{field: get(3 + maskWords + i), value: get(3 + maskWords + maxFields + i)}
		if hasText(f.field) {
			if int64(f.value) > int64(len(text)) {
				return r, errRule
			}
			f.text, text = string(text[:f.value]), text[f.value:]
		}
		if f.field == fieldKey {
			r.key = f.text
		}
		r.fields = append(r.fields, f)
	}
	return r, nil
}

// hasText reports whether the value of a field is the length of a string: those of
// SELinux, watches, folders, programs and keys.
func hasText(field uint32) bool {
	return field >= 13 && field <= 17 || field >= 19 && field <= 23 || field == fieldWatch || field == fieldDir || field == fieldExe || field == fieldKey
}

// ours reports whether we have made a rule.
func (r *rule) ours() bool { return r.key == ruleKey }

// blinds reports whether a rule keeps the kernel from recording any system call.
func (r *rule) blinds() bool {
	return r.list == filterTask && r.action == actNever && len(r.fields) == 0
}

// shows reports whether a rule records a system call of an architecture, and not only
// what that does to some files: a watch is a rule for all system calls.
func (r *rule) shows(arch, nr uint32) bool {
	if r.list != filterExit || r.action != actAlways || r.mask[nr/32]>>(nr%32)&1 == 0 {
		return false
	}
	for _, f := range r.fields {
		switch f.field {
		case fieldArch:
			if f.value != arch {
				return false
			}
		case fieldDevMajor, fieldDevMinor, fieldInode, fieldWatch, fieldPerm, fieldDir, fieldFileType, fieldExe:
			return false
		}
	}
	return true
}

// arches are the two that a machine runs programs of, by its GOARCH.
func arches(goarch string) []uint32 {
	switch goarch {
	case "amd64":
		return []uint32{archX8664, archI386}
	case "arm64":
		return []uint32{archAArch64, archARM}
	}
	return nil
}

// watched are the calls whose rules we load: what starts and ends a program, and what
// reaches for another's socket.
var watched = strings.Fields("execve execveat connect exit_group")

// ourRules are the rules that we load.
func ourRules(goarch string, loginUID *uint32) [][]byte {
	var only []ruleField
	if loginUID != nil {
		only = []ruleField{{field: fieldLoginUID, value: *loginUID}}
	}
	var rules [][]byte
	for _, arch := range arches(goarch) {
		var calls []uint32
		for _, name := range watched {
			if nr, ok := syscallNumber(arch, name); ok {
				calls = append(calls, nr)
			}
		}
		rules = append(rules, ruleFor(arch, calls, only...))
		if nr, ok := syscallNumber(arch, "socketcall"); ok { // whose first argument 3 is connect
			rules = append(rules, ruleFor(arch, []uint32{nr}, append([]ruleField{{field: fieldA0, value: 3}}, only...)...))
		}
	}
	return rules
}
