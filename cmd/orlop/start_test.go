//go:build linux

package main

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"
)

// A run that is ended before it has begun ends as any other, with 0 and its account.
func TestRunIsEndedAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := t.TempDir()
	for _, args := range [][]string{
		{"--listen", "127.0.0.1:0"},
		{"--state", filepath.Join(dir, "state"), "--store", filepath.Join(dir, "orlop.db"), "--listen", "127.0.0.1:0"},
	} {
		var stderr bytes.Buffer
		code := run(ctx, append([]string{"run", "--source", "stdin"}, args...), strings.NewReader(""), &stderr, &stderr)
		if code != exitDone || !strings.Contains(stderr.String(), "msg=ended source=stdin") {
			t.Errorf("%q: exit code %d, want 0 and an account: %s", args, code, stderr.String())
		}
	}
}
