package config_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/internal/config"
)

var update = flag.Bool("update", false, "rewrite testdata")

// ship is a struct with a field of each kind.
type ship struct {
	Name   string            `yaml:"name" doc:"What it is called."`
	Masts  int               `yaml:"masts"`
	Crew   *uint32           `yaml:"crew"`
	Afloat bool              `yaml:"afloat"`
	Speed  float64           `yaml:"speed"`
	Watch  time.Duration     `yaml:"watch"`
	Rig    string            `yaml:"rig" enum:"sloop|brig|barque"`
	Ports  []string          `yaml:"ports"`
	Flags  map[string]string `yaml:"flags"`
	Boats  []boat            `yaml:"boats"`
	Key    string            `yaml:"key" secret:"true"`
	Chest  chest             `yaml:"chest"`
	Common `yaml:",inline"`
}

// Common is inlined.
type Common struct {
	Owner string `yaml:"owner"`
}

// A chest says where a secret is.
type chest struct {
	Isle string `yaml:"isle"`
}

func (*chest) RefersToSecret() {}

// A boat is of one of two kinds.
type boat struct {
	Kind string `yaml:"kind"`
	Oars *oars  `yaml:"-"`
	Sail *sail  `yaml:"-"`
}

type oars struct {
	Pairs int    `yaml:"pairs"`
	Wood  string `yaml:"wood" enum:"ash|spruce"`
}

func (o *oars) Check() (key, msg, hint string) {
	if o.Pairs > 4 {
		return "pairs", "pairs: too many", "four will do"
	}
	return "", "", ""
}

type sail struct {
	Cloth string `yaml:"cloth"`
	Token string `yaml:"token" secret:"true"`
}

func (b *boat) Kinds() []string { return []string{"oars", "sail"} }
func (b *boat) Options(kind string) any {
	if kind == "oars" {
		if b.Oars == nil {
			b.Oars = &oars{Pairs: 2}
		}
		return b.Oars
	}
	if b.Sail == nil {
		b.Sail = &sail{Cloth: "linen"}
	}
	return b.Sail
}

func (s *ship) Check() (key, msg, hint string) {
	if s.Masts > 3 {
		return "masts", "masts: too many", "three will do"
	}
	return "", "", ""
}

// Each file of testdata is a claim: "in" is read, "want" is what Show says of it, or
// "errors" the report of its mistakes.
func TestCorpus(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no testdata:", err)
	}
	env := map[string]string{"HARBOUR": "Wapping", "THREE": "3", "EMPTY": "", "NASTY": "x\nname: y: [", "KEY": "k"}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			part := map[string]string{}
			for _, f := range a.Files {
				part[f.Name] = string(f.Data)
			}
			s := &ship{Masts: 1, Rig: "sloop"}
			err = config.Read("ship.yaml", []byte(part["in"]), config.World{Env: func(name string) (string, bool) { v, ok := env[name]; return v, ok }}, s)
			got, want := "", part["errors"]
			if err == nil {
				got, want = string(config.Show(s)), part["want"]
			} else {
				var mistakes syntax.Errors
				if !errors.As(err, &mistakes) {
					t.Fatal(err)
				}
				got = mistakes.Report()
			}
			if *update {
				section := "want"
				if err != nil {
					section = "errors"
				}
				a.Files = []txtar.File{a.Files[0], {Name: section, Data: []byte(got)}}
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("%s\ngot:\n%s\nwant:\n%s", strings.TrimSpace(string(a.Comment)), got, want)
			}
		})
	}
}

// A value that something else gives goes before the file's. If it is wrong, that is named and
// no place, if another is, its place is told.
func TestAnotherMayGiveAValue(t *testing.T) {
	f := func(text string, masts int, want string) {
		t.Helper()
		s := &ship{Masts: 1, Rig: "sloop"}
		w := config.World{Env: func(string) (string, bool) { return "", false }, Instead: map[string]string{"masts": "--masts"}, Set: func() { s.Masts = masts }}
		got := ""
		if err := config.Read("ship.yaml", []byte(text), w, s); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q with %d masts: got %q, want %q", text, masts, got, want)
		}
	}
	f("name: x", 2, "")
	f("name: x\nmasts: 9", 2, "")
	f("name: x", 4, "--masts: too many (three will do)")
	f("masts: 1\nname: x", 4, "--masts: too many (three will do)")
	f("name: 1", 4, "ship.yaml:1:7: name: expected text (put it into quotes)")
}

// Whatever is read, there is no panic, and a mistake has a place in the text.
func FuzzRead(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		var s ship
		err := config.Read("x", []byte(text), config.World{Env: func(string) (string, bool) { return "", false }}, &s)
		var mistakes syntax.Errors
		if errors.As(err, &mistakes) {
			mistakes.Report()
			for _, e := range mistakes {
				if e.Range.Start > len(text) {
					t.Errorf("%q: a mistake at %d", text, e.Range.Start)
				}
			}
		}
		config.Show(&s)
	})
}
