//go:build unix

package interrupt_test

import (
	"context"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/orlop/orlop/internal/interrupt"
)

// A signal that comes before main asks for the context, and would end the process if nobody
// waited for it, ends the context.
func TestASignalBeforeMainEndsTheContext(t *testing.T) {
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ctx, stop := interrupt.Context(context.Background())
	defer stop()
	<-ctx.Done()
}

// What it imports is initialised before it, and lets signals through meanwhile.
func TestItImportsNextToNothing(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{join .Imports " "}}`, ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Fields(string(out)), []string{"context", "os", "os/signal", "syscall"}; !slices.Equal(got, want) {
		t.Errorf("it imports %q, want %q", got, want)
	}
}
