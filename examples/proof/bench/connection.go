package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"
)

// An answer is the part of a response that the checks need.
type answer struct {
	status    int
	duplicate bool
}

// A connection sends one request at a time.
type connection interface {
	// use prepares the connection for the requests of a batch.
	use(m *batch) error
	// exchange sends a request and reads the whole answer.
	exchange(s *prepared) (answer, error)
	// until sets the deadline of all further calls.
	until(t time.Time) error
	close()
}

// A target is the address that connections are opened to.
type target struct {
	address string
	tls     *tls.Config // HTTP/2 with TLS; nil for HTTP/1.1 without TLS
}

// connect opens n connections.
func (t target) connect(ctx context.Context, n int) (_ []connection, err error) {
	all := make([]connection, 0, n)
	for range n {
		c, err := t.open(ctx)
		if err != nil {
			closeAll(all)
			return nil, fmt.Errorf("connecting: %w", err)
		}
		all = append(all, c)
	}
	return all, nil
}

func (t target) open(ctx context.Context) (connection, error) {
	raw, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "tcp", t.address)
	if err != nil {
		return nil, err
	}
	if t.tls == nil {
		return &http1Connection{conn: raw, in: bufio.NewReader(raw)}, nil
	}
	c, err := newHTTP2Connection(ctx, raw, t.tls)
	if err != nil {
		_ = raw.Close() // the first error says why
		return nil, err
	}
	return c, nil
}

func closeAll(all []connection) {
	for _, c := range all {
		c.close()
	}
}

// An http1Connection sends requests in HTTP/1.1. It writes each request with one call, from a
// buffer in which only the id and the signature change.
type http1Connection struct {
	conn    net.Conn
	in      *bufio.Reader
	request template
}

func (c *http1Connection) use(m *batch) error {
	c.request = m.http1.copied()
	return nil
}

func (c *http1Connection) exchange(s *prepared) (answer, error) {
	c.request.fill(s)
	if _, err := c.conn.Write(c.request.wire); err != nil {
		return answer{}, err
	}
	h, err := readHead(c.in)
	if err != nil {
		return answer{}, err
	}
	body, err := c.in.Peek(h.length)
	if err != nil {
		return answer{}, err
	}
	a := answer{status: h.status, duplicate: isDuplicate(body)}
	_, err = c.in.Discard(h.length)
	return a, err
}

func (c *http1Connection) until(t time.Time) error { return c.conn.SetDeadline(t) }

func (c *http1Connection) close() { _ = c.conn.Close() } // no request is in flight

// isDuplicate reports whether an answer says that the event is a duplicate.
func isDuplicate(body []byte) bool { return bytes.Contains(body, []byte(`"duplicate"`)) }

var _ connection = (*http1Connection)(nil)
