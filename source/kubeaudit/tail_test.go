package kubeaudit_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/orlop/orlop/event"
	"github.com/orlop/orlop/source"
	"github.com/orlop/orlop/source/kubeaudit"
)

// request is an audit event, and list a line of several.
func request(id string) string {
	return `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"` + id + `","stage":"ResponseStarted","verb":"create","user":{"username":"jane"},"objectRef":{"resource":"pods","subresource":"exec","namespace":"n","name":"p"},"requestReceivedTimestamp":"2026-11-25T02:00:00.000000Z"}`
}

func list(first, second string) string {
	return `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[` + request(first) + "," + request(second) + "]}"
}

// over is a context that has ended: a source then takes what there is, and no more.
func over() context.Context {
	ctx, stop := context.WithCancel(context.Background())
	stop()
	return ctx
}

var errFull = errors.New("no more")

// tail follows the log at path from a position on, takes at most n events, and says
// which and where it is then.
func tail(t *testing.T, path string, at []byte, n int) (ids []string, position []byte) {
	t.Helper()
	s := event.NewSchema()
	id := s.Field("kubernetes.audit.auditID")
	k, err := kubeaudit.OpenTail(path, at, source.Options{Schema: s})
	if err != nil {
		t.Fatal(err)
	}
	err = k.Run(over(), func(e *event.Event) error {
		if len(ids) == n {
			return errFull
		}
		ids = append(ids, e.Get(id).Str())
		return nil
	})
	if err != nil && err != errFull {
		t.Fatal(err)
	}
	position, emitted := k.Position()
	if emitted != int64(len(ids)) {
		t.Errorf("it says that %d events were handed on, of %q", emitted, ids)
	}
	return ids, position
}

func add(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(text)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A log is read on where an earlier run ended, also within a line of several events, and
// in the file that kube-apiserver has rotated it to.
func TestTailGoesOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	want := func(got []string, ids ...string) {
		t.Helper()
		if !slices.Equal(got, ids) {
			t.Fatalf("got %q, want %q", got, ids)
		}
	}
	add(t, path, request("old")+"\n")
	got, at := tail(t, path, nil, 9)
	want(got)
	add(t, path, request("a")+"\n"+list("b", "c")+"\n"+request("d")+"\n")
	got, at = tail(t, path, at, 2)
	want(got, "a", "b")
	if err := os.Rename(path, filepath.Join(filepath.Dir(path), "audit-2026-11-25T02-00-00.000.log")); err != nil {
		t.Fatal(err)
	}
	add(t, path, list("e", "f")+"\n"+request("g"))
	got, at = tail(t, path, at, 3)
	want(got, "c", "d", "e")
	got, at = tail(t, path, at, 9)
	want(got, "f") // g's line has no end yet
	add(t, path, "\n")
	got, _ = tail(t, path, at, 9)
	want(got, "g")
}

// A position may be asked for at any time, and is always one of what was handed on.
func TestTailSaysWhereItIs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	s := event.NewSchema()
	k, err := kubeaudit.OpenTail(path, nil, source.Options{Schema: s})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		add(t, path, list(fmt.Sprint(i), fmt.Sprint(i))+"\n")
	}
	done := make(chan error)
	go func() { done <- k.Run(over(), func(*event.Event) error { return nil }) }()
	for last := int64(0); ; {
		_, n := k.Position()
		if n < last {
			t.Fatalf("%d events were handed on, and then %d", last, n)
		}
		last = n
		select {
		case err := <-done:
			if n, behind := k.Progress(); err != nil || n != 200 || behind {
				t.Errorf("%d events, behind %t: %v", n, behind, err)
			}
			return
		default:
		}
	}
}

func TestTailRefusesAPosition(t *testing.T) {
	_, err := kubeaudit.OpenTail("x.log", []byte("{"), source.Options{Schema: event.NewSchema()})
	if want := "kubeaudit: x.log: position: unexpected end of JSON input"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
