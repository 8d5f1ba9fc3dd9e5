package caddymodule

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/scribegate/scribegate/caddymodule/internal/caddylog/caddylogtest"
)

// For an error that formats itself, and for one that has several, zap logs further fields.
type (
	verboseError string
	severalError string
)

func (e verboseError) Error() string              { return fmt.Sprintf("reading %q", string(e)) }
func (e verboseError) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, string(e)) }
func (e severalError) Error() string              { return fmt.Sprintf("reading %q", string(e)) }
func (e severalError) Errors() []error            { return []error{errors.New(string(e))} }

// logRequest writes the lines that Caddy writes about a request, an answer that
// repeats it, and the errors that quote it.
func logRequest(log *zap.Logger, r *http.Request, body string) {
	request := zap.Object("request", caddyhttp.LoggableHTTPRequest{Request: r, ShouldLogCredentials: true})
	all := caddyhttp.LoggableHTTPHeader{Header: r.Header, ShouldLogCredentials: true}
	quoting := fmt.Errorf("malformed HTTP response \"%s\r\n%s\"", body, body)
	mime := errors.New("malformed MIME header line: " + body)

	log.Named("http.log.access").Info("handled request", request, zap.Int("status", 200), zap.Object("resp_headers", all))
	for _, name := range []string{"http.log.error", "http.log.error.log0", "http.stdlib"} {
		log.Named(name).Error(quoting.Error(), request, zap.Error(quoting))
		log.Named(name).Error(mime.Error(), request, zap.Error(mime))
	}
	log.Named("http.log.error").Error("error handling handler error", zap.Error(quoting), zap.Namespace("first_error"), zap.String("msg", quoting.Error()), request)
	log.Named("http.handlers.reverse_proxy").Debug("upstream roundtrip", request, zap.Object("headers", all), zap.Error(mime))
	log.Named("http.handlers.reverse_proxy").Debug("backend tried to switch", zap.String("backend_upgrade", body), zap.String("requested_upgrade", r.Header.Get("Upgrade")))
	log.Named("http.handlers.rewrite").Debug("rewrote request", request, zap.String("uri", r.URL.RequestURI()))
	log.Named("http.handlers.push").Debug("pushing resource", zap.String("uri", r.URL.RequestURI()), zap.Object("push_headers", all))
	log.Named("http.reverse_proxy.transport.fastcgi").Debug("roundtrip", request, zap.Object("env", all))
	log.Named("http.reverse_proxy.transport.fastcgi").Error("stderr", zap.ByteString("body", []byte(body)))
	log.Named("http.handlers.reverse_proxy").Error("panic", zap.Any("error", []string{body}), zap.String("stack", "stack"))
	log.Named("http.handlers.reverse_proxy").Error("an error with details", zap.Error(verboseError(body)))
	log.Named("http.handlers.reverse_proxy").Error("several errors", zap.Error(severalError(body)))
	log.With(request, zap.Object("headers", all)).Named("admin.api").Info("received request", zap.String("uri", r.URL.RequestURI()))
}

// No line of Caddy's has any part of the secrets that the privacy test plants in requests.
func TestLogEncoderRemovesWhatIsPlanted(t *testing.T) {
	t.Parallel()
	for name, config := range caddylogtest.Encoders {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &privateSite{adminSite: &adminSite{site: &site{t: t, url: "http://127.0.0.1"}}, planting: newPlanting()}
			s.soapnotes = []string{"whsec_" + s.place("SOAPNoteAPI's secret"), "whsec_" + s.place("another secret of SOAPNoteAPI")}
			s.sonioxes = []string{s.place("Soniox's secret"), s.place("another secret of Soniox")}
			log, out := caddylogtest.Logger(t, config)
			requests := slices.Concat(s.acceptedRequests(), s.invalidRequests(), s.forgedRequests(), s.checkpointRequests())
			for _, r := range requests {
				r.RequestURI = r.URL.RequestURI()
				body, err := io.ReadAll(io.LimitReader(r.Body, 4<<10))
				if err != nil {
					t.Fatal(err)
				}
				logRequest(log, r, string(body))
			}
			for what, found := range s.found(out.Bytes()) {
				t.Errorf("the log has %s: %s", what, found)
			}
			if lines := bytes.Count(out.Bytes(), []byte("\n")); lines != 18*len(requests) || len(requests) < 50 {
				t.Errorf("%d lines about %d requests", lines, len(requests))
			}
		})
	}
}
