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

// An answer is what is needed of the answer to a request.
type answer struct {
	status    int
	duplicate bool
}

// A connection sends one request after the other, each after the answer to the
// one before.
type connection interface {
	// arm has the connection take its requests' form from a magazine.
	arm(m *magazine) error
	// exchange sends a request and reads the whole answer.
	exchange(s *shot) (answer, error)
	// until limits all that follows.
	until(t time.Time) error
	close()
}

// A target is where connections go to.
type target struct {
	address string
	tls     *tls.Config // nil is HTTP/1.1 without TLS; else HTTP/2
}

// connect opens so many connections.
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
		_ = raw.Close() // the error that matters is why
		return nil, err
	}
	return c, nil
}

func closeAll(all []connection) {
	for _, c := range all {
		c.close()
	}
}

// An http1Connection writes each request with one call, into whose buffer only
// what is the request's own was copied.
type http1Connection struct {
	conn    net.Conn
	in      *bufio.Reader
	request template
}

func (c *http1Connection) arm(m *magazine) error {
	c.request = m.http1.copied()
	return nil
}

func (c *http1Connection) exchange(s *shot) (answer, error) {
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

func (c *http1Connection) close() { _ = c.conn.Close() } // nothing is on its way any more

// isDuplicate reports whether an answer says that the event was known.
func isDuplicate(body []byte) bool { return bytes.Contains(body, []byte(`"duplicate"`)) }

var _ connection = (*http1Connection)(nil)
