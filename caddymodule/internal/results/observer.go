package results

import (
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/scribegate/scribegate/caddymodule/internal/audit"
	"github.com/scribegate/scribegate/caddymodule/internal/logging"
	"github.com/scribegate/scribegate/caddymodule/internal/metrics"
	"github.com/scribegate/scribegate/caddymodule/internal/receive"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/result"
	"github.com/scribegate/scribegate/verifier/event"
)

// An Observer reports the attempts of the stages in the log, the metrics and the audit
// trail. Each configuration has its own, since its loggers end with it.
type Observer struct {
	Logger *zap.Logger
	Audit  audit.Trail
}

// Attempted implements result.Observer.
func (o *Observer) Attempted(r result.Report) { o.attempted(r, false) }

// attempted reports an attempt. newReason is whether its API failed for another reason
// before.
func (o *Observer) attempted(r result.Report, newReason bool) {
	d := r.Outcome.Delivery
	cleanup := queue.IsCleanup(d.Upstream)
	if r.Asked && !cleanup {
		metrics.Fetched(d.Provider, r.Word, r.Outcome.Duration)
	}
	fields := []zap.Field{
		zap.String("event_id", d.EventID), logging.Subject(d.Subject), zap.String("provider", d.Provider), zap.String("type", d.Type),
		zap.Int("attempt", d.Attempts+1), zap.String("reason", string(r.Word)),
	}
	if r.Outcome.Status != 0 {
		fields = append(fields, zap.Int("status", r.Outcome.Status))
	}
	if r.Err != nil {
		fields = append(fields, zap.Error(r.Err))
	}
	switch {
	case r.Outcome.State == queue.Unconfirmed:
		metrics.Unconfirmed(d.Provider)
		o.Audit.Unconfirmed(r.Outcome)
		o.Logger.Error("an event is unconfirmed and is not delivered: "+r.Outcome.Reason+"; likely causes: "+result.LikelyCauses+"; correct the cause, then run: caddy scribegate replay --unconfirmed", fields...)
	case r.Outcome.State == queue.Pending && r.Err == nil && r.Word == result.Done: // a step of a cleanup
	case r.Outcome.State == queue.Pending && cleanup:
		o.Logger.Warn("a result could not be deleted at its provider; deleting is retried", append(fields, zap.Time("next_attempt", r.Outcome.Next))...)
	case r.Outcome.State == queue.Pending:
		level := zapcore.DebugLevel // show has all attempts
		if d.Attempts == 0 || newReason {
			level = zapcore.WarnLevel
		}
		o.Logger.Log(level, "an event could not be completed from its provider's API; the API is asked again", append(fields, zap.Time("next_attempt", r.Outcome.Next))...)
	case r.Outcome.State == queue.Dead:
		o.Logger.Error("a result could not be deleted at its provider and stays there; delete it at the provider, or with the other old results of the handler: caddy scribegate recover soniox --prune 7d", fields...)
	case cleanup:
		o.Audit.ResultDeleted(r.Outcome)
	case r.Unavailable != "":
		o.Audit.Completed(r.Outcome, r.Unavailable)
		o.Logger.Warn("an event is delivered without its transcript, which can be fetched at the provider by hand as long as it is there", append(fields, zap.String("unavailable", r.Unavailable))...)
	case r.Word == result.Unreadable:
		o.Logger.Error("an event could not be read from the queue and is not completed; its deliveries end as dead: see Damage in the documentation", fields...)
	default:
		o.Audit.Completed(r.Outcome, "")
	}
}

// Stored reports an event that the provider's API returned and that is stored now. by is
// who requested it.
func (o *Observer) Stored(e *event.Event, outcome receive.Outcome, by string) {
	o.Audit.Received(e, outcome, by)
	if outcome == receive.Unrouted {
		o.Logger.Warn("a recovered event is not delivered, since no upstream takes its type; add the type to the `events` of an upstream and run `caddy scribegate replay --unrouted`",
			zap.String("event_id", e.ID), logging.Subject(e.Subject), zap.String("type", e.ShortType()), zap.String("source", e.Source))
	}
}

// Paused implements result.Observer.
func (o *Observer) Paused(stage string, until time.Time, cause error) {
	fields := append(stageFields(stage), zap.Error(cause))
	if !until.IsZero() {
		o.Logger.Warn("a provider's API is not asked for a while, as it requested; its events wait", append(fields, zap.Time("until", until))...)
		return
	}
	o.Logger.Error("a provider's API failed repeatedly and is paused; its events wait, and it is asked again after 1 s, then less often, until it answers: see the error for what to check", fields...)
}

// Resumed implements result.Observer.
func (o *Observer) Resumed(stage string) {
	o.Logger.Info("a provider's API is not paused any more", stageFields(stage)...)
}

// Problem implements result.Observer.
func (o *Observer) Problem(stage string, err error) {
	o.Logger.Error("the gateway could not read from its queue which events wait for a provider's API; reading is retried", append(stageFields(stage), zap.Error(err))...)
}

func stageFields(stage string) []zap.Field {
	provider, source := queue.StageOf(stage)
	return []zap.Field{zap.String("provider", provider), zap.String("source", source)}
}

// Interface guards
var _ result.Observer = (*Observer)(nil)
