package caddymodule

import (
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/dustin/go-humanize"
	"go.uber.org/zap"
)

// Values below these are valid, but most likely have the wrong unit, and would lose notes: 30ms
// instead of 30s, 14m instead of 14d, or 10 instead of 10MiB.
const (
	unlikelyTimeout       = caddy.Duration(time.Second)
	unlikelyRetry         = caddy.Duration(time.Minute) // all waits together
	unlikelyDeadRetention = caddy.Duration(time.Hour)
	unlikelyMaxSize       = 1 << 20
	unlikelyMaxBody       = 1000 // the divisor of the provider's default
)

// warnUnlikely logs a warning for the value of an option.
func warnUnlikely(logger *zap.Logger, option, value, consequence string) {
	logger.Warn("an option has an unlikely value; check its unit",
		zap.String("option", option), zap.String("value", value), zap.String("consequence", consequence))
}

// warnUnlikely logs a warning for each unlikely value of the app. The app must have been
// provisioned.
func (a *App) warnUnlikely() {
	if a.DeadRetention < unlikelyDeadRetention {
		warnUnlikely(a.logger, "dead_retention", time.Duration(a.DeadRetention).String(), "dead and quarantined events are deleted before anybody could replay them")
	}
	if size := a.engine.MaxSize(); size > 0 && size < unlikelyMaxSize {
		warnUnlikely(a.logger, "max_size", bytesOf(size), "the queue is soon full, and refuses events with 503")
	}
	for _, u := range a.Upstreams {
		if u.Timeout < unlikelyTimeout {
			warnUnlikely(a.logger, "timeout of upstream "+u.Name, time.Duration(u.Timeout).String(), "attempts end before most backends answer")
		}
		var waits caddy.Duration
		for _, wait := range u.Retry {
			waits += wait
		}
		if waits < unlikelyRetry {
			warnUnlikely(a.logger, "retry of upstream "+u.Name, time.Duration(waits).String()+" in all", "an event is dead after its backend has answered with errors for this long; retry lists every wait")
		}
	}
}

// warnUnlikely logs a warning for each unlikely value of the handler.
func (h *Handler) warnUnlikely(defaultMaxBody int64) {
	if h.MaxBody < defaultMaxBody/unlikelyMaxBody {
		warnUnlikely(h.logger, "max_body of "+h.provider.Name(), bytesOf(h.MaxBody), "genuine requests are refused with 413")
	}
}

func bytesOf(n int64) string { return humanize.IBytes(uint64(n)) }
