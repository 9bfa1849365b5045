package agent_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/internal/agent"
	"github.com/orlop/orlop/source"
)

func TestRotatedLogsAreReadOldestFirst(t *testing.T) {
	f := func(want string, files ...string) {
		t.Helper()
		dir := t.TempDir()
		var names []string
		for i, text := range files {
			name := filepath.Join(dir, fmt.Sprint(i))
			if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
			names = append(names, name)
		}
		inputs, err := source.Open(names, nil)
		if err != nil {
			t.Fatal(err)
		}
		p := agent.Replay{Schema: event.NewSchema(), Inputs: inputs}
		var got []string
		err = p.Run(context.Background(), func(e *event.Event) error {
			if n := len(got); n == 0 || got[n-1] != filepath.Base(e.Origin.Source) {
				got = append(got, filepath.Base(e.Origin.Source))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("got %s, want %s", s, want)
		}
	}
	login := func(sec int) string {
		return fmt.Sprintf("type=USER_LOGIN msg=audit(%d.123:7): pid=1 uid=0 auid=0 ses=1 msg='op=login res=success'\n", sec)
	}
	f("2 1 0", login(1795382430), login(1795382420), login(1795382410))
	f("1 0", `{"@timestamp":"2026-05-04T10:00:00Z"}`, `{"@timestamp":"2026-05-04T09:00:00Z"}`)
	f("1 0", `{"message":"x","@timestamp": 1795382430000}`, `{"@timestamp": 1795382420000}`)
	f("1 0", login(1795382430), `{"@timestamp":"2026-05-04T09:00:00Z"}`)
	f("0 1 2", `{"a":1}`, `{"a":2}`, `{"a":3}`)
	f("0 1 2", login(1795382430), `{"a":1}`+"\n", login(1795382440))
}
