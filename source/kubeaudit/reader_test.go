package kubeaudit_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/source"
	"github.com/orlop/orlop/source/kubeaudit"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "rewrite testdata")

func run(t testing.TB, in string) (docs, rejected []string) {
	t.Helper()
	o := source.Options{Schema: event.NewSchema(), Reject: func(r source.Rejection) {
		rejected = append(rejected, r.Class+": "+r.Reason)
	}}
	r := kubeaudit.New(source.NewInput("in", strings.NewReader(in)), o)
	err := r.Run(t.Context(), func(e *event.Event) error {
		docs = append(docs, string(e.Raw))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return docs, rejected
}

// Each file is a claim: "in" is a log, "docs" the documents and "rejected" the reasons
// for what is none.
func TestCorpus(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no corpus", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			docs, rejected := run(t, string(a.Files[0].Data))
			got := []txtar.File{a.Files[0], {Name: "docs", Data: lines(docs)}, {Name: "rejected", Data: lines(rejected)}}
			if *update {
				a.Files = got
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want := string(txtar.Format(a))
			if got := string(txtar.Format(&txtar.Archive{Comment: a.Comment, Files: got})); got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func lines(s []string) []byte {
	if len(s) == 0 {
		return nil
	}
	return []byte(strings.Join(s, "\n") + "\n")
}

// Whatever a line holds, it becomes events or rejections.
func FuzzReader(f *testing.F) {
	f.Add(`{"kind":"Event","apiVersion":"audit.k8s.io/v1","verb":"get","requestReceivedTimestamp":"2026-05-01T10:00:00.000000Z"}`)
	f.Add(`{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{"verb":"get","stageTimestamp":"2026-05-01T10:00:00Z","annotations":{"a.b":"c"}},1]}`)
	f.Fuzz(func(t *testing.T, line string) {
		docs, rejected := run(t, line)
		if len(docs)+len(rejected) == 0 && strings.HasPrefix(line, `{"kind":"Event",`) {
			t.Errorf("%q is lost", line)
		}
		for _, doc := range docs {
			if strings.ContainsRune(doc, '\n') {
				t.Errorf("%q", doc)
			}
		}
	})
}
