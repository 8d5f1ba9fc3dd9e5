package load

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"

	"golang.org/x/net/http2"
)

// creditStep is the number of read bytes after which a FramesResponder enlarges the window again.
const creditStep = 512 << 10

// A FramesResponder is a responder for HTTP/2: it reads the frames of each request and answers
// 200.
type FramesResponder struct {
	*server
}

// NewFramesResponder returns a responder that listens on any free loopback port.
func NewFramesResponder(ctx context.Context, config *tls.Config) (FramesResponder, error) {
	s, err := newServer(ctx, "0")
	if err != nil {
		return FramesResponder{}, err
	}
	s.listener = tls.NewListener(s.listener, config)
	return FramesResponder{s}, nil
}

// Start makes the responder serve, and returns it.
func (r FramesResponder) Start() FramesResponder {
	r.accept(func(conn net.Conn) {
		_ = serveFrames(conn) // the client ended the connection
	})
	return r
}

// serveFrames answers the requests of a connection until it ends.
func serveFrames(conn net.Conn) error {
	if _, err := io.CopyN(io.Discard, conn, int64(len(http2.ClientPreface))); err != nil {
		return err
	}
	framer := http2.NewFramer(conn, conn)
	framer.SetReuseFrames()
	err := errors.Join(
		framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: largeWindow}),
		framer.WriteWindowUpdate(0, 2*creditStep))
	if err != nil {
		return err
	}
	// HPACK's static table has :status 200 as one byte.
	answer := template{}
	answer.frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersEndStream, []byte{0x88})
	read := 0
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return err
		}
		switch f := frame.(type) {
		case *http2.DataFrame:
			if read += len(f.Data()); read >= creditStep {
				if err := framer.WriteWindowUpdate(0, uint32(read)); err != nil {
					return err
				}
				read = 0
			}
			if f.StreamEnded() {
				answer.number(f.StreamID)
				if _, err := conn.Write(answer.wire); err != nil {
					return err
				}
			}
		case *http2.SettingsFrame:
			if !f.IsAck() {
				if err := framer.WriteSettingsAck(); err != nil {
					return err
				}
			}
		}
	}
}
