package expr

import "strings"

// compareVersions orders versions as Elasticsearch's version field does: by
// Semantic Versioning 2.0 with numbers inside a pre-release compared as
// numbers; what is not a version sorts after all that are.
func compareVersions(a, b string) int {
	va, oka := parseVersion(a)
	vb, okb := parseVersion(b)
	switch {
	case oka && !okb:
		return -1
	case okb && !oka:
		return 1
	case !oka:
		return strings.Compare(a, b)
	}
	for i := range max(len(va.nums), len(vb.nums)) {
		if n := compareDigits(va.num(i), vb.num(i)); n != 0 {
			return n
		}
	}
	switch {
	case va.pre == vb.pre:
		return strings.Compare(va.build, vb.build)
	case va.pre == "":
		return 1
	case vb.pre == "":
		return -1
	}
	pa, pb := strings.Split(va.pre, "."), strings.Split(vb.pre, ".")
	for i := range min(len(pa), len(pb)) {
		da, db := digits(pa[i]), digits(pb[i])
		n := 0
		switch {
		case da && db:
			n = compareDigits(pa[i], pb[i])
		case da:
			n = -1
		case db:
			n = 1
		default:
			n = strings.Compare(pa[i], pb[i])
		}
		if n != 0 {
			return n
		}
	}
	return len(pa) - len(pb)
}

type version struct {
	nums       []string
	pre, build string
}

func (v version) num(i int) string {
	if i < len(v.nums) {
		return v.nums[i]
	}
	return "0"
}

func parseVersion(s string) (version, bool) {
	var v version
	s, v.build, _ = strings.Cut(s, "+")
	s, pre, has := strings.Cut(s, "-")
	v.pre = pre
	if has && pre == "" {
		return v, false
	}
	v.nums = strings.Split(s, ".")
	for _, n := range v.nums {
		if !digits(n) {
			return v, false
		}
	}
	return v, true
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

func compareDigits(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}
