package caddymodule

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

// answerGrace is how long a route may go on after its final status, so that a
// short body is read and the connection kept.
const answerGrace = time.Second

// routeSender sends deliveries through compiled Caddy routes.
type routeSender struct {
	name     string
	handler  caddyhttp.Handler
	server   *caddyhttp.Server
	draining chan struct{} // holds a token for each route that goes on after its status
	workers  *forwarder.Workers
}

// newRouteSender provisions the routes with the configuration's context. The
// deliveries themselves run on contexts of their own, so that they outlive a
// reload.
func newRouteSender(ctx caddy.Context, name string, routes caddyhttp.RouteList, concurrency int) (*routeSender, error) {
	if err := useDeliveryTransport(routes); err != nil {
		return nil, err
	}
	if err := routes.Provision(ctx); err != nil {
		return nil, fmt.Errorf("setting up its route: %w", err)
	}
	unanswered := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	return &routeSender{
		name:     name,
		handler:  routes.Compile(unanswered),
		server:   &caddyhttp.Server{}, // reverse_proxy asks its request for one
		draining: make(chan struct{}, concurrency),
		workers:  forwarder.NewWorkers(),
	}, nil
}

// Send implements forwarder.Sender.
func (s *routeSender) Send(ctx context.Context, m *forwarder.Message) (forwarder.Answer, error) {
	logging.KeepUpstreamsSilenced()
	// The route may go on for a moment after its status is known, and so has a
	// context that does not end with this call.
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
		a := rec.answer() // before the route learns that it is over, and answers 499 to that
		cancel(nil)
		if a.Status != 0 {
			return a, nil
		}
		return forwarder.Answer{}, forwarder.SendError(ctx, context.Cause(ctx), &d.Progress)
	}
}

// drain lets a route that has given its status go on for a moment. There are no
// more such routes than attempts at once, whatever the upstream does.
func (s *routeSender) drain(own context.Context, cancel context.CancelCauseFunc) {
	// With this cause net/http ends the body as if it were over. Of any other
	// error in it reverse_proxy writes a line with the request's headers.
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

// serve runs the request through the route. A panic is a failed attempt, and
// what it says is not repeated, since it could quote anything.
func (s *routeSender) serve(ctx context.Context, rec *recorder, m *forwarder.Message) (err error) {
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
	// As the URL sender does: net/http may send the request once more where a
	// kept connection turns out to be closed. Without a value it goes unsent.
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

// failure tells what the error of a route that answered nothing means for the
// delivery.
func failure(ctx context.Context, err error, d *delivery, retryAfter string) (forwarder.Answer, error) {
	status := http.StatusInternalServerError // what Caddy makes of an error without one
	if e, ok := errors.AsType[caddyhttp.HandlerError](err); ok {
		if e.StatusCode != 0 {
			status = e.StatusCode
		}
		if e.Err != nil {
			err = e.Err // without the place in Caddy's source
		}
	}
	_, undialled := errors.AsType[reverseproxy.DialError](err)
	switch {
	case errors.Is(err, forwarder.ErrInternal):
		return forwarder.Answer{}, err
	case gaveUp(err):
		return forwarder.Answer{Status: status, RetryAfter: retryAfter}, nil
	case d.answered.Load() && (status == http.StatusBadGateway || status == http.StatusInternalServerError):
		return forwarder.Answer{}, errRouteFailed // what came behind the answer has
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

// noUpstream recognizes reverse_proxy's error when none of its upstreams is
// available: nothing was sent to any of them.
func noUpstream(status int, err error) bool {
	return status == http.StatusServiceUnavailable && err.Error() == "no upstreams available"
}

// noAddress recognizes reverse_proxy's error when an upstream's address cannot be
// dialled, as where a placeholder in it has no value.
func noAddress(status int, err error) bool {
	return status == http.StatusBadGateway && strings.HasPrefix(err.Error(), "making dial info: ")
}

// gaveUp recognizes reverse_proxy's error when a backend's answer was one to be
// tried again, and the last one allowed: the status is the backend's.
func gaveUp(err error) bool {
	return strings.HasPrefix(err.Error(), "upstream response matched retry_match ")
}

// Interface guards
var _ forwarder.Sender = (*routeSender)(nil)
