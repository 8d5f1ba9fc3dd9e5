package upstreams

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/load"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/table"
)

// lagGap is the time between two events of measureLag.
const lagGap = 6 * time.Millisecond

// measureLag sends n events, one after the other, and measures the time until the healthy upstream has
// received each of them.
func (b *neighbors) measureLag(ctx context.Context, n int) error {
	f := b.Fleet()
	c := f.Connect()
	defer c.Close()
	sent := make(map[string]time.Time, n)
	next := time.Now()
	for range n {
		time.Sleep(time.Until(next))
		b.measured++
		began := time.Now()
		next = began.Add(lagGap)
		answer, outcome := f.Send(ctx, c, f.Post(fmt.Sprintf("lag-%d", b.measured), false))
		if !load.Acknowledged(answer) {
			b.book.Record(outcome)
			continue
		}
		b.book.Acknowledge(answer.ID, nil, answer.Duplicate, time.Since(began))
		sent[answer.ID] = began
	}
	return b.await(ctx, sent)
}

// await waits until the healthy upstream has received all sent events.
func (b *neighbors) await(ctx context.Context, sent map[string]time.Time) error {
	for began := time.Now(); len(sent) > 0; time.Sleep(time.Millisecond) {
		for id, at := range sent {
			if came, ok := b.proxy.CameAt(id); ok {
				b.lags = append(b.lags, came.Sub(at))
				delete(sent, id)
			}
		}
		if time.Since(began) > stateLimit {
			return fmt.Errorf("%d events are missing at the healthy upstream after %s", len(sent), stateLimit)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// A lagRatio compares the healthy upstream's lag when the other upstream is bad and when it is
// healthy.
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

// quantile returns the q-quantile of values, or 0 if there are none.
func quantile(values []time.Duration, q float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func (l lagRatio) String() string {
	return fmt.Sprintf("lag × %.2f (median %s for %s), p99 × %.2f (%s for %s)",
		ratio(l.median, l.medianBefore), table.Milliseconds(l.median), table.Milliseconds(l.medianBefore),
		ratio(l.p99, l.p99Before), table.Milliseconds(l.p99), table.Milliseconds(l.p99Before))
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(max(b, time.Microsecond)) }

// wrong returns an error if the lag has grown more than noise explains.
func (l lagRatio) wrong() error {
	if l.median == 0 || l.medianBefore == 0 {
		return errors.New("no lag was measured")
	}
	if l.median > maxLagRatio*l.medianBefore && l.median-l.medianBefore > lagTolerance {
		return fmt.Errorf("the healthy upstream's lag has grown: %s", l)
	}
	return nil
}
