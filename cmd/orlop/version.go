package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// version is set by the linker for releases: -X main.version=1.2.3.
var version = ""

func newVersion() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Long:  "Version prints the version of orlop, and of what it was built with.\n\n" + exitCodes,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := struct {
				Version string `json:"version"`
				Commit  string `json:"commit,omitempty"`
				Go      string `json:"go"`
				OS      string `json:"os"`
				Arch    string `json:"arch"`
			}{version, "", runtime.Version(), runtime.GOOS, runtime.GOARCH}
			if info, ok := debug.ReadBuildInfo(); ok {
				if v.Version == "" {
					v.Version = info.Main.Version
				}
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" {
						v.Commit = s.Value
					}
				}
			}
			if v.Version == "" || v.Version == "(devel)" {
				v.Version = "devel"
			}
			line := fmt.Sprintf("orlop %s %s %s/%s", v.Version, v.Go, v.OS, v.Arch)
			if output == "" {
				if _, err := fmt.Fprintln(cmd.OutOrStdout(), line); err != nil {
					return &failure{exitIO, err}
				}
				return nil
			}
			out, err := newPrinter(cmd, output)
			if err != nil {
				return err
			}
			b, err := json.Marshal(v)
			if err != nil {
				return err
			}
			if out.form == "table" {
				out.write([]byte(line + "\n"))
			} else {
				out.print(b, nil)
			}
			return out.close()
		},
	}
	addOutput(cmd, &output)
	return cmd
}

func newMan() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "Write the manual pages into a folder",
		Long:  "Man writes a manual page for each command into a folder, which it makes.\n\n" + exitCodes,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o777); err != nil {
				return &failure{exitIO, err}
			}
			header := &doc.GenManHeader{Title: "ORLOP", Section: "1", Source: "Orlop", Manual: "Orlop"}
			root := cmd.Root()
			root.DisableAutoGenTag = true
			if err := doc.GenManTree(root, header, args[0]); err != nil {
				return &failure{exitIO, err}
			}
			return nil
		},
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
