package store_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/store"
)

// Two programs with one store, each with several goroutines: the chains stay whole, and
// an alert that both bring is there once.
func TestConcurrent(t *testing.T) {
	each(t, func(t *testing.T, name string) {
		stores := []*store.Store{open(t, name), open(t, name)}
		var wg sync.WaitGroup
		for g := range 4 {
			s := stores[g%2]
			wg.Go(func() {
				for i := range 40 {
					var as []*alert.Alert
					for k := range 10 {
						as = append(as, newAlert(t, fmt.Sprint(i*10+k), map[string]any{"kibana.alert.rule.rule_id": fmt.Sprint("r", (i+k)%5)}))
					}
					if _, err := s.Insert(t.Context(), now, as); err != nil {
						t.Error(err)
						return
					}
					if _, err := s.Update(t.Context(), ann, now, []string{fmt.Sprint(i), fmt.Sprint(i / 2)}, store.Change{Comment: fmt.Sprint(g)}); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		for _, s := range stores {
			wg.Go(func() {
				for range 40 {
					r, err := s.Query(t.Context(), &store.Query{Limit: 5, Facets: []store.Facet{{Field: "kibana.alert.rule.rule_id"}, {Field: store.FieldStatus}}})
					if err != nil {
						t.Error(err)
						return
					}
					n := 0
					for _, c := range r.Facets[0].Values {
						n += c.Count
					}
					if n != r.Total || int64(n) != r.Head {
						t.Errorf("%d in facets, %d in all, head %d", n, r.Total, r.Head)
					}
				}
			})
		}
		wg.Wait()
		for _, s := range stores {
			if r := query(t, s, store.Query{}); r.Total != 400 {
				t.Errorf("%d alerts, want 400", r.Total)
			}
			if f := verify(t, s); f != nil {
				t.Error(f)
			}
		}
	})
}
