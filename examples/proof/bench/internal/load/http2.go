package load

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	firstWindow  = 65_535 // RFC 9113, section 6.9.2
	largeWindow  = 1<<31 - 1
	hpackEntries = 4096 // bytes of the table for the headers of answers
)

var (
	errEnded  = errors.New("the server ended the connection or the stream")
	errWindow = errors.New("the server's window for a stream is smaller than a body")
	errSplit  = errors.New("the server splits a header, which this client does not support")
)

// An http2Connection sends requests in HTTP/2, one stream at a time, so that a number of
// connections means the same in both protocols.
type http2Connection struct {
	conn    net.Conn
	framer  *http2.Framer
	header  *hpack.Decoder
	request template

	stream  uint32
	window  int // bytes that the server still accepts on the connection
	initial int // bytes that it accepts on a new stream
	now     answer
}

func newHTTP2Connection(ctx context.Context, raw net.Conn, config *tls.Config) (*http2Connection, error) {
	conn := tls.Client(raw, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	if got := conn.ConnectionState().NegotiatedProtocol; got != http2.NextProtoTLS {
		return nil, fmt.Errorf("the server chose the protocol %q", got)
	}
	c := &http2Connection{conn: conn, framer: http2.NewFramer(conn, conn), stream: 1, window: firstWindow, initial: firstWindow}
	c.framer.SetReuseFrames()
	c.header = hpack.NewDecoder(hpackEntries, func(f hpack.HeaderField) {
		if f.Name == ":status" {
			c.now.status, _ = strconv.Atoi(f.Value) // 0 if invalid, which no check expects
		}
	})
	_, err := conn.Write([]byte(http2.ClientPreface))
	// The answers are small: one window is enough for all of them.
	err = errors.Join(err, c.framer.WriteSettings(), c.framer.WriteWindowUpdate(0, largeWindow-firstWindow))
	return c, err
}

func (c *http2Connection) use(m *batch) error {
	c.request = m.http2.copied()
	for c.window < c.request.payload {
		if _, err := c.read(); err != nil {
			return err
		}
	}
	if c.initial < c.request.payload {
		return errWindow
	}
	return nil
}

func (c *http2Connection) exchange(s *prepared) (answer, error) {
	for c.window < c.request.payload {
		if _, err := c.read(); err != nil {
			return answer{}, err
		}
	}
	c.stream += 2
	c.request.number(c.stream)
	c.request.fill(s)
	c.now = answer{}
	c.window -= c.request.payload
	if _, err := c.conn.Write(c.request.wire); err != nil {
		return answer{}, err
	}
	for {
		if done, err := c.read(); done || err != nil {
			return c.now, err
		}
	}
}

// read reads a frame and reports whether the answer is complete.
func (c *http2Connection) read() (done bool, err error) {
	frame, err := c.framer.ReadFrame()
	if err != nil {
		return false, err
	}
	mine := frame.Header().StreamID == c.stream
	switch f := frame.(type) {
	case *http2.HeadersFrame:
		if !f.HeadersEnded() {
			return false, errSplit
		}
		_, err := c.header.Write(f.HeaderBlockFragment())
		return mine && f.StreamEnded(), err
	case *http2.DataFrame:
		c.now.duplicate = c.now.duplicate || isDuplicate(f.Data())
		return mine && f.StreamEnded(), nil
	case *http2.WindowUpdateFrame:
		if f.StreamID == 0 {
			c.window += int(f.Increment)
		}
	case *http2.SettingsFrame:
		return false, c.settings(f)
	case *http2.PingFrame:
		if !f.IsAck() {
			return false, c.framer.WritePing(true, f.Data)
		}
	case *http2.RSTStreamFrame:
		if mine && f.ErrCode != http2.ErrCodeNo {
			return false, fmt.Errorf("%w: %s", errEnded, f.ErrCode)
		}
	case *http2.GoAwayFrame:
		return false, fmt.Errorf("%w: %s", errEnded, f.ErrCode)
	}
	return false, nil
}

func (c *http2Connection) settings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	if size, ok := f.Value(http2.SettingInitialWindowSize); ok {
		c.initial = int(size)
	}
	return c.framer.WriteSettingsAck()
}

func (c *http2Connection) until(t time.Time) error { return c.conn.SetDeadline(t) }

func (c *http2Connection) close() { _ = c.conn.Close() } // no request is in flight

var _ connection = (*http2Connection)(nil)
