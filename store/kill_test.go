package store_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/store"
)

// child stores alerts and works with them until it is killed, and says what it has been
// told is done. It begins with alerts that were stored before, as an outbox would.
func child() {
	ctx := context.Background()
	s, err := store.Open(ctx, os.Getenv("ORLOP_STORE_CHILD"), store.Options{})
	if err != nil {
		fmt.Println("failed", err)
		os.Exit(1)
	}
	var first int
	fmt.Sscan(os.Getenv("ORLOP_STORE_FIRST"), &first)
	r := rand.New(rand.NewPCG(7, uint64(first)))
	for n := first; ; {
		var batch []*alert.Alert
		for range 1 + r.IntN(60) {
			a, err := alert.Parse(fmt.Appendf(nil, `{"kibana.alert.uuid":"a%d","kibana.alert.rule.rule_id":"r%d","@timestamp":"2026-04-29T10:00:00Z","x":%d}`, n, n%7, n%100))
			if err != nil {
				panic(err)
			}
			batch = append(batch, a)
			n++
		}
		if _, err := s.Insert(ctx, time.Unix(int64(n), 0), batch); err != nil {
			fmt.Println("failed", err)
			os.Exit(1)
		}
		fmt.Println("stored", n)
		id := fmt.Sprint("a", r.IntN(n))
		if _, err := s.Update(ctx, store.Actor{User: "ann"}, time.Unix(int64(n), 0), []string{id}, store.Change{Comment: fmt.Sprint(n)}); err != nil {
			fmt.Println("failed", err)
			os.Exit(1)
		}
		fmt.Println("noted", n)
	}
}

// However often the process is killed in the middle of its work: what it has been told
// is stored is there, once, and nothing else is wrong.
func TestKill(t *testing.T) {
	each(t, func(t *testing.T, name string) {
		exe, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(1, 1))
		stored := 0
		noted := map[string]bool{}
		for range 12 {
			first := max(stored-r.IntN(100), 0)
			cmd := exec.Command(exe)
			cmd.Env = append(os.Environ(), "ORLOP_STORE_CHILD="+name, fmt.Sprint("ORLOP_STORE_FIRST=", first))
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			// Killed at some line that it says, or a moment after.
			lines := 1 + r.IntN(120)
			wait := time.Duration(r.IntN(3000)) * time.Microsecond
			in := bufio.NewScanner(out)
			for in.Scan() {
				what, n, _ := strings.Cut(in.Text(), " ")
				switch what {
				case "stored":
					k := 0
					fmt.Sscan(n, &k)
					stored = max(stored, k)
				case "noted":
					noted[n] = true
				default:
					t.Fatal(in.Text())
				}
				if lines--; lines == 0 {
					time.AfterFunc(wait, func() { cmd.Process.Kill() })
				}
			}
			cmd.Wait()
			s := open(t, name)
			if f := verify(t, s); f != nil {
				t.Fatal(f)
			}
			for i := range stored {
				if i%37 != 0 && i < stored-100 {
					continue
				}
				if _, err := s.Alert(t.Context(), fmt.Sprint("a", i)); err != nil {
					t.Fatal(err)
				}
			}
			res := query(t, s, store.Query{Facets: []store.Facet{{Field: "x", Limit: 1}}})
			if res.Total < stored || res.Head != int64(res.Total) {
				t.Fatalf("%d alerts, last is %d; %d are acknowledged", res.Total, res.Head, stored)
			}
			left := len(noted)
			for a, err := range s.Actions(t.Context(), &store.ActionQuery{Limit: 1 << 30}) {
				if err != nil {
					t.Fatal(err)
				}
				var w store.Workflow
				if err := json.Unmarshal(a.After, &w); err != nil || w.Comments < 1 {
					t.Fatal(err, w)
				}
				if noted[a.Note] {
					left--
				}
			}
			if left > 0 {
				t.Fatalf("%d actions that were acknowledged are gone", left)
			}
			s.Close()
		}
		t.Logf("%d alerts, %d actions", stored, len(noted))
	})
}
