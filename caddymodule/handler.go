package caddymodule

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/scribegate/scribegate/caddymodule/internal/activity"
	"github.com/scribegate/scribegate/caddymodule/internal/audit"
	"github.com/scribegate/scribegate/caddymodule/internal/caddylog"
	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
	"github.com/scribegate/scribegate/caddymodule/internal/logging"
	"github.com/scribegate/scribegate/caddymodule/internal/metrics"
	"github.com/scribegate/scribegate/caddymodule/internal/notify"
	"github.com/scribegate/scribegate/caddymodule/internal/receive"
	"github.com/scribegate/scribegate/forwarder"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier"
	"github.com/scribegate/scribegate/verifier/event"
)

func init() {
	caddy.RegisterModule(Handler{})
}

const handlerName = "scribegate"

// Handler receives the webhooks of one provider. It verifies each request and converts
// it into an event. With `deliver_to` it stores the event and answers the provider, and
// the app delivers the event. Without `deliver_to` it replaces the request's body with
// the event and calls the next handler.
type Handler struct {
	// The provider whose requests the handler receives. Required.
	ProviderRaw json.RawMessage `json:"provider,omitempty" caddy:"namespace=scribegate.providers inline_key=name"`

	// The names of the app's upstreams that events are delivered to. Default: none;
	// events are passed on to the next handler, and nothing is stored.
	DeliverTo []string `json:"deliver_to,omitempty"`

	// The types of events that no upstream shall receive, written as in an
	// upstream's `events`. Such an event is answered 200 and its id is stored,
	// but its payload is not. Needs `deliver_to`. Default: none.
	Drop []string `json:"drop,omitempty"`

	// The maximum size of a request's body in bytes. Default: 10 MiB for
	// soapnoteapi, 64 KiB for soniox.
	MaxBody int64 `json:"max_body,omitempty"`

	// The names of the query parameters that become the event's metadata.
	// Default: all of them.
	Metadata []string `json:"metadata,omitempty"`

	// The `source` of the events, a URI, which distinguishes several accounts of one
	// provider. Global placeholders, such as `{env.*}`, are resolved when the
	// configuration is loaded. Default: the provider's own.
	Source string `json:"source,omitempty"`

	// The format of the event in the request for the next handler:
	// `structured`, `binary`, or `raw`, which leaves body and headers
	// unchanged. Not allowed beside `deliver_to`. Default: `structured`.
	Format forwarder.Format `json:"format,omitempty"`

	provider verifier.Provider
	stages   []string    // of the events, beside their deliveries
	app      *App        // nil for a handler without deliver_to and signing secrets
	logger   *zap.Logger // for what concerns the configuration
	log      handlerLog
	logs     *logging.Logs
	limits   limits
}

// CaddyModule returns the Caddy module information.
func (Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.scribegate",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision loads the provider and finds the app.
func (h *Handler) Provision(ctx caddy.Context) error {
	if h.ProviderRaw == nil {
		return errors.New("provider is missing; name soapnoteapi or soniox")
	}
	mod, err := ctx.LoadModule(h, "ProviderRaw")
	if err != nil {
		return fmt.Errorf("loading the provider: %w", err)
	}
	var ok bool
	if h.provider, ok = mod.(verifier.Provider); !ok {
		return fmt.Errorf("the module %T is not a provider", mod)
	}
	defaults := h.provider.Defaults()
	h.MaxBody = cmp.Or(h.MaxBody, defaults.MaxBody)
	if h.Source, err = resolveSetting(cmp.Or(h.Source, defaults.Source)); err != nil {
		return fmt.Errorf("source: %w", err)
	}
	if err := cmp.Or(checkSource(h.Source), h.check(), h.checkDrop()); err != nil {
		return err
	}
	if err := h.findApp(ctx); err != nil {
		return err
	}
	metrics.Register(ctx.GetMetricsRegistry(), gateway.Collector{})
	logging.SilenceUpstreams()
	events, err := notify.New(ctx)
	if err != nil {
		return err
	}
	h.logs, h.limits = logging.Of(ctx), currentLimits()
	h.beginMetrics()
	h.logger = logging.Configuration(ctx).With(zap.String("provider", h.provider.Name()))
	h.log = newHandlerLog(logging.Logger(ctx), audit.New(logging.Audit(ctx)), events.Emit, h.provider.Name())
	if c, ok := h.provider.(CredentialHolder); ok {
		caddylog.WarnHeader(ctx, h.logger, c.SecretHeader())
	}
	warnUnknownTypes(h.logger, "drop", h.Drop)
	h.warnUnlikely(defaults.MaxBody)
	if len(h.DeliverTo) == 0 {
		h.logger.Warn("a handler without deliver_to is a checkpoint: nothing is stored, and the next handler answers the provider; add deliver_to to have events stored and delivered", zap.String("source", h.Source))
	}
	return nil
}

// beginMetrics starts the series of the handler's provider at 0, and its recent activity.
func (h *Handler) beginMetrics() {
	secrets := 0
	if c, ok := h.provider.(SecretCounter); ok {
		secrets = c.SecretCount()
	}
	metrics.BeginProvider(h.provider.Name(), secrets)
	activity.Process.BeginProvider(h.provider.Name())
	if p, ok := h.provider.(resultSettings); ok && p.results().fetch {
		metrics.BeginResults(h.provider.Name())
	}
}

// ServeHTTP verifies a request, converts it into an event, stores the event and answers.
// It writes every answer itself, since Caddy would log a returned error with the
// request's URI and headers.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	start := time.Now()
	logging.KeepUpstreamsSilenced() // a configuration that was refused may have undone it
	receive.SetDeadline(w, start.Add(h.limits.body))
	h.logs.CloseWhileStuck(w, r)
	span := h.startReceiptSpan(r.Context())
	defer span.End()
	defer h.log.quietPanic() // before the span ends, which would record the panic

	req, secret, err := h.prove(w, r, start)
	if err != nil {
		h.reject(w, r, span, nil, err)
		return nil
	}
	metrics.SecretMatched(h.provider.Name(), secret)
	activity.Process.Genuine(h.provider.Name(), start)

	e, err := h.provider.Event(req)
	if err != nil {
		var kept *event.Event
		if len(h.DeliverTo) > 0 {
			kept = h.quarantine(r, req, err)
		}
		h.reject(w, r, span, kept, err)
		return nil
	}
	span.note(e)

	if len(h.DeliverTo) == 0 {
		h.describe(r, e, receive.Passed, "")
		h.observe(r, span, e, start, receive.Passed)
		return h.pass(w, r, e, next)
	}
	upstreams, o := h.route(e.ShortType())
	it := queue.Item{Event: e, Upstreams: upstreams}
	if o == receive.Unrouted {
		it.State = queue.Unrouted // keeps the payload for a replay
	}
	receipt, err := h.store(r, it)
	if err != nil {
		h.log.storeFailed(e, err)
		h.reject(w, r, span, e, &verifier.Rejection{Reason: verifier.Unavailable})
		return nil
	}
	if receipt.Duplicate {
		o = receive.Duplicate
	}
	h.describe(r, e, o, "")
	h.observe(r, span, e, start, o)
	receive.WriteReceived(w, e.ID, receipt.Duplicate)
	receive.Flush(w, r)
	return nil
}

// prove reads and verifies the request. It returns the request with the index of the
// secret that verified it.
func (h *Handler) prove(w http.ResponseWriter, r *http.Request, now time.Time) (req verifier.Request, secret int, err error) {
	body := receive.NewBody(r, h.limits.unverified)
	defer body.Release()
	defer body.CloseUnlessRead(w)
	if err := receive.Check(r, h.MaxBody); err != nil {
		return req, 0, err
	}
	proof, err := h.provider.CheckHeader(r.Header, now)
	if err != nil {
		body.Discard(h.MaxBody)
		return req, 0, err
	}
	content, err := body.ReadAll(now.Add(h.limits.store), h.MaxBody)
	if err != nil {
		return req, 0, err
	}
	receive.ClearDeadline(w)
	if secret, err = proof.Verify(content); err != nil {
		return req, 0, err
	}
	return verifier.Request{
		Source:     h.Source,
		Keep:       h.Metadata,
		Header:     r.Header,
		Query:      r.URL.RawQuery,
		Body:       content,
		ReceivedAt: now.UTC(),
	}, secret, nil
}

// store durably stores an item. It continues after the client has closed the connection,
// since SOAPNoteAPI does not send the event again.
func (h *Handler) store(r *http.Request, it queue.Item) (queue.Receipt, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), h.limits.store)
	defer cancel()
	g, done, err := h.app.lease.Use(ctx)
	if err != nil {
		return queue.Receipt{}, err
	}
	defer done()
	return g.Store(ctx, it)
}

// quarantine stores the bytes of a genuine request with an invalid payload, if the
// provider does not send them again. It returns the stored event, or nil.
func (h *Handler) quarantine(r *http.Request, req verifier.Request, invalid error) *event.Event {
	e := h.provider.Quarantine(req)
	if e == nil {
		return nil
	}
	it := queue.Item{Event: e, State: queue.Quarantined}
	if p, ok := errors.AsType[*verifier.PayloadError](invalid); ok {
		it.Reason = p.What
	}
	receipt, err := h.store(r, it)
	h.log.quarantined(r, e, receipt.Duplicate, err)
	return e
}

// reject answers a request with an error, and reports it. The event is nil unless the
// request was genuine.
func (h *Handler) reject(w http.ResponseWriter, r *http.Request, span receiptSpan, e *event.Event, err error) {
	a := receive.AnswerTo(err)
	h.describe(r, e, receive.Rejected, a.Reason)
	metrics.RequestRejected(h.provider.Name(), a.Reason)
	span.rejected(a.Reason, e)
	h.log.rejected(r, a.Reason, e)
	closing := receive.Closes(w, r)
	a.Write(w)
	receive.Flush(w, r)
	if closing {
		receive.Drain(w, r, h.limits.drain)
	}
}

// observe reports a genuine event and its outcome.
func (h *Handler) observe(r *http.Request, span receiptSpan, e *event.Event, start time.Time, o receive.Outcome) {
	metrics.EventReceived(e.Provider, e.ShortType(), o, time.Since(start))
	span.received(e, o)
	h.log.received(r, e, o)
	if o == receive.Unrouted && h.app.unrouted.add(e.Provider, e.ShortType()) {
		h.warnUnrouted(e)
	}
}

// Cleanup flushes the log.
func (h *Handler) Cleanup() error {
	h.logs.Flush()
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
