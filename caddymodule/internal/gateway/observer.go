package gateway

import (
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/scribegate/scribegate/caddymodule/internal/activity"
	"github.com/scribegate/scribegate/caddymodule/internal/audit"
	"github.com/scribegate/scribegate/caddymodule/internal/logging"
	"github.com/scribegate/scribegate/caddymodule/internal/metrics"
	"github.com/scribegate/scribegate/caddymodule/internal/notify"
	"github.com/scribegate/scribegate/forwarder"
	"github.com/scribegate/scribegate/forwarder/queue"
)

// An Observer reports the deliveries of the dispatcher in the log, the metrics, the recent
// activity, the audit trail, and as Caddy events. Each configuration has its own, since its
// loggers and its subscribers end with it.
type Observer struct {
	Logger *zap.Logger
	Audit  audit.Trail
	Notify func(name string, data map[string]any)
}

// Attempted implements forwarder.Observer. It logs a warning for an attempt that will be
// repeated, and an error for one that was the last. An attempt that succeeded is in the audit
// trail only, which goes to the default log unless it has a file of its own.
func (o *Observer) Attempted(r forwarder.AttemptReport) {
	logging.KeepUpstreamsSilenced() // a configuration that was rejected may have undone it
	metrics.Attempt(r.Outcome, r.Lag)
	activity.Process.Attempt(r.Outcome.Delivery.Upstream, r.Outcome.State == queue.Delivered, r.Lag, time.Now())
	o.settled(r.Outcome)
	var level zapcore.Level
	var message string
	switch r.Outcome.State {
	case queue.Delivered:
		return
	case queue.Dead:
		level, message = zapcore.ErrorLevel, "an event is dead: its upstream did not take it; see it with: caddy scribegate show, send it again with: caddy scribegate replay"
	default:
		level, message = zapcore.WarnLevel, "a delivery failed and will be tried again"
	}
	entry := o.Logger.Check(level, message)
	if entry == nil {
		return
	}
	d := r.Outcome.Delivery
	fields := []zap.Field{
		zap.String("event_id", d.EventID),
		logging.Subject(d.Subject),
		zap.String("provider", d.Provider),
		zap.String("type", d.Type),
		zap.String("upstream", d.Upstream),
		zap.Int("attempt", d.Attempts+1),
		zap.String("reason", string(r.Outcome.Result)),
		zap.Duration("duration", r.Outcome.Duration),
	}
	if r.Outcome.Status != 0 {
		fields = append(fields, zap.Int("status", r.Outcome.Status))
	}
	if r.Err != nil {
		fields = append(fields, zap.Error(r.Err))
	} else if r.Outcome.Status == 0 {
		fields = append(fields, zap.String("error", "the route answered nothing"))
	}
	if r.Outcome.State == queue.Pending {
		fields = append(fields, zap.Time("next_attempt", r.Outcome.Next))
	}
	entry.Write(fields...)
}

// settled reports a delivery that has ended, if it has.
func (o *Observer) settled(out queue.Outcome) {
	if out.State == queue.Pending {
		return
	}
	o.Audit.Settled(out)
	if d := out.Delivery; out.State == queue.Dead {
		o.Notify(notify.DeadLetter, map[string]any{
			"event_id": d.EventID, "provider": d.Provider, "upstream": d.Upstream, "reason": string(out.Result),
		})
	}
}

// Paused implements forwarder.Observer.
func (o *Observer) Paused(upstream string, until time.Time, cause error) {
	fields := []zap.Field{zap.String("upstream", upstream)}
	if cause != nil {
		fields = append(fields, zap.Error(cause))
	}
	if until.IsZero() {
		o.Notify(notify.UpstreamPaused, map[string]any{"upstream": upstream, "reason": "failures"})
		o.Logger.Warn("an upstream is paused after repeated failures and is probed; the first answer other than a 5xx ends the pause", fields...)
		return
	}
	o.Notify(notify.UpstreamPaused, map[string]any{"upstream": upstream, "reason": "retry_after"})
	o.Logger.Warn("an upstream is paused, as it requested with Retry-After", append(fields, zap.Time("until", until))...)
}

// Resumed implements forwarder.Observer.
func (o *Observer) Resumed(upstream string) {
	o.Logger.Info("an upstream is no longer paused", zap.String("upstream", upstream))
	o.Notify(notify.UpstreamResumed, map[string]any{"upstream": upstream})
}

// Problem implements forwarder.Observer.
func (o *Observer) Problem(upstream string, err error) {
	o.Logger.Error("the queue could not be read for an upstream; reading is retried", zap.String("upstream", upstream), zap.Error(err))
}

// lastAttempts is the observer of a configuration that has stopped. Its upstreams are removed,
// which ends no pause.
type lastAttempts struct{ forwarder.Observer }

// Resumed implements forwarder.Observer.
func (lastAttempts) Resumed(string) {}

// Interface guards
var (
	_ forwarder.Observer = (*Observer)(nil)
	_ forwarder.Observer = lastAttempts{}
)
