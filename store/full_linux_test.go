package store_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/internal/smalldisk"
	"github.com/orlop/orlop/store"
)

// On a full disk an insert fails whole and says why, queries are answered, and with room
// it goes on.
func TestDiskFull(t *testing.T) {
	dir := smalldisk.Mount(t, "3m")
	s := open(t, filepath.Join(dir, "orlop.db"))
	r := rand.New(rand.NewPCG(1, 1))
	n := 0
	next := func() (batch []*alert.Alert) {
		for range 50 {
			n++
			batch = append(batch, newAlert(t, fmt.Sprint(n), map[string]any{"x": fmt.Sprintf("%0512x", r.Uint64()) + fmt.Sprint(r.Perm(200))}))
		}
		return batch
	}
	total := 0
	var full error
	for range 1000 {
		added, err := s.Insert(t.Context(), now.Add(time.Duration(total)*time.Second), next())
		if total += added; err != nil {
			full = err
			break
		}
	}
	if full == nil || !strings.Contains(full.Error(), "the disk is full: make room") {
		t.Fatal(full)
	}
	if r := query(t, s, store.Query{Limit: 10, Facets: []store.Facet{{Field: "kibana.alert.severity"}}}); r.Total != total || len(r.Records) != 10 {
		t.Errorf("%d alerts, want %d", r.Total, total)
	}
	if f := verify(t, s); f != nil {
		t.Error(f)
	}
	// Another has filled it, and goes.
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT, "size=16m"); err != nil {
		t.Fatal(err)
	}
	added, err := s.Insert(t.Context(), now, next())
	if err != nil || added != 50 {
		t.Errorf("%d, %v", added, err)
	}
	if r := query(t, s, store.Query{}); r.Total != total+50 {
		t.Errorf("%d alerts, want %d", r.Total, total+50)
	}
	if f := verify(t, s); f != nil {
		t.Error(f)
	}
}
