package route

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/scribegate/scribegate/caddymodule/internal/logging"
	"github.com/scribegate/scribegate/forwarder"
)

// answerGrace is how long a route may run on after its final status, so that a short body is
// read and the connection can be used again.
const answerGrace = time.Second

// A Sender sends deliveries through compiled Caddy routes.
type Sender struct {
	name     string
	handler  caddyhttp.Handler
	server   *caddyhttp.Server
	draining chan struct{} // has a token for each route that runs on after its status
	workers  *forwarder.Workers
}

// NewSender provisions the routes and returns a sender for the upstream of that name. ctx is
// the configuration's. A delivery has a context of its own, so that it outlives a reload.
func NewSender(ctx caddy.Context, name string, routes caddyhttp.RouteList, concurrency int) (*Sender, error) {
	if err := useDeliveryTransport(routes); err != nil {
		return nil, err
	}
	if err := routes.Provision(ctx); err != nil {
		return nil, fmt.Errorf("setting up its route: %w", err)
	}
	unanswered := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	return &Sender{
		name:     name,
		handler:  routes.Compile(unanswered),
		server:   &caddyhttp.Server{}, // reverse_proxy needs one in its request
		draining: make(chan struct{}, concurrency),
		workers:  forwarder.NewWorkers(),
	}, nil
}

// Send implements forwarder.Sender.
func (s *Sender) Send(ctx context.Context, m *forwarder.Message) (forwarder.Answer, error) {
	logging.KeepUpstreamsSilenced()
	// The route may run on for a moment after its status is known, so its context does not
	// end with this call.
	own, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	d := &delivery{probe: m.Probe}
	rec := newRecorder()
	done := make(chan error, 1)
	s.workers.Go(func() {
		defer cancel(nil)
		done <- s.serve(d.context(own), rec, m)
	})

	select {
	case <-rec.final:
		s.drain(own, cancel)
		return rec.answer(), nil
	case err := <-done:
		if a := rec.answer(); a.Status != 0 || err == nil {
			return a, nil
		}
		return failure(ctx, err, d, rec.header.Get("Retry-After"))
	case <-ctx.Done():
		a := rec.answer() // before the route is cancelled, and answers 499
		cancel(nil)
		if a.Status != 0 {
			return a, nil
		}
		return forwarder.Answer{}, forwarder.SendError(ctx, context.Cause(ctx), &d.Progress)
	}
}

// drain lets a route that has written its status run on for answerGrace. At most as many
// routes run on as there may be attempts at once, whatever the upstream does.
func (s *Sender) drain(own context.Context, cancel context.CancelCauseFunc) {
	// With this cause net/http ends the body as if it were complete. For any other error
	// reverse_proxy logs a line with the request's headers.
	end := func() { cancel(io.EOF) }
	select {
	case s.draining <- struct{}{}:
	default:
		end()
		return
	}
	grace := time.AfterFunc(answerGrace, end)
	context.AfterFunc(own, func() {
		grace.Stop()
		<-s.draining
	})
}

// serve sends the message through the route. A panic is a failed attempt. Its text is dropped,
// since it could quote anything.
func (s *Sender) serve(ctx context.Context, rec *recorder, m *forwarder.Message) (err error) {
	defer func() {
		if p := recover(); p != nil && p != http.ErrAbortHandler { //nolint:errorlint // a panic's value, compared as net/http does
			err = errRoutePanic
		}
	}()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.name+"/", bytes.NewReader(m.Body))
	if err != nil {
		return errUnsent
	}
	r.Header = m.Header
	// As the URL sender does: net/http may send the request again if a kept connection turns
	// out to be closed. A header without a value is not sent.
	r.Header["Idempotency-Key"] = nil
	r.URL.RawQuery = m.Query
	r.RequestURI = r.URL.RequestURI()
	return s.handler.ServeHTTP(rec, caddyhttp.PrepareRequest(r, caddy.NewReplacer(), rec, s.server))
}

var (
	errRoutePanic   = fmt.Errorf("%w: the route panicked", forwarder.ErrInternal)
	errRouteFailed  = fmt.Errorf("%w: a handler of the route failed", forwarder.ErrInternal)
	errUnsent       = fmt.Errorf("%w: the route does not make a valid request from the event; check its placeholders and headers", forwarder.ErrInternal)
	errRouteTimeout = fmt.Errorf("no answer within the route's own timeouts: %w", context.DeadlineExceeded)
)

// failure returns the result of a delivery whose route has returned an error and answered
// nothing.
func failure(ctx context.Context, err error, d *delivery, retryAfter string) (forwarder.Answer, error) {
	status := http.StatusInternalServerError // Caddy's status for an error without one
	if e, ok := errors.AsType[caddyhttp.HandlerError](err); ok {
		if e.StatusCode != 0 {
			status = e.StatusCode
		}
		if e.Err != nil {
			err = e.Err // without the line of Caddy's source
		}
	}
	_, undialled := errors.AsType[reverseproxy.DialError](err)
	switch {
	case errors.Is(err, forwarder.ErrInternal):
		return forwarder.Answer{}, err
	case gaveUp(err):
		return forwarder.Answer{Status: status, RetryAfter: retryAfter}, nil
	case d.answered.Load() && (status == http.StatusBadGateway || status == http.StatusInternalServerError):
		return forwarder.Answer{}, errRouteFailed // the backend has answered, a handler after it failed
	case d.Connecting():
		return forwarder.Answer{}, forwarder.SendError(ctx, err, &d.Progress)
	case !d.Tried() && (undialled || noUpstream(status, err)):
		return forwarder.Answer{}, fmt.Errorf("%w: %w", forwarder.ErrConnect, err)
	case !d.Tried() && noAddress(status, err):
		return forwarder.Answer{}, errUnsent
	case d.Tried() && status == http.StatusGatewayTimeout:
		return forwarder.Answer{}, errRouteTimeout
	case d.Tried() && status == http.StatusBadGateway:
		return forwarder.Answer{}, forwarder.SendError(ctx, err, &d.Progress)
	case status == http.StatusInternalServerError:
		return forwarder.Answer{}, errRouteFailed
	}
	return forwarder.Answer{Status: status, RetryAfter: retryAfter}, nil
}

// noUpstream reports whether an error is that of a reverse_proxy none of whose upstreams is
// available: nothing was sent.
func noUpstream(status int, err error) bool {
	return status == http.StatusServiceUnavailable && err.Error() == "no upstreams available"
}

// noAddress reports whether an error is that of a reverse_proxy with an upstream whose address
// cannot be dialled, for example because a placeholder in it has no value.
func noAddress(status int, err error) bool {
	return status == http.StatusBadGateway && strings.HasPrefix(err.Error(), "making dial info: ")
}

// gaveUp reports whether an error is that of a reverse_proxy whose last allowed try was
// answered with a status to be retried: the status is the backend's.
func gaveUp(err error) bool {
	return strings.HasPrefix(err.Error(), "upstream response matched retry_match ")
}

// Interface guards
var _ forwarder.Sender = (*Sender)(nil)
