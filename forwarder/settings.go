package forwarder

import (
	"context"
	"fmt"
	"math"

	"golang.org/x/time/rate"
)

// settings are those of an upstream, with defaults. They never change.
type settings struct {
	Upstream

	timedOut error // the cause when an attempt exceeds Timeout
}

func newSettings(up Upstream) *settings {
	if up.Format == "" {
		up.Format = Structured
	}
	if up.Timeout <= 0 {
		up.Timeout = DefaultTimeout
	}
	if up.Concurrency <= 0 {
		up.Concurrency = DefaultConcurrency
	}
	if up.Retry == nil {
		up.Retry = DefaultRetry
	}
	return &settings{
		Upstream: up,
		timedOut: fmt.Errorf("no final status within the upstream's timeout of %s: %w", up.Timeout, context.DeadlineExceeded),
	}
}

// newLimiter returns a limiter that admits RateLimit attempts per second, and bursts
// of a hundredth of that, so that a high rate needs no finer timer.
func (s *settings) newLimiter() *rate.Limiter {
	if s.RateLimit <= 0 {
		return rate.NewLimiter(rate.Inf, math.MaxInt)
	}
	return rate.NewLimiter(rate.Limit(s.RateLimit), max(1, int(math.Ceil(s.RateLimit/100))))
}
