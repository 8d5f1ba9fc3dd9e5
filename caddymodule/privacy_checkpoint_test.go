package caddymodule

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

// What is behind a checkpoint fails with an error that Caddy logs and hands to
// handle_errors. It loses the words that could be a backend's and nothing else.
func TestErrorBehindACheckpoint(t *testing.T) {
	t.Parallel()
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	of := func(status int, err error) error {
		return caddyhttp.HandlerError{Err: err, StatusCode: status, ID: "id", Trace: "trace"}
	}
	broken := func(err error) error {
		return of(http.StatusBadGateway, fmt.Errorf("net/http: HTTP/1.x transport connection broken: %w", err))
	}
	for _, test := range []struct {
		name string
		err  error
		want string // a part of what is left; all of it where it is ""
	}{
		{"an answer that is no HTTP", broken(errors.New(`malformed HTTP response "PATIENT-TEXT"`)), errInvalidAnswer.Error()},
		{"FastCGI's", of(http.StatusBadGateway, errors.New("malformed MIME header: PATIENT-TEXT")), errInvalidAnswer.Error()},
		{"the end of the connection", broken(io.EOF), errNoAnswer.Error()},
		{"the end within a header", broken(io.ErrUnexpectedEOF), errNoAnswer.Error()},
		{"no connection", of(http.StatusBadGateway, reverseproxy.DialError{}), ""},
		{"a refused one", of(http.StatusBadGateway, refused), ""},
		{"a reset one", broken(fmt.Errorf("PATIENT-TEXT: %w", &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET})), "read tcp: connection reset by peer"},
		{"a certificate", of(http.StatusBadGateway, &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}), ""},
		{"no TLS", of(http.StatusBadGateway, tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}), ""},
		{"a timeout", of(http.StatusGatewayTimeout, errors.New("timeout awaiting response headers")), ""},
		{"what the configuration says", of(http.StatusTeapot, errors.New("short and stout")), ""},
		{"no status", errors.New("an error of somebody's"), ""},
		{"none", nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := withoutAnswer(test.err)
			if test.want == "" {
				if fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", test.err) {
					t.Errorf("%#v has become %#v", test.err, got)
				}
				return
			}
			e, ok := errors.AsType[caddyhttp.HandlerError](got)
			if !ok || e.StatusCode != http.StatusBadGateway || e.ID != "id" || e.Trace != "trace" || e.Err.Error() != test.want {
				t.Errorf("%#v, want its status, id and trace with %q", got, test.want)
			}
			if strings.Contains(got.Error(), "PATIENT-TEXT") {
				t.Errorf("the error quotes the answer: %v", got)
			}
		})
	}
}
