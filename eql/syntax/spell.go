package syntax

import (
	"slices"
	"strings"
)

// Similar returns the candidates that name may be a misspelling of, nearest
// first, at most three.
func Similar(name string, candidates []string) []string {
	type near struct {
		name string
		dist int
	}
	var found []near
	low := strings.ToLower(name)
	most := max(1, len(name)/3)
	if len(name) > 64 {
		return nil
	}
	for _, c := range candidates {
		if c == name || len(c) > 64 || len(c)-len(name) > most || len(name)-len(c) > most {
			continue
		}
		if d := distance(low, strings.ToLower(c)); d <= most {
			found = append(found, near{c, d})
		}
	}
	slices.SortStableFunc(found, func(a, b near) int { return a.dist - b.dist })
	var names []string
	for _, n := range found {
		if n.dist > found[0].dist || len(names) == 3 {
			break
		}
		names = append(names, n.name)
	}
	return names
}

// DidYouMean is a hint that names what is Similar, or "".
func DidYouMean(name string, candidates []string) string {
	switch near := Similar(name, candidates); len(near) {
	case 0:
		return ""
	case 1:
		return "did you mean " + quote(near[0]) + "?"
	default:
		for i := range near {
			near[i] = quote(near[i])
		}
		return "did you mean any of " + strings.Join(near, ", ") + "?"
	}
}

func quote(s string) string { return "\"" + s + "\"" }

// distance counts the edits (insert, delete, replace, swap two neighbours)
// that turn a into b.
func distance(a, b string) int {
	prev2, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}
