package caddymodule

import (
	"context"
	"net/http"
	"net/textproto"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/scribegate/scribegate/verifier"
	"github.com/scribegate/scribegate/verifier/event"
)

// sampleFirst is how many lines are logged of each kind of rejection in a
// second: a flood of forged requests must not fill the disk. The metric counts
// them all.
const sampleFirst = 10

// handlerLog writes a handler's lines. None holds a secret, a signature, or
// anything of a body or query string.
type handlerLog struct {
	provider string
	events   *zap.Logger
	floods   *zap.Logger
}

func newHandlerLog(logger *zap.Logger, provider string) handlerLog {
	logger = logger.With(zap.String("provider", provider))
	return handlerLog{
		provider: provider,
		events:   logger,
		floods: logger.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
			return zapcore.NewSamplerWithOptions(core, time.Second, sampleFirst, 0)
		})),
	}
}

func (l handlerLog) received(e *event.Event, duplicate bool) {
	if entry := l.events.Check(zapcore.InfoLevel, "event received"); entry != nil {
		entry.Write(zap.String("event_id", e.ID), zap.String("type", e.ShortType()), zap.Bool("duplicate", duplicate))
	}
}

func (l handlerLog) rejected(r *http.Request, reason verifier.Reason) {
	// The message carries the reason, since the sampler tells lines apart by
	// their messages.
	if entry := l.floods.Check(zapcore.WarnLevel, "request rejected: "+string(reason)); entry != nil {
		client, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
		entry.Write(zap.String("reason", string(reason)), zap.String("client_ip", client))
	}
}

func (l handlerLog) storeFailed(e *event.Event, err error) {
	l.events.Error("an event could not be stored in time and was refused",
		zap.String("event_id", e.ID), zap.String("type", e.ShortType()), zap.Error(err))
}

func (l handlerLog) quarantined(e *event.Event, duplicate bool, err error) {
	switch {
	case err != nil:
		l.events.Error("a genuine request with an invalid payload could not be quarantined and is lost",
			zap.String("event_id", e.ID), zap.Error(err))
	case !duplicate:
		l.events.Warn("a genuine request with an invalid payload is quarantined", zap.String("event_id", e.ID))
	}
}

// credentialHeaders are the headers that Caddy's own logs redact.
var credentialHeaders = []string{"Cookie", "Set-Cookie", "Authorization", "Proxy-Authorization"}

// warnLoggedHeader tells that an access log would hold a secret: Caddy writes
// all headers but a few into it, and copies them before any handler runs.
func warnLoggedHeader(ctx context.Context, header string) {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok || server.Logs == nil {
		return
	}
	if slices.Contains(credentialHeaders, textproto.CanonicalMIMEHeaderKey(header)) && !server.Logs.ShouldLogCredentials {
		return
	}
	caddy.Log().Named("http.handlers.scribegate").Warn("access logs are on and would hold the header that is the secret, unless a filter takes it out; add a filter as in Scribegate's Caddyfile",
		zap.String("header", header))
}
