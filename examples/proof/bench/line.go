package main

import (
	"fmt"
	"regexp"
)

// A line is a row of the table: a figure, the figures to compare it with, and the goal.
type line struct {
	name    string
	text    string
	against string
	of      figure
	base    []term               // their sum is compared with the figure; if empty, the figure is not compared
	least   float64              // the goal; 0 if the line has none
	aim     float64              // a better value to aim at
	less    bool                 // whether less is better
	unit    func(float64) string // formats the ratio and the goal
}

// A figure is a quantity of a measurement.
type figure struct {
	measurement string
	quantity    quantity
}

// A term is a multiple of a figure.
type term struct {
	times float64
	figure
}

// once returns a base of one figure.
func once(measurement string, q quantity) []term {
	return []term{{1, figure{measurement, q}}}
}

// lines returns the lines of the table. Their texts contain counts from the options.
func (o options) lines() []line {
	backlog, many, few := shortCount(o.backlog()), shortCount(o.large), shortCount(o.smallDrain())
	waits := many + " waiting"
	return []line{
		{"verify", "verify only (checkpoint in front of `respond`)", "bare `respond`", figure{"verify", rate}, once("respond", rate), 0.60, 0.80, false, showRatio},
		{"accept", "durable accept, upstream paused", "bare `respond`", figure{"accept", rate}, once("respond", rate), 0.35, 0.60, false, showRatio},
		{"latency", "durable accept, 1 connection, p50", "two fdatasyncs + bare `respond` p50", figure{"accept-1", p50}, []term{{2, figure{"fdatasync", p50}}, {1, figure{"respond-1", p50}}}, 1.6, 1.2, true, showRatio},
		{"deliver-url", "accept and deliver, URL upstream, steady", "bare `reverse_proxy`", figure{"deliver-url", rate}, once("proxy", rate), 0.75, 1.1, false, showRatio},
		{"deliver-route", "accept and deliver, `route` with `reverse_proxy`, steady", "bare `reverse_proxy`", figure{"deliver-route", rate}, once("proxy", rate), 0.50, 0.75, false, showRatio},
		{"hanging", "p99 of accepting, upstream hangs, " + backlog + " wait", "the same, nothing waits", figure{"hanging", p99}, once("hanging-empty", p99), 1.3, 1.1, true, showRatio},
		{"drain", "drain of " + many + " waiting", "drain of " + few, figure{"drain", rate}, once("drain-small", rate), 0.80, 1.0, false, showRatio},
		{"memory", "RssAnon with " + waits, "with none", figure{"memory", size}, nil, 64 << 20, 16 << 20, true, showMore},
		{"start-warm", "start to first delivery, " + waits + ", warm", "", figure{"start-warm", took}, nil, 2, 0.5, true, showSeconds},
		{"start-cold", "start to first delivery, " + waits + ", cold page cache", "", figure{"start-cold", took}, nil, 2, 0.5, true, showSeconds},
		{"forged", "reject forged requests", "bare `respond`", figure{"forged", rate}, once("respond", rate), 0.75, 0.90, false, showRatio},
		{"soniox", "durable accept of Soniox's, 0.1 kB", "bare `respond`", figure{"accept-soniox", rate}, once("respond-soniox", rate), 0, 0, false, showRatio},
		{"cpu", "CPU per accepted event", "bare `respond`", figure{"accept", cpu}, once("respond", cpu), 0, 0, true, showRatio},
		{"alloc", "memory allocated per accepted event", "bare `respond`", figure{"accept", alloc}, once("respond", alloc), 0, 0, true, showRatio},
	}
}

// showMore formats an increase of bytes.
func showMore(v float64) string { return fmt.Sprintf("%+.1f MiB", v/(1<<20)) }

// choose returns the lines whose names match the expression.
func choose(all []line, which *regexp.Regexp) []line {
	var chosen []line
	for _, l := range all {
		if which.MatchString(l.name) {
			chosen = append(chosen, l)
		}
	}
	return chosen
}

// needs returns the names of the measurements that lines need. The load generator is always
// measured.
func needs(lines []line) map[string]bool {
	needed := map[string]bool{"generator": true}
	for _, l := range lines {
		needed[l.of.measurement] = true
		for _, t := range l.base {
			needed[t.measurement] = true
		}
	}
	return needed
}
