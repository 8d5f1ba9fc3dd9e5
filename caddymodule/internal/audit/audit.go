package audit

import (
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/scribegate/scribegate/caddymodule/internal/chain"
	"github.com/scribegate/scribegate/caddymodule/internal/logging"
	"github.com/scribegate/scribegate/caddymodule/internal/receive"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier"
	"github.com/scribegate/scribegate/verifier/event"
)

// An Action is the message of a line of the audit trail. The set is closed: the
// outcome of a request, an operation on an event, or the start, the end or missing lines of the
// trail itself.
type Action string

// The actions.
const (
	Accepted      = Action(receive.Accepted)
	Duplicate     = Action(receive.Duplicate)
	Unrouted      = Action(receive.Unrouted)
	Dropped       = Action(receive.Dropped)
	Passed        = Action(receive.Passed)
	Rejected      = Action(receive.Rejected)
	Quarantined   = Action("quarantined")
	Delivered     = Action("delivered")
	Dead          = Action("dead")
	Replayed      = Action("replayed")
	Purged        = Action("purged")
	PayloadRead   = Action("payload_read")
	BackedUp      = Action("backed_up")
	Completed     = Action("completed")
	Unconfirmed   = Action("unconfirmed")
	ResultDeleted = Action("result_deleted")
	Recovered     = Action("recovered")
	Started       = Action(chain.Started)
	Stopped       = Action(chain.Stopped)
	LinesDropped  = Action(chain.LinesDropped)
)

// A Trail writes the lines of the audit trail.
type Trail struct {
	logger *zap.Logger
}

// New returns a trail that writes to a logger, such as that of [logging.Audit].
func New(logger *zap.Logger) Trail { return Trail{logger} }

// write writes a line. The order of the fields is the same everywhere: the event, its
// properties, the counts, and by whom.
func (t Trail) write(what Action, fields ...zap.Field) {
	t.logger.Info(string(what), fields...)
}

// Stopped writes the last line of a process.
func (t Trail) Stopped() { t.write(Stopped) }

func (t Trail) enabled() bool { return t.logger.Core().Enabled(zapcore.InfoLevel) }

// Received writes the line of a genuine request.
func (t Trail) Received(e *event.Event, o receive.Outcome, client string) {
	if !t.enabled() {
		return
	}
	t.write(Action(o), zap.String("event_id", e.ID), logging.Subject(e.Subject), zap.String("provider", e.Provider), zap.String("type", e.ShortType()), zap.String("by", client))
}

// Quarantined writes the line of an event that was quarantined.
func (t Trail) Quarantined(e *event.Event, client string) {
	t.write(Quarantined, zap.String("event_id", e.ID), logging.Subject(e.Subject), zap.String("provider", e.Provider), zap.String("type", e.ShortType()), zap.String("by", client))
}

// Rejected writes the line of a rejected request. The event is nil unless the
// request was genuine.
func (t Trail) Rejected(provider string, reason verifier.Reason, e *event.Event, client string) {
	fields := make([]zap.Field, 0, 5)
	if e != nil {
		fields = append(fields, zap.String("event_id", e.ID), logging.Subject(e.Subject))
	}
	t.write(Rejected, append(fields, zap.String("provider", provider), zap.String("reason", string(reason)), zap.String("by", client))...)
}

// Suppressed writes one line for n rejected requests that have no line of their own.
func (t Trail) Suppressed(provider string, reason verifier.Reason, n int) {
	t.write(Rejected, zap.String("provider", provider), zap.String("reason", string(reason)), zap.Int("left_out", n))
}

// Settled writes the line of a delivery that has ended.
func (t Trail) Settled(o queue.Outcome) {
	if !t.enabled() {
		return
	}
	d := o.Delivery
	fields := append(make([]zap.Field, 0, 8),
		zap.String("event_id", d.EventID), logging.Subject(d.Subject), zap.String("provider", d.Provider), zap.String("type", d.Type),
		zap.String("upstream", d.Upstream), zap.Int("attempt", d.Attempts+1))
	if o.State == queue.Delivered {
		t.write(Delivered, append(fields, zap.Int("status", o.Status), zap.Duration("duration", o.Duration))...)
		return
	}
	t.write(Dead, append(fields, zap.String("reason", string(o.Result)))...)
}

// Completed writes the line of an event that its provider's API has confirmed. unavailable
// is why it has no transcript, or "".
func (t Trail) Completed(o queue.Outcome, unavailable string) {
	fields := ofStage(o)
	if unavailable != "" {
		fields = append(fields, zap.String("unavailable", unavailable))
	}
	t.write(Completed, fields...)
}

// Unconfirmed writes the line of an event that its provider's API does not confirm.
func (t Trail) Unconfirmed(o queue.Outcome) {
	t.write(Unconfirmed, append(ofStage(o), zap.String("reason", o.Reason))...)
}

// ResultDeleted writes the line of a result that was deleted at its provider.
func (t Trail) ResultDeleted(o queue.Outcome) { t.write(ResultDeleted, ofStage(o)...) }

func ofStage(o queue.Outcome) []zap.Field {
	d := o.Delivery
	return []zap.Field{
		zap.String("event_id", d.EventID), logging.Subject(d.Subject), zap.String("provider", d.Provider), zap.String("type", d.Type),
		zap.Int("attempt", d.Attempts+1),
	}
}
