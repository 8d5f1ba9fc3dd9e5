package caddymodule

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/scribegate/scribegate/forwarder"
	"github.com/scribegate/scribegate/verifier/event"
)

// pass puts the event in place of the request's body and headers and calls the
// next handler, which answers the provider. Method, path and query stay, and
// with the format raw everything does.
func (h *Handler) pass(w http.ResponseWriter, r *http.Request, e *event.Event, next caddyhttp.Handler) error {
	if h.Format == forwarder.Raw {
		setBody(r, e.Body)
		return next.ServeHTTP(w, r)
	}
	options := forwarder.RenderOptions{Format: h.Format, Now: time.Now(), Attempt: 1, Version: version()}
	if options.Format == "" {
		options.Format = forwarder.Structured
	}
	if h.app != nil {
		options.Keys = h.app.keys()
	}
	m := forwarder.Render(e, options)
	// In place, so that placeholders speak of the event as well. The map
	// itself is emptied: nothing that holds it sees an inbound header on.
	clear(r.Header)
	maps.Copy(r.Header, m.Header)
	setBody(r, m.Body)
	r.Header.Set("Content-Length", strconv.Itoa(len(m.Body)))
	return next.ServeHTTP(w, r)
}

// setBody gives a request a body of known length.
func setBody(r *http.Request, body []byte) {
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	r.ContentLength = int64(len(body))
	r.TransferEncoding = nil
	r.Trailer = nil
}
