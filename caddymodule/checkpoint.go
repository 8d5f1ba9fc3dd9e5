package caddymodule

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/scribegate/scribegate/caddymodule/internal/build"
	"github.com/scribegate/scribegate/forwarder"
	"github.com/scribegate/scribegate/verifier/event"
)

// pass calls the next handler, which answers the provider, with the event as the request's body
// and headers. Method, path and query stay as they are. With the format raw the whole request
// does.
func (h *Handler) pass(w http.ResponseWriter, r *http.Request, e *event.Event, next caddyhttp.Handler) error {
	if h.Format == forwarder.Raw {
		setBody(r, e.Body)
		return withoutAnswer(next.ServeHTTP(w, r))
	}
	options := forwarder.RenderOptions{Format: cmp.Or(h.Format, forwarder.Structured), Now: time.Now(), Attempt: 1, Version: build.Version()}
	if h.app != nil {
		options.Keys = h.app.keys()
	}
	// The map itself is changed, so that placeholders and all else that refers to it have the
	// headers of the event, and no inbound one.
	clear(r.Header)
	m := forwarder.RenderInto(r.Header, e, options)
	setBody(r, m.Body)
	r.Header["Content-Length"] = []string{strconv.Itoa(len(m.Body))}
	return withoutAnswer(next.ServeHTTP(w, r))
}

// withoutAnswer returns the error of the next handler, which Caddy logs, without text of a
// backend: net/http and FastCGI quote an answer that is not valid, and that may be an echo of the
// event. Errors of the connection are kept.
func withoutAnswer(err error) error {
	e, ok := errors.AsType[caddyhttp.HandlerError](err)
	if !ok || e.StatusCode != http.StatusBadGateway {
		return err
	}
	_, undialled := errors.AsType[reverseproxy.DialError](err)
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	_, unencrypted := errors.AsType[tls.RecordHeaderError](err)
	connection, isConnection := errors.AsType[*net.OpError](err)
	switch {
	case undialled, untrusted, unencrypted:
	case isConnection:
		e.Err = connection
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		e.Err = errNoAnswer
	default:
		e.Err = errInvalidAnswer
	}
	return e
}

var (
	errNoAnswer      = errors.New("the backend closed the connection before it answered")
	errInvalidAnswer = errors.New("the request to the backend failed, or its answer is not valid; the text of the error is left out")
)

// setBody gives a request a body of known length.
func setBody(r *http.Request, body []byte) {
	r.Body = newBodyReader(body)
	r.GetBody = func() (io.ReadCloser, error) { return newBodyReader(body), nil }
	r.ContentLength = int64(len(body))
	r.TransferEncoding = nil
	r.Trailer = nil
}

// A bodyReader is a request's body in memory.
type bodyReader struct{ bytes.Reader }

func newBodyReader(body []byte) *bodyReader {
	r := new(bodyReader)
	r.Reset(body)
	return r
}

func (*bodyReader) Close() error { return nil }
