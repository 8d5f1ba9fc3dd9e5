package caddymodule

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/scribegate/scribegate/forwarder"
)

const (
	// maxAnswer is how much of an upstream's answer is read.
	maxAnswer = 64 << 10

	// answerGrace is how long a route may go on after its final status, so
	// that a short body is read and the connection kept.
	answerGrace = time.Second
)

// routeSender sends deliveries through compiled Caddy routes.
type routeSender struct {
	name    string
	handler caddyhttp.Handler
	server  *caddyhttp.Server
}

// newRouteSender provisions the routes with the configuration's context. The
// deliveries themselves run on contexts of their own, so that they outlive a
// reload.
func newRouteSender(ctx caddy.Context, name string, routes caddyhttp.RouteList) (*routeSender, error) {
	if err := routes.Provision(ctx); err != nil {
		return nil, fmt.Errorf("setting up its route: %w", err)
	}
	unanswered := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	return &routeSender{
		name:    name,
		handler: routes.Compile(unanswered),
		server:  &caddyhttp.Server{}, // reverse_proxy asks its request for one
	}, nil
}

// Send implements forwarder.Sender.
func (s *routeSender) Send(ctx context.Context, m *forwarder.Message) (forwarder.Answer, error) {
	// The route goes on for a moment after its status is known, and so needs
	// a context that does not end with this call.
	routeCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var connecting, connected atomic.Bool
	routeCtx = httptrace.WithClientTrace(routeCtx, &httptrace.ClientTrace{
		GetConn: func(string) { connecting.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	rec := newRecorder()
	done := make(chan error, 1)
	go func() {
		defer cancel()
		done <- s.serve(routeCtx, rec, m)
	}()

	select {
	case <-rec.final:
		time.AfterFunc(answerGrace, cancel)
		return rec.answer(), nil
	case err := <-done:
		if a := rec.answer(); a.Status != 0 {
			return a, nil
		}
		return answerOf(err, connecting.Load() && !connected.Load())
	case <-ctx.Done():
		rec.abandon()
		cancel()
		if connecting.Load() && !connected.Load() {
			return forwarder.Answer{}, fmt.Errorf("%w: %w", forwarder.ErrConnect, context.Cause(ctx))
		}
		return forwarder.Answer{}, context.Cause(ctx)
	}
}

// serve runs the request through the route. A panic is a failed attempt.
func (s *routeSender) serve(ctx context.Context, rec *recorder, m *forwarder.Message) (err error) {
	defer func() {
		if p := recover(); p != nil && p != http.ErrAbortHandler { //nolint:errorlint // a panic's value, compared as net/http does
			err = errors.New("the route panicked")
		}
	}()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.name+"/", bytes.NewReader(m.Body))
	if err != nil {
		return fmt.Errorf("making the request: %w", err)
	}
	r.Header = m.Header.Clone()
	r.URL.RawQuery = m.Query
	r.RequestURI = r.URL.RequestURI()
	return s.handler.ServeHTTP(rec, caddyhttp.PrepareRequest(r, caddy.NewReplacer(), rec, s.server))
}

// answerOf tells what a route's error means for the delivery. Errors carry the
// status that Caddy would have answered with.
func answerOf(err error, unconnected bool) (forwarder.Answer, error) {
	if err == nil {
		return forwarder.Answer{}, nil // nothing answered
	}
	var handlerErr caddyhttp.HandlerError
	isHandlerErr := errors.As(err, &handlerErr)
	var dialErr reverseproxy.DialError
	if unconnected || errors.As(err, &dialErr) || (isHandlerErr && noUpstream(handlerErr)) {
		return forwarder.Answer{}, fmt.Errorf("%w: %s", forwarder.ErrConnect, rootCause(err))
	}
	if isHandlerErr && handlerErr.StatusCode != 0 && handlerErr.Err == nil {
		return forwarder.Answer{Status: handlerErr.StatusCode}, nil
	}
	return forwarder.Answer{}, errors.New(rootCause(err))
}

// noUpstream recognizes reverse_proxy's error when none of its upstreams is
// available: nothing was sent to any of them.
func noUpstream(e caddyhttp.HandlerError) bool {
	return e.StatusCode == http.StatusServiceUnavailable && e.Err != nil && e.Err.Error() == "no upstreams available"
}

// rootCause is the innermost error's text: the outer ones may name the request.
func rootCause(err error) string {
	for {
		var op *net.OpError
		if errors.As(err, &op) {
			return op.Error()
		}
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

// A recorder notes a route's final status and throws the rest away.
type recorder struct {
	final chan struct{} // closed once the final status is known

	mu        sync.Mutex
	header    http.Header
	got       forwarder.Answer
	written   int
	abandoned bool
}

func newRecorder() *recorder {
	return &recorder{final: make(chan struct{}), header: make(http.Header)}
}

// Header implements http.ResponseWriter.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader implements http.ResponseWriter. Interim answers are not final.
func (r *recorder) WriteHeader(status int) {
	if status < 200 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.got.Status != 0 {
		return
	}
	r.got = forwarder.Answer{Status: status, RetryAfter: r.header.Get("Retry-After")}
	close(r.final)
}

// Write implements http.ResponseWriter. Past maxAnswer it ends the handler the
// one way that reverse_proxy takes without a line in the log.
func (r *recorder) Write(p []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	r.mu.Lock()
	r.written += len(p)
	over := r.written > maxAnswer || r.abandoned
	r.mu.Unlock()
	if over {
		panic(http.ErrAbortHandler)
	}
	return len(p), nil
}

// ReadFrom implements io.ReaderFrom, so that nothing copies an endless answer
// around Write.
func (r *recorder) ReadFrom(src io.Reader) (int64, error) {
	return io.Copy(writerOnly{r}, src)
}

type writerOnly struct{ io.Writer }

// Flush implements http.Flusher.
func (r *recorder) Flush() { r.WriteHeader(http.StatusOK) }

func (r *recorder) answer() forwarder.Answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.got
}

func (r *recorder) abandon() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.abandoned = true
}

// refuseNested says whether a route holds a scribegate handler, at any depth.
func refuseNested(routes caddyhttp.RouteList) error {
	found := false
	walkHandlers(routes, func(h map[string]any) {
		if h["handler"] == handlerName {
			found = true
		}
	})
	if found {
		return errors.New("its route holds a scribegate handler, which would send events in a circle; take it out")
	}
	return nil
}

// plainHTTPHost returns a host, other than this one, that a reverse_proxy of
// the route speaks to without TLS, or "".
func plainHTTPHost(routes caddyhttp.RouteList) string {
	var host string
	walkHandlers(routes, func(h map[string]any) {
		if h["handler"] != "reverse_proxy" {
			return
		}
		if transport, ok := h["transport"].(map[string]any); ok && (transport["tls"] != nil || transport["protocol"] != "http") {
			return
		}
		upstreams, _ := h["upstreams"].([]any)
		for _, u := range upstreams {
			upstream, _ := u.(map[string]any)
			dial, _ := upstream["dial"].(string)
			addr, err := caddy.ParseNetworkAddress(dial)
			if err == nil && !addr.IsUnixNetwork() && !loopback(addr.Host) {
				host = addr.Host
			}
		}
	})
	return host
}

// walkHandlers calls f for every object of the routes' JSON that is a handler.
func walkHandlers(routes caddyhttp.RouteList, f func(map[string]any)) {
	encoded, err := json.Marshal(routes)
	if err != nil {
		return
	}
	var tree any
	if json.Unmarshal(encoded, &tree) != nil {
		return
	}
	var walk func(any)
	walk = func(node any) {
		switch n := node.(type) {
		case map[string]any:
			if _, ok := n["handler"]; ok {
				f(n)
			}
			for _, child := range n {
				walk(child)
			}
		case []any:
			for _, child := range n {
				walk(child)
			}
		}
	}
	walk(tree)
}

// loopback says whether a host is this machine, or a placeholder that can't be
// judged yet.
func loopback(host string) bool {
	if host == "localhost" || host == "" || strings.Contains(host, "{") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// Interface guards
var (
	_ forwarder.Sender    = (*routeSender)(nil)
	_ http.ResponseWriter = (*recorder)(nil)
	_ http.Flusher        = (*recorder)(nil)
	_ io.ReaderFrom       = (*recorder)(nil)
)
