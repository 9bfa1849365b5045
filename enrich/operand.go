package enrich

import (
	"slices"
	"strings"
)

// operands looks at what a program reads of what its words name: not at what it is told to
// leave out, and at relative paths from the folder that it is told to go to.
func (l *lookup) operands(name string, args []string, deep bool) {
	in := lookup{cwd: l.cwd, found: l.found} // a change of folder is its own
	archiver := name == "tar" || name == "bsdtar" || name == "gtar"
	if archiver && unpacks(args) {
		deep = false
	}
	for i := 0; i < len(args); {
		a := args[i]
		if a == "--" {
			in.paths(args[i+1:], deep)
			return
		}
		if n := excludes(name, args[i:]); n > 0 {
			i += n
			continue
		}
		if dir, n, ok := chdir(name, args[i:]); ok {
			in.cd(dir)
			i += n
			continue
		}
		if archiver && i == 0 && !strings.HasPrefix(a, "-") { // tar cCf DIR FILE …
			i++
			for _, letter := range a {
				if i < len(args) && strings.ContainsRune(archiveValues, letter) {
					if letter == 'C' {
						in.cd(args[i])
					}
					i++
				}
			}
			continue
		}
		in.paths(args[i:i+1], deep)
		i++
	}
}

// archiveValues are the short options of tar that have a value.
const archiveValues = "CfbgHIKLNTVX"

// unpacks reports whether tar takes files out of an archive, or lists them, so that its
// operands are the names that they have there.
func unpacks(args []string) bool {
	for i, a := range args {
		switch {
		case a == "--":
			return false
		case a == "--extract" || a == "--get" || a == "--list" || a == "--delete":
			return true
		case i == 0 && a != "" && a[0] != '-', len(a) > 1 && a[0] == '-' && a[1] != '-':
			for _, letter := range a {
				if letter == 'x' || letter == 't' {
					return true
				}
				if a[0] == '-' && strings.ContainsRune(archiveValues, letter) {
					break // The rest is its value.
				}
			}
		}
	}
	return false
}

// chdir reports whether args begin with an option that says to which folder a program goes,
// and how many words that takes.
func chdir(name string, args []string) (dir string, n int, ok bool) {
	a := args[0]
	if len(a) < 2 || a[0] != '-' {
		return "", 0, false
	}
	if a[1] == '-' {
		option, value, joined := strings.Cut(a[2:], "=")
		switch option {
		case "directory", "chdir", "cwd", "cd", "wd", "working-directory", "workdir", "work-dir", "work-tree", "working-dir":
		default:
			return "", 0, false
		}
		if joined {
			return value, 1, true
		}
	} else {
		letter := byte('C')
		switch name {
		case "tar", "bsdtar", "gtar", "git", "make", "env":
		case "sudo", "cpio":
			letter = 'D'
		default:
			return "", 0, false
		}
		at := strings.IndexByte(a, letter)
		for i := 1; i < at; i++ {
			if strings.IndexByte(archiveValues, a[i]) >= 0 {
				return "", 0, false // It is of another option's value.
			}
		}
		if at < 0 {
			return "", 0, false
		}
		if rest := a[at+1:]; rest != "" {
			return rest, 1, true
		}
	}
	if len(args) < 2 {
		return "", 0, false
	}
	return args[1], 2, true
}

// excludes returns how many words at the beginning of args say what a program leaves out:
// it does not read what they name.
func excludes(name string, args []string) int {
	a := args[0]
	if a == "" {
		return 0
	}
	if a[0] == '!' || strings.HasPrefix(a, ":!") || strings.HasPrefix(a, ":^") || strings.HasPrefix(a, ":(exclude)") {
		return 1 // a pattern that is negated: of a glob, of git
	}
	if a[0] != '-' || len(a) < 2 {
		return 0
	}
	two := min(2, len(args))
	option, value, joined := strings.Cut(strings.TrimPrefix(a[1:], "-"), "=")
	switch long := a[1] == '-' || len(option) > 3; {
	case long && leavesOut(option, joined):
		if joined {
			return 1
		}
		return two
	case a[1] == '-' && (option == "filter" || option == "pattern" || strings.HasSuffix(option, "glob") || option == "include"):
		if !joined && len(args) > 1 {
			value = args[1]
		}
		if !negated(value) {
			return 0
		}
		if joined {
			return 1
		}
		return two
	case long && a[1] == '-':
		return 0
	}
	var letters string // of options with such a value
	switch name {
	case "restic", "rustic", "borg", "fsarchiver", "dump":
		letters = "e"
	case "fd", "fdfind":
		letters = "E"
	case "tar", "bsdtar", "gtar":
		letters = "X"
	case "dar":
		letters = "PX"
	case "7z", "7za", "7zr", "7zz":
		if a[1] == 'x' {
			return 1 // -xr!PATTERN
		}
	case "zip", "mksquashfs":
		if a == "-x" && name == "zip" || a == "-e" && name == "mksquashfs" { // up to the next option
			if next := slices.IndexFunc(args[1:], func(w string) bool { return strings.HasPrefix(w, "-") || w == "@" }); next >= 0 {
				return 1 + next
			}
			return len(args)
		}
	case "rg", "ag", "rsync", "rclone":
		if a[1] == 'g' || a[1] == 'f' {
			value := a[2:]
			if value == "" && len(args) > 1 && negated(args[1]) {
				return two
			}
			if value != "" && negated(value) {
				return 1
			}
		}
	}
	if strings.IndexByte(letters, a[1]) >= 0 {
		if len(a) > 2 {
			return 1
		}
		return two
	}
	return 0
}

// negated reports whether a filter leaves out what it names: !/x, - /x, exclude /x.
func negated(filter string) bool {
	if filter == "" {
		return false
	}
	verb := filter[:max(strings.IndexAny(filter, " _"), 0)]
	return filter[0] == '!' || filter[0] == '-' || verb == "exclude" || verb == "hide" || verb == "protect" || verb == "H" || verb == "P"
}

// leavesOut reports whether an option's name says that its value is left out, as such names
// go: exclude, iexclude, exclude-dir, add-ignore, skip-dirs. Those that have no value are
// about something else: ignore-case, exclude-caches, cvs-exclude.
func leavesOut(option string, joined bool) bool {
	words := strings.Split(strings.ToLower(option), "-")
	for i, w := range words {
		bare := false
		switch w {
		case "exclude", "excludes", "iexclude", "excluded", "prune", "omit", "ignore", "ignores":
			bare = true // needs no noun
		case "skip", "except":
		default:
			if !joined || !strings.HasPrefix(w, "excl") { // tar --excl=…
				continue
			}
			bare = true
		}
		if i > 0 && (words[0] == "no" || words[0] == "cvs" || words[0] == "delete" || words[0] == "keep") {
			return false
		}
		if i+1 == len(words) {
			return bare
		}
		if joined {
			return true
		}
		switch strings.TrimSuffix(strings.Join(words[i+1:], "-"), "s") {
		case "dir", "directory", "directorie", "folder", "file", "from", "from-file", "path", "pattern", "glob", "regex", "regexp", "rx", "name", "list", "rule", "if-present", "tag",
			"ext", "extension", "larger-than", "older-than", "newer-than":
			return true
		}
		return false
	}
	return false
}
