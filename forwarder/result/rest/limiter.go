package rest

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// DefaultRate is the requests a minute of a client that sets no other.
const DefaultRate = 120

// maxBurst bounds how many requests are sent at once after a pause.
const maxBurst = 5

// A limiter spaces the requests of a client.
type limiter struct{ rate *rate.Limiter }

func newLimiter(perMinute int) limiter {
	limit, burst := limits(perMinute)
	return limiter{rate.NewLimiter(limit, burst)}
}

func limits(perMinute int) (rate.Limit, int) {
	if perMinute <= 0 {
		perMinute = DefaultRate
	}
	burst := min(max(1, perMinute/12), maxBurst)
	refill := perMinute - burst // so that no minute has more, with a burst in it
	if burst == 1 {
		refill = perMinute
	}
	return rate.Limit(float64(refill) / 60), burst
}

func (l limiter) set(perMinute int) {
	limit, burst := limits(perMinute)
	l.rate.SetLimit(limit)
	l.rate.SetBurst(burst)
}

func (l limiter) ready() bool { return l.rate.Tokens() >= 1 }

// wait waits until a request may be sent.
func (l limiter) wait(ctx context.Context) error {
	began := time.Now()
	r := l.rate.Reserve()
	delay := r.DelayFrom(began)
	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			r.Cancel()
		}
	}
	AddWait(ctx, time.Since(began))
	return ctx.Err()
}

type stopwatchKey struct{}

// AddWait adds to what the Stopwatch of a context measures, for a caller that has waited
// for the request of another one.
func AddWait(ctx context.Context, d time.Duration) {
	if w, ok := ctx.Value(stopwatchKey{}).(*atomic.Int64); ok {
		w.Add(int64(d))
	}
}

// Stopwatch returns a context for requests, and a function that returns how long they
// have waited for the rate limit in all.
func Stopwatch(ctx context.Context) (context.Context, func() time.Duration) {
	w := new(atomic.Int64)
	return context.WithValue(ctx, stopwatchKey{}, w), func() time.Duration { return time.Duration(w.Load()) }
}
