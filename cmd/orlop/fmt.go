package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/orlop/orlop/eql/syntax"
	"github.com/orlop/orlop/rule"
)

func newFmt() *cobra.Command {
	const help = `Fmt prints EQL queries in one layout. It reads queries from files, from standard
input or from the command line, and of a rule file (*.toml) its query. The layout
never changes what a query means, and comments stay. Only the grammar is checked;
orlop rules check and query find the other mistakes.`
	var write, check bool
	cmd := &cobra.Command{
		Use:   "fmt [FILE|EQL...]",
		Short: "Print queries in one layout",
		Long:  help + "\n\n" + exitCodes,
		Example: `  orlop fmt 'process where process.name=="ctr" and (process.args=="exec")'
  orlop fmt -w rules/*.toml
  orlop fmt --check rules/*.toml`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if write && check {
				return usage("-w and --check are two things: pick one")
			}
			if len(args) == 0 {
				args = []string{"-"}
			}
			changed := false
			for i, a := range args {
				q, err := readQuery(a, cmd.InOrStdin())
				if err != nil {
					return err
				}
				switch {
				case check:
					if q.formatted() != q.whole {
						changed = true
						fmt.Fprintln(cmd.OutOrStdout(), printable(a))
					}
				case write:
					if err := q.save(); err != nil {
						return err
					}
				default:
					if i > 0 {
						fmt.Fprintln(cmd.OutOrStdout())
					}
					if _, err := io.WriteString(cmd.OutOrStdout(), q.layout); err != nil {
						return &failure{exitIO, err}
					}
				}
			}
			if changed {
				return errFindings
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&write, "write", "w", false, "write the layout into the files")
	cmd.Flags().BoolVar(&check, "check", false, "print the names of files in another layout, and exit with 1 if there are any")
	return cmd
}

// query is a query to lay out, and where it came from.
type query struct {
	file   string // "" if it cannot be written to
	whole  string // the text of the file, or of the query
	rule   *rule.Rule
	layout string
}

// readQuery reads what an argument of fmt names: a file, - or a query.
func readQuery(arg string, stdin io.Reader) (*query, error) {
	q := &query{file: arg}
	var src syntax.Source
	switch {
	case arg == "-":
		b, err := io.ReadAll(io.LimitReader(stdin, syntax.MaxText+1))
		if err != nil {
			return nil, &failure{exitIO, err}
		}
		q.file, q.whole = "", string(b)
		src.Text = q.whole
	case !exists(arg) && strings.ContainsAny(arg, " \n\t"):
		q.file, q.whole = "", arg
		src.Text = arg
	default:
		b, err := readWhole(arg)
		if err != nil {
			return nil, err
		}
		q.whole = string(b)
		src = syntax.Source{Name: arg, Text: q.whole}
		if filepath.Ext(arg) == ".toml" {
			r, _, err := rule.Parse(arg, b)
			if err != nil {
				return nil, &failure{exitUsage, err}
			}
			if r.Language != "eql" {
				return nil, usage("%s: a rule of type %s has no EQL query", arg, r.Type)
			}
			q.rule, src = r, r.Query
		}
	}
	tree, err := syntax.Parse(src)
	if err != nil {
		return nil, &failure{exitUsage, err}
	}
	q.layout = syntax.Format(tree)
	return q, nil
}

func readWhole(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, &failure{exitIO, err}
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, syntax.MaxText+1))
	if err != nil {
		return nil, &failure{exitIO, err}
	}
	return b, nil
}

// formatted is what the file should hold.
func (q *query) formatted() string {
	if q.rule != nil {
		return q.rule.Requery(q.layout)
	}
	return q.layout
}

// save writes the layout into the file, by way of a new one beside it, so that
// it is never half there. A symbolic link stays one: what it points at is
// written. The file keeps its mode and, where we may give it away, its owner.
func (q *query) save() error {
	if q.file == "" {
		return usage("-w needs files to write to")
	}
	text := q.formatted()
	if text == q.whole {
		return nil
	}
	if err := replace(q.file, text); err != nil {
		return &failure{exitIO, err}
	}
	return nil
}

func replace(name, text string) error {
	name, err := filepath.EvalSymlinks(name)
	if err != nil {
		return err
	}
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: not a regular file: it cannot be written to", name)
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), ".orlop-fmt-")
	if err != nil {
		return err
	}
	_, err = io.WriteString(tmp, text)
	keepOwner(tmp, info)
	if err == nil {
		err = tmp.Chmod(info.Mode())
	}
	if err == nil {
		err = tmp.Sync() // before its name is that of the old one
	}
	if e := tmp.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(tmp.Name(), name)
	}
	if err != nil {
		os.Remove(tmp.Name())
	}
	return err
}
