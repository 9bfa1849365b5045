//go:build linux

package procfs

import (
	"bufio"
	"io"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"
)

// Names knows the host's users and groups. It looks each up once, and again after
// their files have changed.
type Names struct {
	root          string // before the names of the files
	users, groups map[uint32]string
	stamp         [2]time.Time
}

// refresh forgets what has changed.
func (n *Names) refresh() {
	for i, file := range [...]string{"/etc/passwd", "/etc/group"} {
		if st, err := os.Stat(n.root + file); err == nil && !st.ModTime().Equal(n.stamp[i]) {
			n.stamp[i] = st.ModTime()
			n.users, n.groups = nil, nil
		}
	}
}

// User is the name of a user, or "".
func (n *Names) User(id uint32) string {
	name, ok := n.users[id]
	if !ok {
		if n.root != "" {
			name = nameIn(n.root+"/etc/passwd", id)
		} else if u, err := user.LookupId(strconv.FormatUint(uint64(id), 10)); err == nil {
			name = u.Username
		}
		keep(&n.users, id, name)
	}
	return name
}

// Group is the name of a group, or "".
func (n *Names) Group(id uint32) string {
	name, ok := n.groups[id]
	if !ok {
		if n.root != "" {
			name = nameIn(n.root+"/etc/group", id)
		} else if g, err := user.LookupGroupId(strconv.FormatUint(uint64(id), 10)); err == nil {
			name = g.Name
		}
		keep(&n.groups, id, name)
	}
	return name
}

// nameIn looks an id up in a file of lines name:password:id:… (passwd(5), group(5)).
func nameIn(file string, id uint32) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	want := strconv.FormatUint(uint64(id), 10)
	lines := bufio.NewScanner(io.LimitReader(f, 16<<20))
	for lines.Scan() {
		name, rest, _ := strings.Cut(lines.Text(), ":")
		_, rest, _ = strings.Cut(rest, ":")
		if at, _, ok := strings.Cut(rest, ":"); ok && at == want && name != "" && name[0] != '+' && name[0] != '-' {
			return name
		}
	}
	return ""
}

func keep(m *map[uint32]string, id uint32, name string) {
	if *m == nil || len(*m) >= 4096 {
		*m = map[uint32]string{}
	}
	(*m)[id] = name
}
