package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// A sample is the result of one slice, or of another single measurement. Fields that were not
// measured are 0.
type sample struct {
	rate     float64 // per second
	p50, p99 float64 // latency in seconds
	cpu      float64 // processor time of the gateway per event, in seconds
	alloc    float64 // allocated by the gateway per event, in bytes
	own      float64 // processor time of the load generator and the backends per request, in seconds
	others   float64 // share of the machine's processors that other processes used, from 0 to 1
	took     float64 // seconds
	bytes    float64
}

// A quantity is one of the figures of a sample.
type quantity struct {
	name string
	of   func(sample) float64
	show func(float64) string
}

var (
	rate   = quantity{"rate", func(s sample) float64 { return s.rate }, showRate}
	p50    = quantity{"p50", func(s sample) float64 { return s.p50 }, showSeconds}
	p99    = quantity{"p99", func(s sample) float64 { return s.p99 }, showSeconds}
	cpu    = quantity{"CPU", func(s sample) float64 { return s.cpu }, showSeconds}
	alloc  = quantity{"allocated", func(s sample) float64 { return s.alloc }, showBytes}
	own    = quantity{"generator's CPU", func(s sample) float64 { return s.own }, showSeconds}
	others = quantity{"others' CPU", func(s sample) float64 { return s.others }, showShare}
	took   = quantity{"time", func(s sample) float64 { return s.took }, showSeconds}
	size   = quantity{"memory", func(s sample) float64 { return s.bytes }, showBytes}
)

func showRate(v float64) string { return thousands(int(v+0.5)) + "/s" }

func showSeconds(v float64) string {
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

func showBytes(v float64) string {
	switch {
	case v >= 1<<20 || v <= -1<<20:
		return fmt.Sprintf("%.1f MiB", v/(1<<20))
	case v >= 10<<10 || v <= -10<<10:
		return fmt.Sprintf("%.1f KiB", v/(1<<10))
	}
	return thousands(int(v)) + " B"
}

func showShare(v float64) string { return fmt.Sprintf("%.0f %%", 100*v) }

func showRatio(v float64) string { return fmt.Sprintf("%.2f", v) }

// thousands formats a count with commas.
func thousands(n int) string { return humanize.Comma(int64(n)) }

// shortCount formats a count from 1,000 to 999,000 as thousands, such as 20k, if nothing is lost.
func shortCount(n int) string {
	if n >= 1000 && n%1000 == 0 && n < 1_000_000 {
		return strings.TrimSuffix(strconv.Itoa(n), "000") + "k"
	}
	return thousands(n)
}

// latencySample returns a sample with the quantiles of sorted times.
func latencySample(times []time.Duration) sample {
	return sample{p50: quantile(times, 0.5).Seconds(), p99: quantile(times, 0.99).Seconds()}
}
