package detect_test

import (
	"runtime"
	"strconv"
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
