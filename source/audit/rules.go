package audit

import (
	"cmp"
	"encoding/binary"
	"errors"
	"strconv"
	"strings"
)

// What linux/audit.h says of rules.
const (
	filterTask    = 1
	filterExit    = 4
	filterExclude = 5
	filterPrepend = 0x10 // in front of those that are there
	actNever      = 0
	actAlways     = 2

	fieldLoginUID  = 9
	fieldArch      = 11
	fieldMsgType   = 12
	fieldSessionID = 25
	fieldFSType    = 26
	fieldDevMajor  = 100
	fieldDevMinor  = 101
	fieldInode     = 102
	fieldExit      = 103
	fieldSuccess   = 104
	fieldWatch     = 105
	fieldPerm      = 106
	fieldDir       = 107
	fieldFileType  = 108
	fieldCompare   = 111
	fieldExe       = 112
	fieldA0        = 200
	fieldKey       = 210

	permExec = 1

	opBitMask = 0x08000000
	opLess    = 0x10000000
	opGreater = 0x20000000
	opEqual   = 0x40000000

	maskWords = 64
	maxFields = 64
	ruleSize  = 4 * (3 + maskWords + 3*maxFields + 1) // without its strings
)

// ruleKey marks our rules, so that they are known again.
const ruleKey = "orlop-sensor"

// A ruleField is one condition of a rule. Of those that we make op is 0, for equality.
type ruleField struct {
	field, value uint32
	text         string
	op           uint32
}

// compare reports whether a value meets the condition, as audit_comparator does it.
func (f *ruleField) compare(v uint32) bool {
	switch f.op {
	case opEqual:
		return v == f.value
	case opLess | opGreater:
		return v != f.value
	case opLess:
		return v < f.value
	case opLess | opEqual:
		return v <= f.value
	case opGreater:
		return v > f.value
	case opGreater | opEqual:
		return v >= f.value
	case opBitMask:
		return v&f.value != 0
	case opBitMask | opEqual:
		return v&f.value == f.value
	}
	return false
}

// fieldNames are those that auditctl has, of conditions that can be about an exec or a
// connect.
var fieldNames = map[uint32]string{
	0: "pid", 1: "uid", 2: "euid", 3: "suid", 4: "fsuid", 5: "gid", 6: "egid", 7: "sgid", 8: "fsgid", fieldLoginUID: "auid", 10: "pers",
	fieldArch: "arch", fieldMsgType: "msgtype", 13: "subj_user", 14: "subj_role", 15: "subj_type", 16: "subj_sen", 17: "subj_clr", 18: "ppid",
	19: "obj_user", 20: "obj_role", 21: "obj_type", 22: "obj_lev_low", 23: "obj_lev_high", 24: "loginuid_set", fieldSessionID: "sessionid", fieldFSType: "fstype",
	fieldDevMajor: "devmajor", fieldDevMinor: "devminor", fieldInode: "inode", fieldExit: "exit", fieldSuccess: "success", fieldWatch: "path",
	fieldPerm: "perm", fieldDir: "dir", fieldFileType: "filetype", 109: "obj_uid", 110: "obj_gid", fieldExe: "exe", 113: "saddr_fam",
	fieldA0: "a0", 201: "a1", 202: "a2", 203: "a3",
}

// comparisons are those of two fields, by AUDIT_COMPARE_*.
var comparisons = [...][2]string{
	1: {"uid", "obj_uid"}, {"gid", "obj_gid"}, {"euid", "obj_uid"}, {"egid", "obj_gid"}, {"auid", "obj_uid"}, {"suid", "obj_uid"}, {"sgid", "obj_gid"},
	{"fsuid", "obj_uid"}, {"fsgid", "obj_gid"}, {"uid", "auid"}, {"uid", "euid"}, {"uid", "fsuid"}, {"uid", "suid"}, {"auid", "fsuid"}, {"auid", "suid"},
	{"auid", "euid"}, {"euid", "suid"}, {"euid", "fsuid"}, {"suid", "fsuid"}, {"gid", "egid"}, {"gid", "fsgid"}, {"gid", "sgid"}, {"egid", "fsgid"},
	{"egid", "sgid"}, {"sgid", "fsgid"},
}

// String is the condition as auditctl writes it.
func (f *ruleField) String() string {
	op, ok := map[uint32]string{opEqual: "=", opLess | opGreater: "!=", opLess: "<", opLess | opEqual: "<=", opGreater: ">", opGreater | opEqual: ">=", opBitMask: "&", opBitMask | opEqual: "&="}[f.op]
	if !ok {
		op = "?"
	}
	if f.field == fieldCompare && f.value > 0 && int64(f.value) < int64(len(comparisons)) {
		c := comparisons[f.value]
		return c[0] + op + c[1]
	}
	name, ok := fieldNames[f.field]
	if !ok {
		name = "field " + strconv.FormatUint(uint64(f.field), 10)
	}
	value := strconv.FormatUint(uint64(f.value), 10)
	switch {
	case hasText(f.field):
		value = f.text
	case f.value == 1<<32-1 && (f.field == fieldLoginUID || f.field == fieldSessionID):
		value = "unset"
	case f.field == fieldExit:
		value = strconv.FormatInt(int64(int32(f.value)), 10)
	case f.field == fieldPerm:
		value = ""
		for i, c := range "xwra" {
			if f.value>>i&1 == 1 {
				value += string(c)
			}
		}
	}
	return name + op + value
}

// ruleFor makes struct audit_rule_data of a rule that records system calls.
func ruleFor(arch uint32, calls []uint32, more ...ruleField) []byte {
	b := make([]byte, ruleSize)
	put := func(word int, v uint32) { binary.NativeEndian.PutUint32(b[4*word:], v) }
	fields := append([]ruleField{{field: fieldArch, value: arch}}, more...)
	fields = append(fields, ruleField{field: fieldKey, text: ruleKey})
	put(0, filterExit|filterPrepend) // A rule that says never does not come before it.
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
		put(3+maskWords+2*maxFields+i, cmp.Or(f.op, opEqual))
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
	r.raw, r.list, r.action = b, get(0)&^filterPrepend, get(1)
	n := get(2)
	if n > maxFields {
		return r, errRule
	}
	for i := range r.mask {
		r.mask[i] = get(3 + i)
	}
	text := b[ruleSize:]
	for i := range int(n) {
		f := ruleField{field: get(3 + maskWords + i), value: get(3 + maskWords + maxFields + i), op: get(3 + maskWords + 2*maxFields + i)}
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

// watchedBeside are those that somebody else's rules have to record.
var watchedBeside = strings.Fields("execve execveat connect socketcall")

// socketcallConnect is the first argument of a socketcall that is a connect.
const socketcallConnect = 3

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
		if nr, ok := syscallNumber(arch, "socketcall"); ok {
			rules = append(rules, ruleFor(arch, []uint32{nr}, append([]ruleField{{field: fieldA0, value: socketcallConnect}}, only...)...))
		}
	}
	return rules
}
