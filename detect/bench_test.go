package detect_test

import (
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/orlop/orlop/alert"
	"github.com/orlop/orlop/detect"
	"github.com/orlop/orlop/event"
)

// BenchmarkDistinctKeys is a sequence by process.entity_id with maxspan=5m over ten
// million processes, 20,000 in a second: far more than fit into the default budget,
// which bounds what the sequence keeps, and again what waits.
//
//	go test -run '^$' -bench DistinctKeys -benchtime 1x ./detect
func BenchmarkDistinctKeys(b *testing.B) {
	const n = 10_000_000
	r := eql("s", `sequence by process.entity_id with maxspan=5m [process where event.type == "start"] [network where true]`)
	for b.Loop() {
		x := newBench(b, detect.Options{Lateness: 10 * time.Second}, r)
		var e event.Event
		var doc []byte
		emit := func(*alert.Alert) {}
		var before, m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		peak := uint64(0)
		for i := range n {
			doc = append(doc[:0], `{"@timestamp":`...)
			doc = strconv.AppendInt(doc, 1767225600000+int64(i)/20, 10)
			doc = append(doc, `,"event":{"category":"process","type":"start"},"process":{"entity_id":"`...)
			doc = append(strconv.AppendInt(doc, int64(i), 36), `"}}`...)
			if err := x.decoder.Decode(doc, &e); err != nil {
				b.Fatal(err)
			}
			e.Origin.Source = "s"
			x.Process(&e, emit)
			if i%500_000 == 0 {
				runtime.GC()
				runtime.ReadMemStats(&m)
				peak = max(peak, m.HeapAlloc-min(m.HeapAlloc, before.HeapAlloc))
			}
		}
		st := x.Stats()
		if st.Evicted == 0 || st.Late > 0 {
			b.Fatalf("%+v", st)
		}
		b.ReportMetric(float64(peak)/(1<<20), "peak-MB")
		b.ReportMetric(float64(st.Evicted), "evicted")
		b.ReportMetric(float64(st.Early), "early")
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/n, "ns/event")
	}
}

// BenchmarkSorted is what it costs that a file could be in any order, for one that is
// sorted: events wait until its end, on disk where they are many. Behind a watermark
// the same events wait for ten seconds, in memory. All are of a category that the
// sequence asks for, and it wants all of them, or one in twenty.
func BenchmarkSorted(b *testing.B) {
	b.Setenv("TMPDIR", b.TempDir())
	const n = 50_000
	docs := make([][]byte, n)
	size := 0
	for i := range docs {
		docs[i] = []byte(doc(float64(i)/100, ordinary+`,"n":`+strconv.Itoa(i%20)+`,"message":"`+strings.Repeat("x", 300)+`"`))
		size += len(docs[i])
	}
	emit := func(*alert.Alert) {}
	for _, q := range []struct{ name, query string }{
		{"all", `sequence by process.entity_id with maxspan=1s [process where true] [network where true]`},
		{"one-in-20", `sequence by process.entity_id with maxspan=1s [process where n == 0] [network where true]`},
	} {
		for _, o := range []struct {
			name     string
			lateness time.Duration
		}{{"watermark", 10 * time.Second}, {"file", -1}} {
			b.Run(q.name+"/"+o.name, func(b *testing.B) {
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					x := newBench(b, detect.Options{Lateness: o.lateness}, eql("s", q.query))
					var e event.Event
					for _, d := range docs {
						if err := x.decoder.Decode(d, &e); err != nil {
							b.Fatal(err)
						}
						e.Origin.Source = "s"
						x.Process(&e, emit)
					}
					x.Flush(emit)
					if st := x.Stats(); st.Late > 0 || st.Early > 0 || x.Err() != nil {
						b.Fatalf("%+v, %v", st, x.Err())
					}
				}
			})
		}
	}
}
