package forwarder

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"time"
)

const (
	// Of an answer at most 64 KiB are read: its header, and as much of its body as
	// arrives soon enough that reading it is cheaper than a new connection.
	maxAnswerHeader = 32 << 10
	maxAnswerBody   = 32 << 10
	drainGrace      = time.Second

	dialTimeout  = 10 * time.Second
	idleTimeout  = 90 * time.Second
	pingInterval = 15 * time.Second // finds a dead HTTP/2 connection
)

// A URLSender sends messages to a URL. It follows no redirect and uses no proxy.
type URLSender struct {
	url        *url.URL        // without userinfo and fragment
	basicAuth  string          // the Authorization that the URL's userinfo makes; may be empty
	template   *http.Transport // never used itself
	transports Transports      // copies of the template
	draining   chan struct{}   // holds a token for each body being read
}

// NewURLSender returns a Sender for the URL u. Userinfo in it becomes basic
// authentication, unless the message has an Authorization header of its own. The
// Sender keeps up to concurrency idle connections.
func NewURLSender(u *url.URL, concurrency int) *URLSender {
	if concurrency <= 0 {
		concurrency = DefaultConcurrency
	}
	target := *u
	target.User, target.Fragment, target.RawFragment = nil, "", ""
	s := &URLSender{
		url:      &target,
		draining: make(chan struct{}, concurrency),
		template: &http.Transport{
			Proxy:                  nil, // a clinical payload goes through no proxy that is not configured here
			DialContext:            DialConn((&net.Dialer{Timeout: dialTimeout}).DialContext),
			TLSHandshakeTimeout:    dialTimeout,
			ForceAttemptHTTP2:      true,
			DisableCompression:     true,
			MaxIdleConns:           concurrency,
			MaxIdleConnsPerHost:    concurrency,
			IdleConnTimeout:        idleTimeout,
			MaxResponseHeaderBytes: maxAnswerHeader,
			HTTP2: &http.HTTP2Config{
				MaxReceiveBufferPerStream:     maxAnswerBody,
				MaxReceiveBufferPerConnection: 1 << 20,
				SendPingTimeout:               pingInterval,
				PingTimeout:                   pingInterval,
			},
		},
	}
	s.transports.New = func() *http.Transport { return s.template.Clone() }
	if u.User != nil {
		password, _ := u.User.Password()
		s.basicAuth = "Basic " + base64.StdEncoding.EncodeToString([]byte(u.User.Username()+":"+password))
	}
	return s
}

// Send posts the message. It returns as soon as the final status is known; the rest
// of the answer is read in the background. Its errors contain nothing of the URL but
// the host.
func (s *URLSender) Send(ctx context.Context, m *Message) (Answer, error) {
	// The request has a context of its own, since it may outlive the call.
	own, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	detach := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	defer detach()

	var reached Progress
	req, err := s.request(httptrace.WithClientTrace(own, reached.Trace()), m)
	if err != nil {
		cancel(nil)
		return Answer{}, err
	}
	t := s.transports.Use(m.Probe)
	resp, err := t.RoundTrip(req) //nolint:bodyclose // dispose closes it
	if err != nil {
		cancel(nil)
		s.transports.Done(t)
		return Answer{}, SendError(ctx, err, &reached)
	}
	s.dispose(resp, t, cancel)
	return Answer{Status: resp.StatusCode, RetryAfter: resp.Header.Get("Retry-After")}, nil
}

// Close closes the idle connections. Requests in flight end normally, and then their
// connections are closed too.
func (s *URLSender) Close() { s.transports.Close() }

func (s *URLSender) request(ctx context.Context, m *Message) (*http.Request, error) {
	// With a bytes.Reader net/http sets GetBody, and can send the request again if a
	// kept connection turns out to be closed.
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "/", bytes.NewReader(m.Body))
	if err != nil {
		return nil, errRequest
	}
	req.URL = s.url
	if m.Query != "" {
		u := *s.url
		if u.RawQuery != "" {
			u.RawQuery += "&"
		}
		u.RawQuery += m.Query
		req.URL = &u
	}
	req.Header = m.Header
	// net/http does so only for idempotent requests. This one is, by its webhook-id.
	// The header, without a value, marks it so and is not sent.
	req.Header["Idempotency-Key"] = nil
	if s.basicAuth != "" && req.Header.Get("Authorization") == "" {
		req.Header["Authorization"] = []string{s.basicAuth}
	}
	return req, nil
}

// dispose reads a little of the answer's body, so that the connection can be reused,
// and closes it. Whatever the upstream sends, that takes at most a second,
// maxAnswerBody bytes and one of a bounded number of goroutines.
func (s *URLSender) dispose(resp *http.Response, t *http.Transport, cancel context.CancelCauseFunc) {
	body := resp.Body
	end := func() {
		_ = body.Close() // the status is known; an error changes nothing
		cancel(nil)
		s.transports.Done(t)
	}
	if body == http.NoBody {
		end()
		return
	}
	if resp.ContentLength > maxAnswerBody {
		cancel(nil)
		end()
		return
	}
	select {
	case s.draining <- struct{}{}:
	default:
		cancel(nil)
		end()
		return
	}
	go func() {
		defer func() { <-s.draining }()
		defer end()
		grace := time.AfterFunc(drainGrace, func() { cancel(nil) })
		defer grace.Stop()
		_, _ = io.Copy(io.Discard, io.LimitReader(body, maxAnswerBody+1)) // any error ends it
	}()
}

var _ Sender = (*URLSender)(nil)
