package figures

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// A Sample is the result of one slice, or of another single measurement. Fields that were not
// measured are 0.
type Sample struct {
	Rate     float64 // per second
	P50, P99 float64 // latency in seconds
	CPU      float64 // processor time of the gateways per event, in seconds
	Server   float64 // processor time of PostgreSQL per event, in seconds
	Log      float64 // written to PostgreSQL's write-ahead log per event, in bytes
	Commits  float64 // PostgreSQL's transactions that write, per event
	Alloc    float64 // allocated by the gateway per event, in bytes
	Own      float64 // processor time of the load generator and the backends per request, in seconds
	Others   float64 // share of the machine's processors that other processes used, from 0 to 1
	Took     float64 // seconds
	Bytes    float64
}

// A Quantity is one of the figures of a sample.
type Quantity struct {
	name string
	of   func(Sample) float64
	Show func(float64) string
}

// The quantities of a sample.
var (
	Rate    = Quantity{"rate", func(s Sample) float64 { return s.Rate }, ShowRate}
	P50     = Quantity{"p50", func(s Sample) float64 { return s.P50 }, ShowSeconds}
	P99     = Quantity{"p99", func(s Sample) float64 { return s.P99 }, ShowSeconds}
	CPU     = Quantity{"CPU", func(s Sample) float64 { return s.CPU }, ShowSeconds}
	Server  = Quantity{"PostgreSQL's CPU", func(s Sample) float64 { return s.Server }, ShowSeconds}
	Log     = Quantity{"log", func(s Sample) float64 { return s.Log }, ShowBytes}
	Commits = Quantity{"writing transactions", func(s Sample) float64 { return s.Commits }, ShowRatio}
	Alloc   = Quantity{"allocated", func(s Sample) float64 { return s.Alloc }, ShowBytes}
	Own     = Quantity{"generator's CPU", func(s Sample) float64 { return s.Own }, ShowSeconds}
	Others  = Quantity{"others' CPU", func(s Sample) float64 { return s.Others }, showShare}
	Took    = Quantity{"time", func(s Sample) float64 { return s.Took }, ShowSeconds}
	Size    = Quantity{"memory", func(s Sample) float64 { return s.Bytes }, ShowBytes}
)

// ShowRate formats a number per second.
func ShowRate(v float64) string { return Thousands(int(v+0.5)) + "/s" }

// ShowSeconds formats a time.
func ShowSeconds(v float64) string {
	switch {
	case v >= 1:
		return fmt.Sprintf("%.2f s", v)
	case v >= 0.1:
		return fmt.Sprintf("%.0f ms", v*1e3)
	case v >= 0.01:
		return fmt.Sprintf("%.1f ms", v*1e3)
	case v >= 0.001:
		return fmt.Sprintf("%.2f ms", v*1e3)
	}
	return fmt.Sprintf("%.1f µs", v*1e6)
}

// ShowBytes formats a number of bytes.
func ShowBytes(v float64) string {
	switch {
	case v >= 1<<20 || v <= -1<<20:
		return fmt.Sprintf("%.1f MiB", v/(1<<20))
	case v >= 10<<10 || v <= -10<<10:
		return fmt.Sprintf("%.1f KiB", v/(1<<10))
	}
	return Thousands(int(v)) + " B"
}

func showShare(v float64) string { return fmt.Sprintf("%.0f %%", 100*v) }

// ShowRatio formats a ratio.
func ShowRatio(v float64) string { return fmt.Sprintf("%.2f", v) }

// ShowMore formats an increase of bytes.
func ShowMore(v float64) string { return fmt.Sprintf("%+.1f MiB", v/(1<<20)) }

// Thousands formats a count with commas.
func Thousands(n int) string { return humanize.Comma(int64(n)) }

// ShortCount formats a count from 1,000 to 999,000 as thousands, such as 20k, if nothing is lost.
func ShortCount(n int) string {
	if n >= 1000 && n%1000 == 0 && n < 1_000_000 {
		return strings.TrimSuffix(strconv.Itoa(n), "000") + "k"
	}
	return Thousands(n)
}

// LatencySample returns a sample with the quantiles of sorted times.
func LatencySample(times []time.Duration) Sample {
	return Sample{P50: quantile(times, 0.5).Seconds(), P99: quantile(times, 0.99).Seconds()}
}

// processors returns the processor time per request, of the gateways, PostgreSQL
// and the load generator.
func (s Sample) processors() float64 { return s.CPU + s.Server + s.Own }

// String lists the figures that were measured.
func (s Sample) String() string {
	var parts []string
	for _, q := range []Quantity{Rate, P50, P99, CPU, Server, Log, Commits, Alloc, Own, Others, Took, Size} {
		if v := q.of(s); v != 0 {
			parts = append(parts, q.name+" "+q.Show(v))
		}
	}
	return strings.Join(parts, ", ")
}
