package audit

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/scribegate/scribegate/caddymodule/internal/logging"
	"github.com/scribegate/scribegate/forwarder/queue"
)

// An Actor is the client that requested an operation.
type Actor struct {
	By     string // the remote address
	User   string // the authenticated user of the console; "" for the admin API
	Origin string // the request's Origin header; "" if it has none
}

// ActorOf returns the client of a request, without a user.
func ActorOf(r *http.Request) Actor {
	return Actor{By: r.RemoteAddr, Origin: r.Header.Get("Origin")}
}

// Replayed writes the line of a replay. matched describes the selection's Match; it is empty
// if there is none.
func (t Trail) Replayed(s queue.ReplaySelection, matched []zap.Field, done queue.Replayed, err error, by Actor) {
	if done == (queue.Replayed{}) && refused(err) {
		return
	}
	fields := selected(s.IDs, s.State, at("since", s.Since))
	if len(s.Upstreams) > 0 {
		fields = append(fields, zap.String("upstream", strings.Join(s.Upstreams, ", ")))
	}
	fields = append(append(fields, matched...), zap.Int("deliveries", done.Deliveries), zap.Int("without_payload", done.WithoutPayload))
	if done.Unrouted > 0 {
		fields = append(fields, zap.Int("unrouted", done.Unrouted))
	}
	t.asked(Replayed, by, append(fields, unfinished(err)...)...)
}

// Purged writes the line of a purge. matched describes the selection's Match; it is empty if
// there is none.
func (t Trail) Purged(s queue.PurgeSelection, matched []zap.Field, n int, err error, by Actor) {
	if n == 0 && refused(err) {
		return
	}
	fields := selected(s.IDs, s.State, zap.String("upstream", s.Upstream))
	if s.Force {
		fields = append(fields, zap.Bool("force", true))
	}
	if !s.Before.IsZero() {
		fields = append(fields, at("before", s.Before))
	}
	fields = append(fields, matched...)
	t.asked(Purged, by, append(append(fields, zap.Int("events", n)), unfinished(err)...)...)
}

// selected returns the fields of a selection: by ids, by state, by both, or by another field.
func selected(ids []string, state queue.State, other zap.Field) (fields []zap.Field) {
	if state != "" {
		fields = append(fields, zap.String("selection", string(state)))
	}
	if len(ids) > 0 {
		fields = append(fields, zap.Strings("event_ids", ids))
	}
	if len(fields) == 0 {
		return []zap.Field{zap.String("selection", other.Key), other}
	}
	return fields
}

// at returns the field of a time in a selection.
func at(name string, t time.Time) zap.Field {
	return zap.String(name, t.UTC().Format(time.RFC3339))
}

// refused reports whether the queue returned an error because of what was asked for, or because
// it is closed. If nothing was done either, there is nothing to record.
func refused(err error) bool {
	return errors.Is(err, queue.ErrNotFound) || errors.Is(err, queue.ErrNoPayload) ||
		errors.Is(err, queue.ErrPending) || errors.Is(err, queue.ErrInvalid) || errors.Is(err, queue.ErrUnrouted) ||
		errors.Is(err, queue.ErrClosed)
}

// unfinished returns the field of an operation that was cut off, such as by a client that
// closed the connection, or by the stop of Caddy. The line then counts the events that are known to be done; there
// may be more.
func unfinished(err error) []zap.Field {
	if err == nil {
		return nil
	}
	return []zap.Field{zap.Bool("unfinished", true)}
}

// Recovered writes the line of a recovery from a provider's API, or of a deletion there.
func (t Trail) Recovered(provider string, pruned bool, done, failed int, err error, by Actor) {
	what := Recovered
	if pruned {
		what = ResultDeleted
	}
	t.asked(what, by, append([]zap.Field{zap.String("provider", provider), zap.Int("results", done), zap.Int("failed", failed)}, unfinished(err)...)...)
}

// PayloadRead writes the line of a payload that the admin API returned.
func (t Trail) PayloadRead(rec queue.Record, by Actor) {
	t.asked(PayloadRead, by, zap.String("event_id", rec.ID), logging.Subject(rec.Subject), zap.String("provider", rec.Provider), zap.String("type", rec.Type))
}

// BackedUp writes the line of a copy of the queue, or of the part of it that was sent.
func (t Trail) BackedUp(bytes int64, err error, by Actor) {
	t.asked(BackedUp, by, append([]zap.Field{zap.Int64("bytes", bytes)}, unfinished(err)...)...)
}

// asked writes the line of an operation, with the actor.
func (t Trail) asked(what Action, by Actor, fields ...zap.Field) {
	fields = append(fields, zap.String("by", by.By))
	if by.User != "" {
		fields = append(fields, zap.String("user", by.User))
	}
	if by.Origin != "" {
		fields = append(fields, zap.String("origin", onlyOrigin(by.Origin)))
	}
	t.write(what, fields...)
}

// onlyOrigin returns the scheme and the host of an Origin header.
func onlyOrigin(header string) string {
	u, err := url.Parse(header)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return "invalid"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host}).String()
}
