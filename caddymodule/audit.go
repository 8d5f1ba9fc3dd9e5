package caddymodule

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier"
	"github.com/scribegate/scribegate/verifier/event"
)

// auditName is the name of the audit trail's logger below the app's:
// scribegate.audit.
const auditName = "audit"

// An action is the message of a line of the audit trail. The set is closed: the
// outcome of a request, what was done to an event after that, or lines of the
// trail itself that are missing.
type action string

const (
	actionAccepted            = action(outcomeAccepted)
	actionDuplicate           = action(outcomeDuplicate)
	actionUnrouted            = action(outcomeUnrouted)
	actionDropped             = action(outcomeDropped)
	actionPassed              = action(outcomePassed)
	actionRejected            = action(outcomeRejected)
	actionQuarantined  action = "quarantined"
	actionDelivered    action = "delivered"
	actionDead         action = "dead"
	actionReplayed     action = "replayed"
	actionPurged       action = "purged"
	actionPayloadRead  action = "payload_read"
	actionBackedUp     action = "backed_up"
	actionLinesDropped action = "lines_dropped"
)

// audit writes the audit trail: what became of which event, when, and by whom.
// It goes through Caddy's logging, so that the Caddyfile says where it is kept.
// Its lines hold ids, names and numbers of ours, and addresses; nothing of a
// payload, a query string or a header but the admin API's Origin.
type audit struct {
	logger *zap.Logger
}

// newAudit takes the logger from the configuration, whatever module asks.
func newAudit(ctx caddy.Context) audit {
	return audit{logsOf(ctx).audit.wrap(ctx.Logger(new(App)).Named(auditName))}
}

// write writes a line. Fields stand in one order everywhere: the event, what
// happened to it, how many, and by whom.
func (a audit) write(what action, fields ...zap.Field) {
	a.logger.Info(string(what), fields...)
}

func (a audit) enabled() bool { return a.logger.Core().Enabled(zapcore.InfoLevel) }

func (a audit) received(e *event.Event, o outcome, client string) {
	if !a.enabled() {
		return
	}
	a.write(action(o), zap.String("event_id", e.ID), subject(e.Subject), zap.String("provider", e.Provider), zap.String("type", e.ShortType()), zap.String("by", client))
}

func (a audit) quarantined(e *event.Event, client string) {
	a.write(actionQuarantined, zap.String("event_id", e.ID), subject(e.Subject), zap.String("provider", e.Provider), zap.String("type", e.ShortType()), zap.String("by", client))
}

// rejected writes the line of a rejected request. The event is nil unless the
// request was genuine.
func (a audit) rejected(provider string, reason verifier.Reason, e *event.Event, client string) {
	fields := make([]zap.Field, 0, 5)
	if e != nil {
		fields = append(fields, zap.String("event_id", e.ID), subject(e.Subject))
	}
	a.write(actionRejected, append(fields, zap.String("provider", provider), zap.String("reason", string(reason)), zap.String("by", client))...)
}

// suppressed writes one line for n rejected requests that have no line of their own.
func (a audit) suppressed(provider string, reason verifier.Reason, n int) {
	a.write(actionRejected, zap.String("provider", provider), zap.String("reason", string(reason)), zap.Int("left_out", n))
}

// settled writes the line of a delivery that has ended.
func (a audit) settled(o queue.Outcome) {
	if !a.enabled() {
		return
	}
	d := o.Delivery
	fields := append(make([]zap.Field, 0, 8),
		zap.String("event_id", d.EventID), subject(d.Subject), zap.String("provider", d.Provider), zap.String("type", d.Type),
		zap.String("upstream", d.Upstream), zap.Int("attempt", d.Attempts+1))
	if o.State == queue.Delivered {
		a.write(actionDelivered, append(fields, zap.Int("status", o.Status), zap.Duration("duration", o.Duration))...)
		return
	}
	a.write(actionDead, append(fields, zap.String("reason", string(o.Result)))...)
}

func (a audit) replayed(s queue.ReplaySelection, upstream string, done queue.Replayed, err error, r *http.Request) {
	if refused(err) {
		return
	}
	var fields []zap.Field
	switch {
	case len(s.IDs) > 0:
		fields = append(fields, zap.Strings("event_ids", s.IDs))
	case s.State != "":
		fields = append(fields, zap.String("selection", string(s.State)))
	default:
		fields = append(fields, zap.String("selection", "since"), at("since", s.Since))
	}
	if upstream != "" {
		fields = append(fields, zap.String("upstream", upstream))
	}
	fields = append(fields, zap.Int("deliveries", done.Deliveries), zap.Int("without_payload", done.WithoutPayload))
	if done.Unrouted > 0 {
		fields = append(fields, zap.Int("unrouted", done.Unrouted))
	}
	a.asked(actionReplayed, r, append(fields, unfinished(err)...)...)
}

func (a audit) purged(s queue.PurgeSelection, n int, err error, r *http.Request) {
	if refused(err) {
		return
	}
	var fields []zap.Field
	switch {
	case len(s.IDs) > 0:
		fields = append(fields, zap.Strings("event_ids", s.IDs))
	case s.State != "":
		fields = append(fields, zap.String("selection", string(s.State)))
	default:
		fields = append(fields, zap.String("selection", "upstream"), zap.String("upstream", s.Upstream))
	}
	if s.Force {
		fields = append(fields, zap.Bool("force", true))
	}
	if !s.Before.IsZero() {
		fields = append(fields, at("before", s.Before))
	}
	a.asked(actionPurged, r, append(append(fields, zap.Int("events", n)), unfinished(err)...)...)
}

// at is a time of a selection.
func at(name string, t time.Time) zap.Field {
	return zap.String(name, t.UTC().Format(time.RFC3339))
}

// refused reports whether an error says that nothing was changed.
func refused(err error) bool {
	return errors.Is(err, queue.ErrNotFound) || errors.Is(err, queue.ErrNoPayload) ||
		errors.Is(err, queue.ErrPending) || errors.Is(err, queue.ErrInvalid) || errors.Is(err, queue.ErrUnrouted) ||
		errors.Is(err, queue.ErrClosed)
}

// unfinished marks what was begun and broken off, such as by a client that went
// away: so many events are known to be done, and more may be.
func unfinished(err error) []zap.Field {
	if err == nil {
		return nil
	}
	return []zap.Field{zap.Bool("unfinished", true)}
}

func (a audit) payloadRead(rec queue.Record, r *http.Request) {
	a.asked(actionPayloadRead, r, zap.String("event_id", rec.ID), subject(rec.Subject), zap.String("provider", rec.Provider), zap.String("type", rec.Type))
}

// backedUp writes the line of a copy of the queue, or of the part of it that was sent.
func (a audit) backedUp(bytes int64, err error, r *http.Request) {
	a.asked(actionBackedUp, r, append([]zap.Field{zap.Int64("bytes", bytes)}, unfinished(err)...)...)
}

// asked tells of what was done through the admin API: from which address, and
// from which site, where a browser says so.
func (a audit) asked(what action, r *http.Request, fields ...zap.Field) {
	fields = append(fields, zap.String("by", r.RemoteAddr))
	if origin := r.Header.Get("Origin"); origin != "" {
		fields = append(fields, zap.String("origin", onlyOrigin(origin)))
	}
	a.write(what, fields...)
}

// onlyOrigin keeps of an Origin header what an origin has.
func onlyOrigin(header string) string {
	u, err := url.Parse(header)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return "invalid"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host}).String()
}
