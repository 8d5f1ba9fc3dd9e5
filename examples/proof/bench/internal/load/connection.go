package load

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

// A Target is the address that connections are opened to.
type Target struct {
	Address string
	TLS     *tls.Config // HTTP/2 with TLS; nil for HTTP/1.1 without TLS
}

// Connect returns a load generator with n connections. The caller must close it.
func (t Target) Connect(ctx context.Context, n int) (Generator, error) {
	l := Generator{make([]connection, 0, n)}
	for range n {
		c, err := t.open(ctx)
		if err != nil {
			l.Close()
			return Generator{}, fmt.Errorf("connecting: %w", err)
		}
		l.connections = append(l.connections, c)
	}
	return l, nil
}

func (t Target) open(ctx context.Context) (connection, error) {
	raw, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "tcp", t.Address)
	if err != nil {
		return nil, err
	}
	if t.TLS == nil {
		return &http1Connection{conn: raw, in: bufio.NewReader(raw)}, nil
	}
	c, err := newHTTP2Connection(ctx, raw, t.TLS)
	if err != nil {
		_ = raw.Close() // the first error says why
		return nil, err
	}
	return c, nil
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
