package enrich

import (
	"strings"

	"github.com/orlop/orlop/event"
)

// argsOf returns what the program was started with. Where a source has only the command
// line, that is its words, which are a guess: what was one argument does not show.
func (x *Enricher) argsOf(s *sight) (args event.Value, guessed bool) {
	if args = s.e.Get(x.f.args); args.Exists() {
		return args, false
	}
	if s.words.Exists() {
		return s.words, true
	}
	line := first(s.e.Get(x.f.commandLine)).Str()
	if line == "" || len(line) > maxArgs {
		return args, false
	}
	var list []event.Value
	for _, w := range splitLine(line) {
		list = append(list, event.String(w))
	}
	s.words = event.List(list)
	return s.words, true
}

// splitLine splits a command line at blanks, but for what is in quotes. What follows the -c
// of a shell is one word, its script, where nothing is quoted: those who join arguments
// by blanks leave the quotes out.
func splitLine(line string) (words []string) {
	quoted := false
	for rest := strings.TrimLeft(line, " \t\n"); rest != "" && len(words) < 4096; rest = strings.TrimLeft(rest, " \t\n") {
		if n := len(words); n > 1 && !quoted && isScript(words[n-1]) && shellAmong(words[:n-1]) && rest[0] != '"' && rest[0] != '\'' {
			return append(words, rest)
		}
		if q := rest[0]; q == '"' || q == '\'' {
			if i := strings.IndexByte(rest[1:], q); i >= 0 && (i+2 == len(rest) || strings.IndexByte(" \t\n", rest[i+2]) >= 0) {
				words, rest, quoted = append(words, rest[1:i+1]), rest[i+2:], true
				continue
			}
		}
		end := strings.IndexAny(rest, " \t\n")
		if end < 0 {
			end = len(rest)
		}
		words, rest = append(words, rest[:end]), rest[end:]
	}
	return words
}

// isScript reports whether an argument of a shell says that the next one is its script.
func isScript(arg string) bool {
	return len(arg) > 1 && arg[0] == '-' && arg[1] != '-' && arg[len(arg)-1] == 'c'
}

// shellAmong reports whether the last word that is no flag is a shell's name.
func shellAmong(words []string) bool {
	for i := len(words) - 1; i >= 0; i-- {
		if !strings.HasPrefix(words[i], "-") {
			return programs[base(words[i])] == shell
		}
	}
	return false
}
