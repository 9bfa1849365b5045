package rule

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/orlop/orlop/eql/syntax"
)

// MaxSize is how many bytes a rule file may have. The largest of Elastic's has
// a twentieth of it.
const MaxSize = 1 << 20

// A Pack is the rules of some folders and what is wrong with them.
type Pack struct {
	Rules    []*Rule       // sorted by File
	Errors   syntax.Errors // why a file is not among the Rules
	Warnings syntax.Errors // what was read but looks wrong

	// Broken are rules with mistakes outside their query, whose query can be
	// checked all the same. They must not run.
	Broken []*Rule
}

// Load reads rule files and, of folders, all the *.toml files in them at any
// depth, but for those with a hidden name or in a hidden folder. A link to a
// file is read, a link to a folder only if it is one of the paths.
func Load(paths ...string) *Pack {
	p := &Pack{}
	for _, name := range paths {
		dir, file := filepath.Split(filepath.Clean(name))
		info, err := os.Stat(name)
		switch {
		case err != nil:
			p.fail(name, err)
		case info.IsDir():
			p.walk(os.DirFS(name), ".", func(file string) string { return filepath.Join(name, filepath.FromSlash(file)) })
		default:
			if dir == "" {
				dir = "."
			}
			p.read(os.DirFS(dir), file, name)
		}
	}
	p.finish()
	return p
}

// LoadFS reads the rule files of a file system as Load does a folder's. The
// prefix goes before the names of files in messages and in Rule.File.
func LoadFS(fsys fs.FS, prefix string) *Pack {
	p := &Pack{}
	p.walk(fsys, ".", func(file string) string { return path.Join(prefix, file) })
	p.finish()
	return p
}

func (p *Pack) walk(fsys fs.FS, root string, display func(string) string) {
	fs.WalkDir(fsys, root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			p.fail(display(file), err)
			return nil // the rest of the tree is fine
		}
		hidden := file != root && strings.HasPrefix(entry.Name(), ".")
		switch {
		case entry.IsDir():
			if hidden {
				return fs.SkipDir
			}
		case !hidden && strings.HasSuffix(file, ".toml"):
			p.read(fsys, file, display(file))
		case !hidden && entry.Type()&fs.ModeSymlink != 0:
			if info, err := fs.Stat(fsys, file); err == nil && info.IsDir() {
				p.Warnings = append(p.Warnings, problem(display(file), Lint, "a link to a folder is not followed"))
			}
		}
		return nil
	})
}

func (p *Pack) read(fsys fs.FS, file, name string) {
	text, err := readFile(fsys, file)
	if err != nil {
		p.fail(name, err)
		return
	}
	r, warnings, errs := parse(name, text)
	p.Warnings = append(p.Warnings, warnings...)
	if len(errs) > 0 {
		p.Errors = append(p.Errors, errs...)
		if r != nil && r.Query.Text != "" {
			p.Broken = append(p.Broken, r)
		}
		return
	}
	p.Rules = append(p.Rules, r)
}

// readFile reads a file but not one that never ends.
func readFile(fsys fs.FS, name string) ([]byte, error) {
	// Opening a pipe may block, so look first.
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	if info.Size() > MaxSize {
		return nil, fmt.Errorf("%d kB, larger than the %d kB that a rule file may have", info.Size()>>10, MaxSize>>10)
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	// Some files have no size, as in /proc, and others grow.
	b := bytes.NewBuffer(make([]byte, 0, info.Size()+bytes.MinRead))
	_, err = b.ReadFrom(io.LimitReader(f, MaxSize+1))
	return b.Bytes(), err
}

func (p *Pack) fail(name string, err error) {
	msg := err.Error()
	var pe *fs.PathError
	if errors.As(err, &pe) {
		msg = pe.Op + ": " + pe.Err.Error() // the name is in front already
	}
	p.Errors = append(p.Errors, problem(name, Invalid, msg))
}

func problem(name string, class syntax.Class, msg string) *syntax.Error {
	return &syntax.Error{Class: class, Src: syntax.Source{Name: name}, Msg: msg}
}

// finish sorts, and judges the rules by each other.
func (p *Pack) finish() {
	byFile := func(a, b *syntax.Error) int {
		return cmp.Or(strings.Compare(a.Src.Name, b.Src.Name), a.Range.Start-b.Range.Start)
	}
	slices.SortStableFunc(p.Rules, func(a, b *Rule) int { return strings.Compare(a.File, b.File) })
	ids, names := map[string]*Rule{}, map[string]*Rule{}
	var rules []*Rule
	for _, r := range p.Rules {
		if first := ids[r.ID]; first != nil {
			msg := fmt.Sprintf("rule_id %q is already that of %s", short(r.ID), first.place("rule.rule_id"))
			p.Errors = append(p.Errors, r.Mistake("rule.rule_id", msg, "give one of them a new one"))
			continue
		}
		ids[r.ID] = r
		if first := names[r.Name]; first != nil {
			w := r.Mistake("rule.name", "the name is also that of "+first.place("rule.name"), "")
			w.Class = Lint
			p.Warnings = append(p.Warnings, w)
		} else {
			names[r.Name] = r
		}
		rules = append(rules, r)
	}
	p.Rules = rules
	slices.SortStableFunc(p.Errors, byFile)
	slices.SortStableFunc(p.Warnings, byFile)
}

// place is file:line:column of a key.
func (r *Rule) place(key string) string {
	e := r.Mistake(key, "", "")
	line, col := e.Src.Position(e.Range.Start)
	return fmt.Sprintf("%s:%d:%d", r.File, line, col)
}
