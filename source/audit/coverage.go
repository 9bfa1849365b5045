package audit

import (
	"fmt"
	"slices"
	"strings"
)

// What the loaded rules let through, as kernel/auditsc.c decides it. Of the rules for
// the end of a system call the first that fits counts, whether it records or not; those
// for a single file are looked at after them. A rule for new tasks can keep all calls of
// a process from being recorded, and one that excludes takes records out of an event.

// A question is which calls are recorded, and what is known of those.
type question struct {
	arch, nr uint32
	a0       int     // the first argument, -1 if that may be any
	starts   bool    // it starts a program, and succeeds
	loginUID *uint32 // only of this one; nil is all
}

// A verdict says whether a rule fits.
type verdict int

const (
	never verdict = iota
	sometimes
	always
)

// fits reports whether a rule fits the calls of a question: if only sometimes, under
// which conditions. files says that one of these is about files.
func (r *rule) fits(q *question) (v verdict, when string, files bool) {
	var some []string
	for i := range r.fields {
		f := &r.fields[i]
		v := sometimes
		of := func(n uint32) { v = verdictOf(f.compare(n)) }
		switch f.field {
		case fieldKey:
			continue
		case fieldArch:
			of(q.arch)
		case fieldLoginUID:
			if q.loginUID != nil {
				of(*q.loginUID)
			}
		case fieldSuccess:
			if q.starts {
				of(1)
			}
		case fieldExit:
			if q.starts {
				of(0)
			}
		case fieldA0:
			if q.a0 >= 0 {
				of(uint32(q.a0))
			}
		case fieldPerm: // that of an exec is x; a connect has none
			v = never
			if q.starts && f.value&permExec != 0 {
				v = always
			}
		case fieldDevMajor, fieldDevMinor, fieldInode, fieldWatch, fieldDir, fieldFileType, fieldExe, fieldFSType:
			files = true
		}
		switch v {
		case never:
			return never, "", false
		case sometimes:
			some = append(some, f.String())
		}
	}
	if len(some) == 0 {
		return always, "", false
	}
	return sometimes, strings.Join(some, " "), files
}

func verdictOf(yes bool) verdict {
	if yes {
		return always
	}
	return never
}

// single reports whether a rule is about one file, and so not among the others.
func (r *rule) single() bool {
	return slices.ContainsFunc(r.fields, func(f ruleField) bool {
		return f.op == opEqual && (f.field == fieldInode || f.field == fieldWatch)
	})
}

// A scope is which calls are recorded: all or none, but for steps, of which the first
// that fits counts.
type scope struct {
	all   bool
	steps []step
}

// A step records what fits it, or does not.
type step struct {
	record bool
	when   string
	files  bool
}

// scopeOf says which calls the rules record.
func scopeOf(rules []rule, q question) (s scope) {
	var nr func(r *rule) bool
	walk := func(list uint32, single bool) (decided, record bool) {
		for i := range rules {
			r := &rules[i]
			if r.list != list || r.single() != single || !nr(r) {
				continue
			}
			switch v, when, files := r.fits(&q); v {
			case always:
				return true, r.action == actAlways
			case sometimes:
				if n := (step{r.action == actAlways, when, files}); !slices.Contains(s.steps, n) {
					s.steps = append(s.steps, n)
				}
			}
		}
		return false, false
	}
	nr = func(*rule) bool { return true } // of a task no call is known
	if decided, record := walk(filterTask, false); decided && !record {
		return scope{}
	}
	// What a task is spared from, it is spared from whatever the other rules say; that
	// one is recorded says nothing of its calls.
	s.steps = slices.DeleteFunc(s.steps, func(n step) bool { return n.record })
	for i := range s.steps {
		s.steps[i].when += " at the fork"
	}
	nr = func(r *rule) bool { return q.nr/32 < maskWords && r.mask[q.nr/32]>>(q.nr%32)&1 == 1 }
	first := len(s.steps)
	walk(filterExit, true) // They have the last word.
	last := s.steps[first:]
	s.steps = s.steps[:first:first]
	s.steps = append(s.steps, last...)
	_, s.all = walk(filterExit, false)
	// Steps at the end that say what holds without them say nothing.
	for n := len(s.steps); n > 0 && s.steps[n-1].record == s.all; n-- {
		s.steps = s.steps[:n-1]
	}
	return s
}

// whole reports whether all calls are recorded.
func (s scope) whole() bool { return s.all && len(s.steps) == 0 }

// programs reports whether calls are recorded, and not only of single files.
func (s scope) programs() bool {
	return s.all || slices.ContainsFunc(s.steps, func(n step) bool { return n.record && !n.files })
}

// String says which calls are recorded.
func (s scope) String() string {
	if len(s.steps) == 0 {
		if s.all {
			return "all"
		}
		return "none"
	}
	const most = 5
	steps, more := s.steps, ""
	if len(steps) > most {
		steps, more = steps[:most], fmt.Sprintf(", and %d conditions more", len(steps)-most)
	}
	first := slices.IndexFunc(steps, func(n step) bool { return n.record })
	list := func(of []step) string {
		var when []string
		for _, n := range of {
			when = append(when, n.when)
		}
		return strings.Join(when, " or ")
	}
	switch {
	case first < 0 && s.all:
		return "all but those with " + list(steps) + more
	case first >= 0 && !s.all && !slices.ContainsFunc(steps[first:], func(n step) bool { return !n.record }):
		text := "only those with " + list(steps[first:]) + more
		if first > 0 {
			text += ", and none with " + list(steps[:first])
		}
		return text
	}
	var b strings.Builder
	b.WriteString("in this order ")
	for _, n := range steps {
		if !n.record {
			b.WriteString("none ")
		}
		b.WriteString("with " + n.when + ", ")
	}
	end := "else none"
	if s.all {
		end = "else all"
	}
	return b.String() + end + more
}

// Records of an event that can be excluded, and what is not known without them.
var parts = []struct {
	typ  uint32
	name string
	lack string
}{
	{1300, "SYSCALL", "who has executed what, and whether"},
	{1309, "EXECVE", "arguments, but for the first 128 bytes"},
	{1307, "CWD", "the working directory"},
	{1302, "PATH", "the file of a socket"},
	{1306, "SOCKADDR", "where a connect goes"},
}

// excluded says from which events records of a type are taken out: from all, or from
// those that meet one of some conditions. Whatever such a rule says it does, it excludes.
func excluded(rules []rule, typ uint32, loginUID *uint32) (all bool, some []string) {
	q := question{a0: -1, loginUID: loginUID}
	for i := range rules {
		r := rules[i]
		if r.list != filterExclude {
			continue
		}
		of := slices.ContainsFunc(r.fields, func(f ruleField) bool { return f.field == fieldMsgType && !f.compare(typ) })
		if of {
			continue
		}
		r.fields = slices.DeleteFunc(slices.Clone(r.fields), func(f ruleField) bool { return f.field == fieldMsgType })
		switch v, when, _ := r.fits(&q); v {
		case always:
			return true, nil
		case sometimes:
			some = append(some, when)
		}
	}
	return false, some
}

// A coverage is what the loaded rules record of what matters to us.
type coverage struct {
	exec   bool     // programs that start are recorded, and not only single ones
	limits []string // which calls are not recorded
	add    []string // the rules that would record them, as auditctl takes them
	lacks  []string // records that are left out of events
	mute   bool     // they are those that an event is nothing without
}

// cover looks at the loaded rules.
func cover(rules []rule, goarch string, loginUID *uint32) (c coverage) {
	calls := map[string][]string{} // by what is recorded of them
	var texts []string
	option := "-a always,exit"
	if slices.ContainsFunc(rules, func(r rule) bool { return r.list == filterExit && r.action == actNever }) {
		option = "-A always,exit" // in front of it
	}
	for i, arch := range arches(goarch) {
		bits := [...]string{"64", "32"}[i]
		var missing []string
		for _, name := range watchedBeside {
			nr, ok := syscallNumber(arch, name)
			if !ok {
				continue
			}
			q := question{arch: arch, nr: nr, a0: -1, starts: strings.HasPrefix(name, "exec"), loginUID: loginUID}
			if name == "socketcall" {
				q.a0 = socketcallConnect
			}
			s := scopeOf(rules, q)
			if i == 0 && name == "execve" {
				c.exec = s.programs()
			}
			if s.whole() {
				continue
			}
			if name == "socketcall" {
				c.add = append(c.add, fmt.Sprintf("%s -F arch=b%s -S %s -F a0=%d -k orlop", option, bits, name, socketcallConnect))
			} else {
				missing = append(missing, name)
			}
			text := s.String()
			if calls[text] == nil {
				texts = append(texts, text)
			}
			calls[text] = append(calls[text], name+" ("+bits+" bit)")
		}
		if len(missing) > 0 {
			c.add = append(c.add, fmt.Sprintf("%s -F arch=b%s -S %s -k orlop", option, bits, strings.Join(missing, ",")))
		}
	}
	for _, text := range texts {
		c.limits = append(c.limits, strings.Join(calls[text], ", ")+": "+text)
	}
	for _, p := range parts {
		all, some := excluded(rules, p.typ, loginUID)
		switch {
		case all:
			c.lacks = append(c.lacks, p.name+" records, so not known is "+p.lack)
			c.mute = c.mute || p.typ == uint32(typeSyscall)
		case len(some) > 0:
			c.lacks = append(c.lacks, p.name+" records of those with "+strings.Join(some, " or ")+", so of these not known is "+p.lack)
		}
	}
	return c
}
