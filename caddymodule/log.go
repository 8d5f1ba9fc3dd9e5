package caddymodule

import (
	"net/http"
	"runtime/debug"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/scribegate/scribegate/caddymodule/internal/activity"
	"github.com/scribegate/scribegate/caddymodule/internal/audit"
	"github.com/scribegate/scribegate/caddymodule/internal/logging"
	"github.com/scribegate/scribegate/caddymodule/internal/notify"
	"github.com/scribegate/scribegate/caddymodule/internal/receive"
	"github.com/scribegate/scribegate/verifier"
	"github.com/scribegate/scribegate/verifier/event"
)

// A handlerLog reports the outcomes of a handler's requests to the log, to the audit trail, and to
// the subscribers of Caddy's events. No report contains a secret, a signature, or any part of a
// body or query string.
type handlerLog struct {
	provider string
	logger   *zap.Logger
	audit    audit.Trail
	notify   func(name string, data map[string]any)
	sampler  *receive.Sampler
}

func newHandlerLog(logger *zap.Logger, a audit.Trail, notify func(name string, data map[string]any), provider string) handlerLog {
	logger = logger.With(zap.String("provider", provider))
	return handlerLog{
		provider: provider,
		logger:   logger,
		audit:    a,
		notify:   notify,
		sampler: receive.NewSampler(func(reason verifier.Reason, n int) {
			logger.Warn("further requests were rejected; they are counted here and not logged one by one", zap.String("reason", string(reason)), zap.Int("left_out", n))
			a.Suppressed(provider, reason, n)
		}),
	}
}

// received reports an event in the audit trail only: unless the trail has a file of its own, its
// lines are in Caddy's default log.
func (l handlerLog) received(r *http.Request, e *event.Event, o receive.Outcome) {
	l.audit.Received(e, o, clientIP(r))
}

// rejected logs a rejected request, or only counts it if there are many. The event is nil unless
// the request is genuine. The audit trail has every genuine request, and the recent activity every
// rejection.
func (l handlerLog) rejected(r *http.Request, reason verifier.Reason, e *event.Event) {
	client := clientIP(r)
	activity.Process.Rejected(l.provider, reason, client, time.Now())
	logged := l.sampler.Admit(reason)
	if logged || e != nil {
		l.audit.Rejected(l.provider, reason, e, client)
	}
	if !logged {
		return
	}
	fields := []zap.Field{zap.String("reason", string(reason)), zap.String("client_ip", client)}
	data := map[string]any{"provider": l.provider, "reason": string(reason)}
	if e != nil {
		fields = append(fields, zap.String("event_id", e.ID), logging.Subject(e.Subject))
		data["event_id"] = e.ID
	}
	l.logger.Warn("request rejected: "+string(reason), fields...)
	l.notify(notify.Rejected, data)
}

// clientIP returns the address of the client as Caddy knows it: behind trusted proxies, the one
// that they name.
func clientIP(r *http.Request) string {
	client, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	return client
}

// storeFailed logs that an event could not be stored.
func (l handlerLog) storeFailed(e *event.Event, err error) {
	l.logger.Error("an event could not be stored in time and was refused",
		zap.String("event_id", e.ID), logging.Subject(e.Subject), zap.String("type", e.ShortType()), zap.Error(err))
}

// quarantined logs whether an event with an invalid payload could be quarantined.
func (l handlerLog) quarantined(r *http.Request, e *event.Event, duplicate bool, err error) {
	switch {
	case err != nil:
		l.logger.Error("a genuine request with an invalid payload could not be quarantined and is lost",
			zap.String("event_id", e.ID), logging.Subject(e.Subject), zap.Error(err))
	case !duplicate:
		l.logger.Warn("a genuine request with an invalid payload is quarantined", zap.String("event_id", e.ID), logging.Subject(e.Subject))
		l.audit.Quarantined(e, clientIP(r))
	}
}

// quietPanic, if deferred, replaces the value of a panic by http.ErrAbortHandler, which ends the
// request. The text of the panic gets into no log and no span, since it could quote anything.
func (l handlerLog) quietPanic() {
	p := recover()
	if p == nil {
		return
	}
	if p != http.ErrAbortHandler { //nolint:errorlint // a panic's value, compared as net/http does
		l.logger.Error("a request's handler panicked; the text of the panic is left out", zap.ByteString("stack", debug.Stack()))
	}
	panic(http.ErrAbortHandler)
}
