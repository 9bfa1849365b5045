package console

import (
	"fmt"
	"time"

	"github.com/orlop/orlop/store"
)

var severities = []string{"critical", "high", "medium", "low"}

// A chart is a histogram as SVG draws it: 1000 wide, 100 high.
type chart struct {
	Bars  []bar
	Ticks []string
	Most  int
	Each  string // of a bar
	Total int
}

type bar struct {
	X, W   string
	Parts  []part
	Title  string
	URL    string
	Number int
}

type part struct {
	Class string
	Y, H  string
}

// intervals are the widths that a bar may have.
var intervals = []time.Duration{
	time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour,
	24 * time.Hour, 2 * 24 * time.Hour, 7 * 24 * time.Hour, 30 * 24 * time.Hour, 90 * 24 * time.Hour, 365 * 24 * time.Hour, 10 * 365 * 24 * time.Hour, 100 * 365 * 24 * time.Hour,
}

const mostBars = 72

// interval is the least width with which a time has no more than mostBars bars.
func interval(d time.Duration) time.Duration {
	for _, each := range intervals {
		if d/each < mostBars {
			return each
		}
	}
	return intervals[len(intervals)-1]
}

func newChart(p *page, a *ask, from, to time.Time, each time.Duration, buckets []store.Bucket) *chart {
	if len(buckets) == 0 || !from.Before(to) {
		return nil
	}
	c := &chart{Each: each.String()}
	if each >= time.Minute {
		c.Each = short(each)
	}
	start := from.Truncate(each)
	n := int(to.Sub(start)/each) + 1
	if n > 2*mostBars {
		return nil
	}
	for _, b := range buckets {
		c.Most = max(c.Most, b.Count)
	}
	w := 1000 / float64(n)
	for _, b := range buckets {
		i := int(b.Start.Sub(start) / each)
		if i < 0 || i >= n {
			continue
		}
		end := b.Start.Add(each)
		out := bar{X: fmt.Sprintf("%.2f", float64(i)*w+w*0.08), W: fmt.Sprintf("%.2f", w*0.84), Number: b.Count,
			Title: p.Full(b.Start) + ": " + plural(b.Count, "alert"),
			URL: a.with(func(x *ask) {
				x.From, x.To = b.Start.UTC().Format(time.RFC3339Nano), end.UTC().Format(time.RFC3339Nano)
			}).URL()}
		y := 100.0
		by := map[string]int{}
		rest := b.Count
		for _, k := range b.By {
			by[k.Value] = k.Count
		}
		add := func(class string, count int) {
			if count == 0 {
				return
			}
			h := float64(count) / float64(c.Most) * 96
			y -= h
			out.Parts = append(out.Parts, part{"bar-" + class, fmt.Sprintf("%.2f", y), fmt.Sprintf("%.2f", h)})
		}
		for _, s := range []string{"low", "medium", "high", "critical"} {
			out.Title += detail(s, by[s])
			rest -= by[s]
		}
		add("other", max(rest, 0))
		for _, s := range []string{"low", "medium", "high", "critical"} {
			add(s, by[s])
		}
		c.Total += b.Count
		c.Bars = append(c.Bars, out)
	}
	layout := "15:04:05"
	switch {
	case each >= 24*time.Hour:
		layout = "2006-01-02"
	case to.Sub(from) > 36*time.Hour:
		layout = "01-02 15:04"
	case each >= time.Minute:
		layout = "15:04"
	case each < time.Second:
		layout = "15:04:05.000"
	}
	for i := range 5 {
		at := start.Add(time.Duration(float64(i) / 4 * float64(time.Duration(n)*each)))
		c.Ticks = append(c.Ticks, at.In(p.Zone).Format(layout))
	}
	return c
}

func detail(severity string, n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", %d %s", n, severity)
}
