package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// pulseGap is the time between two events of a pulse.
const pulseGap = 6 * time.Millisecond

// pulse sends n events, one after the other, and notes how long after it was
// sent each came to the healthy upstream.
func (b *beside) pulse(ctx context.Context, n int) error {
	f := b.fleet()
	c := f.connect()
	defer c.close()
	sent := make(map[string]time.Time, n)
	next := time.Now()
	for range n {
		time.Sleep(time.Until(next))
		b.pulses++
		began := time.Now()
		next = began.Add(pulseGap)
		answer, outcome := f.send(ctx, c, f.post(fmt.Sprintf("pulse-%d", b.pulses), false))
		if !acknowledged(answer) {
			b.book.note(outcome)
			continue
		}
		b.book.acknowledge(answer.ID, nil, answer.Duplicate, time.Since(began))
		sent[answer.ID] = began
	}
	return b.await(ctx, sent)
}

// await waits until the healthy upstream has all of what was sent.
func (b *beside) await(ctx context.Context, sent map[string]time.Time) error {
	for began := time.Now(); len(sent) > 0; time.Sleep(time.Millisecond) {
		for id, at := range sent {
			if came, ok := b.witness.cameAt(id); ok {
				b.lags = append(b.lags, came.Sub(at))
				delete(sent, id)
			}
		}
		if time.Since(began) > fateLimit {
			return fmt.Errorf("the healthy upstream does not have %d events after %s", len(sent), fateLimit)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// A lagRatio compares the healthy upstream's lag beside a bad neighbour with
// that beside a healthy one.
type lagRatio struct {
	median, medianBefore time.Duration
	p99, p99Before       time.Duration
}

func compareLags(now, before []time.Duration) lagRatio {
	return lagRatio{
		median: quantile(now, 0.5), medianBefore: quantile(before, 0.5),
		p99: quantile(now, 0.99), p99Before: quantile(before, 0.99),
	}
}

// quantile is the q-th part of the values from below; 0 where there are none.
func quantile(values []time.Duration, q float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func (l lagRatio) String() string {
	return fmt.Sprintf("lag × %.2f (median %s for %s), p99 × %.2f (%s for %s)",
		ratio(l.median, l.medianBefore), milliseconds(l.median), milliseconds(l.medianBefore),
		ratio(l.p99, l.p99Before), milliseconds(l.p99), milliseconds(l.p99Before))
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(max(b, time.Microsecond)) }

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.1f ms", d.Seconds()*1000) }

// wrong says whether the lag has grown by more than noise explains.
func (l lagRatio) wrong() error {
	if l.median == 0 || l.medianBefore == 0 {
		return errors.New("no lag was measured")
	}
	if l.median > maxLagRatio*l.medianBefore && l.median-l.medianBefore > lagTolerance {
		return fmt.Errorf("the healthy upstream's lag grew: %s", l)
	}
	return nil
}
