package rest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/scribegate/scribegate/forwarder"
	"github.com/scribegate/scribegate/forwarder/internal/pace"
)

const (
	dialTimeout     = 10 * time.Second
	idleTimeout     = 90 * time.Second
	pingInterval    = 15 * time.Second // finds a dead HTTP/2 connection
	maxHeader       = 32 << 10
	maxIdle         = 16
	maxErrorAnswer  = 64 << 10
	maxAnswerToDrop = 64 << 10 // what is read of the rest of an answer, so that the connection can be reused
)

// A Client sends requests to one API with one key. It follows no redirect and takes
// no proxy from the environment. Its methods are safe for concurrent use.
type Client struct {
	base       *url.URL
	key        func() string
	version    string
	limiter    limiter
	transports forwarder.Transports
	now        func() time.Time
}

// Options are the parameters of New.
type Options struct {
	Base    string        // the address of the API, see CheckBase
	Key     func() string // returns the present key
	Rate    int           // requests a minute; 0 is DefaultRate
	Version string        // of Scribegate, for the User-Agent
}

// New returns a Client.
func New(o Options) (*Client, error) {
	base, err := parseBase(o.Base)
	if err != nil {
		return nil, err
	}
	c := &Client{base: base, key: o.Key, version: o.Version, limiter: newLimiter(o.Rate), now: time.Now}
	c.transports.New = func() *http.Transport {
		return &http.Transport{
			Proxy:                  nil, // a clinical payload goes through no proxy that is not configured here
			DialContext:            forwarder.DialConn((&net.Dialer{Timeout: dialTimeout}).DialContext),
			TLSHandshakeTimeout:    dialTimeout,
			ForceAttemptHTTP2:      true,
			MaxIdleConns:           maxIdle,
			MaxIdleConnsPerHost:    maxIdle,
			IdleConnTimeout:        idleTimeout,
			MaxResponseHeaderBytes: maxHeader,
			HTTP2:                  &http.HTTP2Config{SendPingTimeout: pingInterval, PingTimeout: pingInterval},
		}
	}
	return c, nil
}

// Close closes the idle connections. Requests in flight end normally.
func (c *Client) Close() { c.transports.Close() }

// SetRate changes the requests a minute.
func (c *Client) SetRate(perMinute int) { c.limiter.set(perMinute) }

// Ready reports whether a request may be sent now without waiting for the rate limit.
func (c *Client) Ready() bool { return c.limiter.ready() }

// A Request is a request to the API.
type Request struct {
	Method string
	Path   string // with "{id}" for the id
	ID     string // if set, a 404 or a 400 says that the API does not know it
	Query  url.Values
	Limit  int64 // bytes of the answer

	// Timeout bounds the request, without its wait for the rate limit; 0: requestTimeout.
	Timeout time.Duration

	// Large is called before more than 1 MiB of the answer is read, and may wait.
	Large func(context.Context) error
}

// Do sends the request, and passes the body of a successful answer to read. It waits for
// the rate limit; Stopwatch measures how long.
//
// It returns an *Error, or the error of ctx if it ended. An error of read becomes an
// invalid answer: its text must be a fixed phrase.
func (c *Client) Do(ctx context.Context, r Request, read func(io.Reader) error) error {
	key := ""
	if c.key != nil {
		key = c.key()
	}
	if key == "" || !httpguts.ValidHeaderFieldValue(key) {
		return c.failed(r, &Error{Kind: Unauthorized, what: "not sent", hint: "api_key has no usable value now: check the variable or the file that it names"})
	}
	if !validID(r.ID) {
		return c.failed(r, &Error{Kind: Unknown, what: "not sent", hint: "the id has characters that no id has"})
	}
	if err := c.limiter.wait(ctx); err != nil {
		return err
	}

	own, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timeout := requestTimeout
	if r.Timeout > 0 {
		timeout = min(timeout, r.Timeout)
	}
	own, stop := context.WithTimeoutCause(own, timeout, errTooLong)
	defer stop()
	watch := newWatch(cancel)
	defer watch.stop()

	var progress forwarder.Progress
	req := c.request(httptrace.WithClientTrace(own, progress.Trace()), r, key)
	t := c.transports.Use(isNewConn(ctx))
	defer c.transports.Done(t)
	resp, err := t.RoundTrip(req)
	if err != nil {
		return c.sendError(ctx, own, r, err, &progress)
	}
	watch.progress()
	b := &body{ctx: own, src: resp.Body, watch: watch, left: r.Limit, size: resp.ContentLength, large: r.Large}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		b.left, b.large = maxErrorAnswer, nil
		e := statusError(resp.StatusCode, readErrorType(b), r.ID != "", r.Method == http.MethodDelete)
		if after := resp.Header.Get("Retry-After"); after != "" && (e.Kind == RateLimited || e.Kind == Unreachable) {
			e.RetryAfter = pace.RetryAfter(after, c.now())
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return c.failed(r, e)
	}
	if err := read(b); err != nil {
		return c.readError(ctx, r, resp.StatusCode, err, b.err)
	}
	if b.err == nil {
		b.large = nil
		_, _ = io.Copy(io.Discard, io.LimitReader(b, maxAnswerToDrop)) // the answer is complete; an error changes nothing
	}
	return nil
}

func (c *Client) request(ctx context.Context, r Request, key string) *http.Request {
	u := *c.base
	u.Path = c.base.Path + strings.ReplaceAll(r.Path, "{id}", r.ID)
	u.RawPath = c.base.EscapedPath() + strings.ReplaceAll(r.Path, "{id}", url.PathEscape(r.ID))
	u.RawQuery = r.Query.Encode()
	req := &http.Request{Method: r.Method, URL: &u, Host: u.Host, Header: http.Header{
		"Authorization": {"Bearer " + key},
		"Accept":        {"application/json"},
		"User-Agent":    {"Scribegate/" + c.version},
	}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	return req.WithContext(ctx)
}

// failed adds the request to its error.
func (c *Client) failed(r Request, e *Error) error {
	e.request = r.Method + " " + c.base.Scheme + "://" + c.base.Host + c.base.EscapedPath() + r.Path
	return e
}

// sendError returns the error for a request without an answer.
func (c *Client) sendError(ctx, own context.Context, r Request, err error, p *forwarder.Progress) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	err = forwarder.SendError(own, err, p)
	e := &Error{Kind: Unreachable, what: err.Error(), hint: hintAway, cause: err}
	switch {
	case errors.Is(err, forwarder.ErrConnect):
	case errors.Is(err, errNoProgress), errors.Is(err, errTooLong):
		e.Kind = Timeout
	case errors.Is(err, forwarder.ErrInternal):
		e.Kind, e.hint = InvalidAnswer, hintBase
	}
	return c.failed(r, e)
}

// readError returns the error for an answer that could not be read: cause is what the
// body met, if anything.
func (c *Client) readError(ctx context.Context, r Request, status int, err, cause error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	e := &Error{Kind: InvalidAnswer, Status: status, hint: "check that api_base is the provider's API if this lasts"}
	switch {
	case errors.Is(cause, errNoProgress), errors.Is(cause, errTooLong):
		e.Kind, e.what = Timeout, cause.Error()
	case errors.Is(cause, errCutOff), errors.Is(err, io.ErrUnexpectedEOF):
		e.what = errCutOff.Error()
	case cause != nil:
		e.what = cause.Error()
	case errors.Is(err, errOtherCase):
		e.Kind, e.what, e.hint = Unknown, err.Error(), ""
	default:
		e.what = err.Error()
	}
	return c.failed(r, e)
}

// validID reports whether an id can be part of a URL without naming another endpoint,
// whatever the server decodes.
func validID(id string) bool {
	if len(id) > 256 || id == "." || id == ".." {
		return false
	}
	for i := range len(id) {
		if c := id[i]; c <= ' ' || c > '~' || strings.IndexByte(`/\%?#`, c) >= 0 {
			return false
		}
	}
	return true
}

type newConnKey struct{}

// OnNewConn returns a context whose requests are sent on new connections: an API that
// was away may have moved.
func OnNewConn(ctx context.Context) context.Context {
	return context.WithValue(ctx, newConnKey{}, true)
}

func isNewConn(ctx context.Context) bool { return ctx.Value(newConnKey{}) != nil }
