package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/orlop/orlop/console"
	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/internal/agent"
	"github.com/orlop/orlop/internal/config"
)

// What README and docs show can be done: each orlop command has its verb and flags,
// each rule checks and passes its own tests, each tuning and configuration is read.
func TestDocs(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	commands, files := 0, 0
	for _, page := range append(pages, "../../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		// Every second part is in a fence, and begins with its language.
		parts := strings.Split("\n"+string(text), "\n```")
		if len(parts)%2 == 0 {
			t.Errorf("%s: a fence is not closed", page)
		}
		for i := 1; i < len(parts); i += 2 {
			language, code, _ := strings.Cut(parts[i], "\n")
			for line := range strings.Lines(code) {
				for _, args := range orlops(line) {
					commands++
					if err := known(args); err != nil {
						t.Errorf("%s: %s: %v", page, strings.TrimSpace(line), err)
					}
				}
			}
			if language != "toml" && language != "yaml" {
				continue
			}
			files++
			name := filepath.Join(t.TempDir(), "x."+language)
			if err := os.WriteFile(name, []byte(code), 0o600); err != nil {
				t.Fatal(err)
			}
			switch {
			case language == "yaml" && strings.HasPrefix(code, "issuer:"):
				err = config.Read(name, []byte(code), config.World{Env: os.LookupEnv}, console.NewOIDC())
			case language == "yaml":
				err = agent.LoadConfig(name, false, agent.Flags{}, agent.NewConfig())
			case strings.Contains(code, "[[role]]") || strings.Contains(code, "[[exempt]]") || strings.Contains(code, "[[peer]]"):
				_, err = agent.LoadTuning(name, event.NewSchema())
			default:
				err = nil
				var out strings.Builder
				if run(context.Background(), []string{"rules", "check", name}, strings.NewReader(""), &out, &out) != exitDone {
					t.Errorf("%s: a rule does not check:\n%s", page, out.String())
				}
			}
			if err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
	if commands == 0 || files == 0 {
		t.Errorf("%d commands and %d files were looked at", commands, files)
	}
}

// The figures in the README are those of the session that it is about.
func TestReadmeSaysWhatScanSays(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var out, told strings.Builder
	if run(t.Context(), []string{"scan", "../../examples/node-session/audit.log"}, strings.NewReader(""), &out, &told) != exitDone {
		t.Fatal(told.String())
	}
	summary := regexp.MustCompile(`(?m)^(events|alerts) .*$`).FindAllString(told.String(), -1)
	if len(summary) != 2 {
		t.Fatalf("scan says\n%s", told.String())
	}
	for _, line := range summary {
		if !strings.Contains(string(text), "\n"+line+"\n") {
			t.Errorf("the README lacks %q", line)
		}
	}
	count := regexp.MustCompile(`\d+`).FindString(summary[1])
	for _, m := range regexp.MustCompile(`(\d+) alerts`).FindAllStringSubmatch(string(text), -1) {
		if m[1] != count {
			t.Errorf("the README says %q, scan %s", m[0], count)
		}
	}
}

// orlops are the arguments of each orlop on a line of shell.
func orlops(line string) (all [][]string) {
	var quote rune
	var words []string
	var word strings.Builder
	begun := false
	end := func() {
		if begun {
			words = append(words, word.String())
		}
		word.Reset()
		begun = false
	}
	command := func() {
		end()
		for len(words) > 0 && (words[0] == "sudo" || words[0] == "exec" || words[0] == "go" || words[0] == "run") {
			words = words[1:]
		}
		if len(words) > 0 && (words[0] == "orlop" || words[0] == "./cmd/orlop") {
			all = append(all, words[1:])
		}
		words = nil
	}
	for _, c := range line {
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(c)
		case c == '\'' || c == '"':
			quote, begun = c, true
		case c == '#' && !begun:
			command()
			return all
		case c == '|' || c == ';' || c == '&':
			command()
		case c == ' ' || c == '\t' || c == '\n':
			end()
		default:
			begun = true
			word.WriteRune(c)
		}
	}
	command()
	return all
}

// known says what a command line names that is not there.
func known(args []string) error {
	for i, a := range args {
		if strings.HasPrefix(a, ">") || strings.HasPrefix(a, "2>") || strings.HasPrefix(a, "<") {
			args = args[:i]
			break
		}
	}
	cmd, rest, err := newRoot().Find(args)
	if err != nil {
		return err
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	if !cmd.Runnable() {
		return cobra.NoArgs(cmd, cmd.Flags().Args())
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}
