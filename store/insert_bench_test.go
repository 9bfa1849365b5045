package store_test

import (
	"github.com/orlop/orlop/store/storetest"
	"testing"
	"time"

	"github.com/orlop/orlop/alert"
)

// BenchmarkInsert stores alerts as the outbox brings them, and an iteration is one alert.
func BenchmarkInsert(b *testing.B) {
	for _, kind := range []string{"sqlite", "postgres"} {
		b.Run(kind, func(b *testing.B) {
			name := ""
			if kind == "sqlite" {
				name = sqliteName(b)
			} else {
				name = storetest.Postgres(b)
			}
			s := open(b, name)
			m := newMaker(b)
			const batch = 100
			size := 0
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; i += batch {
				b.StopTimer()
				var as []*alert.Alert
				for range batch {
					a := m.alert(now.Add(time.Duration(m.n) * time.Second))
					size += len(a.AppendJSON(nil))
					as = append(as, a)
				}
				b.StartTimer()
				insert(b, s, as...)
			}
			b.SetBytes(int64(size / b.N))
		})
	}
}
