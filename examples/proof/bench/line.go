package main

import (
	"regexp"

	"github.com/scribegate/scribegate/examples/proof/bench/internal/figures"
)

// lines returns the lines of the table. Their texts contain counts from the options.
func (o options) lines() []figures.Line {
	backlog, many, few := figures.ShortCount(o.backlog()), figures.ShortCount(o.large), figures.ShortCount(o.smallDrain())
	waits := many + " waiting"
	return append([]figures.Line{
		{
			Name: "verify", Text: "verify only (checkpoint in front of `respond`)", Against: "bare `respond`",
			Of: figures.Of("verify", figures.Rate), Base: figures.Once("respond", figures.Rate),
			Least: 0.60, Aim: 0.80, Unit: figures.ShowRatio,
		}, {
			Name: "accept", Text: "durable accept, upstream paused", Against: "bare `respond`",
			Of: figures.Of("accept", figures.Rate), Base: figures.Once("respond", figures.Rate),
			Least: 0.35, Aim: 0.60, Unit: figures.ShowRatio,
		}, {
			Name: "latency", Text: "durable accept, 1 connection, p50", Against: "two fdatasyncs + bare `respond` p50",
			Of: figures.Of("accept-1", figures.P50), Base: []figures.Term{{Times: 2, Figure: figures.Of("fdatasync", figures.P50)}, {Times: 1, Figure: figures.Of("respond-1", figures.P50)}},
			Least: 1.6, Aim: 1.2, Less: true, Unit: figures.ShowRatio,
		}, {
			Name: "deliver-url", Text: "accept and deliver, URL upstream, steady", Against: "bare `reverse_proxy`",
			Of: figures.Of("deliver-url", figures.Rate), Base: figures.Once("proxy", figures.Rate),
			Least: 0.75, Aim: 1.1, Unit: figures.ShowRatio,
		}, {
			Name: "deliver-route", Text: "accept and deliver, `route` with `reverse_proxy`, steady", Against: "bare `reverse_proxy`",
			Of: figures.Of("deliver-route", figures.Rate), Base: figures.Once("proxy", figures.Rate),
			Least: 0.50, Aim: 0.75, Unit: figures.ShowRatio,
		}, {
			Name: "hanging", Text: "p99 of accepting, upstream hangs, " + backlog + " wait", Against: "the same, nothing waits",
			Of: figures.Of("hanging", figures.P99), Base: figures.Once("hanging-empty", figures.P99),
			Least: 1.3, Aim: 1.1, Less: true, Unit: figures.ShowRatio,
		}, {
			Name: "drain", Text: "drain of " + many + " waiting", Against: "drain of " + few,
			Of: figures.Of("drain", figures.Rate), Base: figures.Once("drain-small", figures.Rate),
			Least: 0.80, Aim: 1.0, Unit: figures.ShowRatio,
		}, {
			Name: "memory", Text: "RssAnon with " + waits, Against: "with none",
			Of:    figures.Of("memory", figures.Size),
			Least: 64 << 20, Aim: 16 << 20, Less: true, Unit: figures.ShowMore,
		}, {
			Name: "start-warm", Text: "start to first delivery, " + waits + ", warm",
			Of:    figures.Of("start-warm", figures.Took),
			Least: 2, Aim: 0.5, Less: true, Unit: figures.ShowSeconds,
		}, {
			Name: "start-cold", Text: "start to first delivery, " + waits + ", cold page cache",
			Of:    figures.Of("start-cold", figures.Took),
			Least: 2, Aim: 0.5, Less: true, Unit: figures.ShowSeconds,
		}, {
			Name: "forged", Text: "reject forged requests", Against: "bare `respond`",
			Of: figures.Of("forged", figures.Rate), Base: figures.Once("respond", figures.Rate),
			Least: 0.75, Aim: 0.90, Unit: figures.ShowRatio,
		}, {
			Name: "soniox", Text: "durable accept of Soniox's, 0.1 kB", Against: "bare `respond`",
			Of: figures.Of("accept-soniox", figures.Rate), Base: figures.Once("respond-soniox", figures.Rate),
			Unit: figures.ShowRatio,
		}, {
			Name: "cpu", Text: "CPU per accepted event", Against: "bare `respond`",
			Of: figures.Of("accept", figures.CPU), Base: figures.Once("respond", figures.CPU), Less: true,
			Unit: figures.ShowRatio,
		}, {
			Name: "alloc", Text: "memory allocated per accepted event", Against: "bare `respond`",
			Of: figures.Of("accept", figures.Alloc), Base: figures.Once("respond", figures.Alloc), Less: true,
			Unit: figures.ShowRatio,
		},
	}, postgresLines()...)
}

// needed returns the names of the measurements that lines need, without those that are left out.
func (o options) needed(lines []figures.Line) map[string]bool {
	all := needs(lines)
	for _, m := range postgresMeasurements {
		if o.noPostgres {
			delete(all, m.name)
		}
	}
	return all
}

// choose returns the lines whose names match the expression.
func choose(all []figures.Line, which *regexp.Regexp) []figures.Line {
	var chosen []figures.Line
	for _, l := range all {
		if which.MatchString(l.Name) {
			chosen = append(chosen, l)
		}
	}
	return chosen
}

// needs returns the names of the measurements that lines need. The load generator is always
// measured.
func needs(lines []figures.Line) map[string]bool {
	needed := map[string]bool{"generator": true}
	for _, l := range lines {
		needed[l.Of.Measurement] = true
		for _, t := range l.Base {
			needed[t.Measurement] = true
		}
	}
	return needed
}
