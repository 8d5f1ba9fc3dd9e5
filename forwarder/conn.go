package forwarder

import (
	"context"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"
)

// A Conn is a connection to an upstream. It returns the upstream's answer even if
// writing the request fails, and reports afterwards how the connection ended.
//
// An upstream may answer when it has read the header, and close the connection
// while the body is being written. net/http drops such an answer if the write
// fails first. A Conn therefore hides the error of the write: reading continues,
// and returns the answer or an error.
type Conn struct {
	net.Conn

	cut      atomic.Bool // the upstream accepts no more bytes
	ended    atomic.Bool // by the upstream, while this side still read
	answered atomic.Bool // a request on it was answered
}

// NewConn returns c as a Conn.
func NewConn(c net.Conn) *Conn { return &Conn{Conn: c} }

// Dial is the signature of net.Dialer.DialContext.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// DialConn returns a function that dials as dial does, and returns Conns.
func DialConn(dial Dial) Dial {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return NewConn(c), nil
	}
}

// Write implements net.Conn. After the upstream has closed the connection, it
// discards p and returns no error.
func (c *Conn) Write(p []byte) (int, error) {
	if c.cut.Load() {
		return len(p), nil
	}
	n, err := c.Conn.Write(p)
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, net.ErrClosed) {
		c.cut.Store(true)
		return len(p), nil
	}
	return n, err
}

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.ended.Store(true)
	}
	return n, err
}

// connOf returns the Conn beneath c, which may be a TLS connection; nil if there is
// none.
func connOf(c net.Conn) *Conn {
	if over, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = over.NetConn()
	}
	conn, _ := c.(*Conn)
	return conn
}
