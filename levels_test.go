package orlop_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/orlop/orlop/"

// floor is how high a package stands; ARCHITECTURE.md names the floors. A
// package may import from lower floors only, never from its own.
func floor(pkg string) int {
	switch pkg {
	case "event", "eql/syntax", "enrich/runtimecli", "rules", "examples", "internal/interrupt", "internal/netlink", "internal/own", "internal/rotate", "internal/smalldisk":
		return 0
	case "expr", "rule", "enrich", "source", "internal/config", "internal/procfs", "internal/spool":
		return 1
	case "eql", "kql", "alert":
		return 2
	case "detect", "sink", "store", "store/storetest", "source/audit/audittest":
		return 3
	case "internal/agent", "console":
		return 5
	case "cmd/orlop":
		return 6
	}
	switch {
	case strings.HasPrefix(pkg, "source/"):
		return 2
	case strings.HasPrefix(pkg, "sink/"):
		return 4
	case strings.HasPrefix(pkg, "cmd/"): // generators
		return 6
	}
	return -1
}

func TestPackagesImportOnlyFromLowerFloors(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Imports", "./...")
	out, err := cmd.Output()
	if err != nil {
		var e *exec.ExitError
		if errors.As(err, &e) {
			t.Fatalf("go list: %s", e.Stderr)
		}
		t.Fatal(err)
	}
	seen := 0
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		name, ours := strings.CutPrefix(p.ImportPath, module)
		if !ours {
			continue
		}
		seen++
		at := floor(name)
		if at < 0 {
			t.Errorf("%s is on no floor: give it one here and in ARCHITECTURE.md", name)
		}
		for _, imp := range p.Imports {
			other, ours := strings.CutPrefix(imp, module)
			if ours && floor(other) >= at {
				t.Errorf("%s (floor %d) imports %s (floor %d)", name, at, other, floor(other))
			}
		}
	}
	if seen < 10 {
		t.Errorf("saw %d packages of the module, want all of them", seen)
	}
}
