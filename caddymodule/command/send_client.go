package command

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"time"

	"github.com/scribegate/scribegate/caddymodule/command/internal/terminal"
	"github.com/scribegate/scribegate/caddymodule/internal/wording"
	"github.com/scribegate/scribegate/forwarder"
)

// An eventClient sends events as a provider does.
type eventClient struct {
	to       string
	host     string // the host of to
	prove    func(http.Header, []byte)
	ownRoots bool // whether only the authorities of --cacert are trusted
	http     http.Client
}

// newEventClient makes a client of the flags --to, --cacert and --insecure.
func (s *sending) newEventClient(prove func(http.Header, []byte)) (*eventClient, error) {
	u, err := url.Parse(s.to)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("--to is not a URL with http:// or https://; write it as in https://hooks.example.com/soapnote")
	}
	if (s.insecure || s.cacert != "") && u.Scheme != "https" {
		return nil, errors.New("--cacert and --insecure are for a --to with https://")
	}
	if s.insecure && s.cacert != "" {
		return nil, errors.New("--cacert names the certificate to trust, and --insecure accepts any certificate; use one or the other")
	}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: s.insecure}, //nolint:gosec // the flag requests it
		Proxy:           http.ProxyFromEnvironment,
	}
	if u.Scheme == "http" {
		transport.Proxy = nil // a proxy would read the event and its proof
	}
	if s.cacert != "" {
		pem, err := readFile("cacert", s.cacert, nil)
		if err != nil {
			return nil, err
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, errors.New("--cacert: the file contains no certificate in PEM; Caddy's internal CA has its own in pki/authorities/local/root.crt of Caddy's data directory")
		}
		transport.TLSClientConfig.RootCAs = roots
	}
	return &eventClient{
		to: s.to, host: u.Hostname(), prove: prove, ownRoots: s.cacert != "",
		http: http.Client{
			Transport: transport,
			// A redirect is not followed: the event and its proof are sent to --to
			// and nowhere else.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

func (c *eventClient) close() { c.http.CloseIdleConnections() }

// post sends one event.
func (c *eventClient) post(ctx context.Context, body []byte) (sent, error) {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	var reached forwarder.Progress
	r, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, reached.Trace()), http.MethodPost, c.to, bytes.NewReader(body))
	if err != nil {
		return sent{}, errors.New("--to is not a URL that a request can be sent to")
	}
	r.Header.Set("Content-Type", "application/json")
	c.prove(r.Header, body)
	resp, err := c.http.Do(r)
	if err != nil {
		return sent{}, fmt.Errorf("sending the event: %w", c.failure(ctx, errors.Unwrap(err), &reached))
	}
	defer func() { _ = resp.Body.Close() }()
	result := sent{Status: resp.StatusCode}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil && resp.StatusCode == http.StatusOK {
		return result, fmt.Errorf("reading the answer: %w", err)
	}
	_ = json.Unmarshal(answer, &result) // an answer that is not JSON has no id
	result.Status = resp.StatusCode
	result.judge()
	return result, nil
}

// judge sets Error for an answer that is not Scribegate's receipt.
func (r *sent) judge() {
	switch {
	case r.Status == http.StatusOK && r.ID == "":
		r.Error = "no event id in the answer: either no scribegate handler has this path, or a checkpoint has it and its backend answered"
		return
	case r.Status == http.StatusOK:
		return
	}
	r.ID = ""
	switch {
	case r.Error != "":
	case r.Status >= 300 && r.Status < 400:
		r.Error = "the answer is a redirect, and redirects are not followed: write its target in --to"
	case r.Status == http.StatusBadRequest: // so does an HTTPS port answer plain HTTP
		r.Error = "the answer is not Scribegate's; where the site speaks HTTPS, write --to with https://"
	default:
		r.Error = "the answer is not Scribegate's"
	}
}

// failure returns the error of a request without an answer, with advice.
func (c *eventClient) failure(ctx context.Context, err error, reached *forwarder.Progress) error {
	if invalid, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return c.badCertificate(invalid)
	}
	if errors.Is(err, http.ErrSchemeMismatch) {
		return errors.New("the server speaks plain HTTP; write --to with http://")
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "remote error" { // crypto/tls's, of an alert
		switch op.Err.Error() {
		case "tls: internal error", "tls: unrecognized name":
			return fmt.Errorf("the server has no certificate for %q (%w): write the site's name in --to, or see Caddy's log for the reason", c.host, op)
		}
		return fmt.Errorf("the server ended the TLS connection: %w", op)
	}
	if !reached.Tried() {
		return errors.New("it is not a valid HTTP request: check --to, --secret and --header")
	}
	failed := forwarder.SendError(ctx, err, reached)
	if errors.Is(failed, forwarder.ErrConnect) {
		return fmt.Errorf("%w; is the gateway running there?", failed)
	}
	return failed
}

// badCertificate returns an error that describes the problem of the certificate.
func (c *eventClient) badCertificate(err *tls.CertificateVerificationError) error {
	leaf := err.UnverifiedCertificates[0] // without any there is nothing to verify
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		if c.ownRoots {
			return fmt.Errorf("the site's certificate is issued by %q, which is not in --cacert", leaf.Issuer.CommonName)
		}
		return fmt.Errorf("the site's certificate is issued by %q, which is not a known authority: with Caddy's internal CA use "+
			"--cacert pki/authorities/local/root.crt, of Caddy's data directory; --insecure accepts any certificate", leaf.Issuer.CommonName)
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		names := append([]string{}, leaf.DNSNames...)
		for _, ip := range leaf.IPAddresses {
			names = append(names, ip.String())
		}
		return fmt.Errorf("the site's certificate is for %s, not for %q: write one of its names in --to", terminal.Printable(strings.Join(names, ", ")), c.host)
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		if time.Now().Before(invalid.Cert.NotBefore) {
			return fmt.Errorf("the site's certificate is valid only from %s: check the clock of this machine", wording.Clock(invalid.Cert.NotBefore))
		}
		return fmt.Errorf("the site's certificate expired at %s: have it renewed, or check the clock of this machine", wording.Clock(invalid.Cert.NotAfter))
	}
	return fmt.Errorf("the site's certificate cannot be verified: %w", err.Err)
}
