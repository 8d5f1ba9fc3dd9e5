package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"golang.org/x/net/http2"
)

// creditStep is the number of read bytes after which a framesResponder enlarges the window again.
const creditStep = 512 << 10

// A framesResponder is a responder for HTTP/2: it reads the frames of each request and answers
// 200.
type framesResponder struct {
	listener net.Listener
	work     sync.WaitGroup

	mu          sync.Mutex
	connections map[net.Conn]bool
}

func newFramesResponder(ctx context.Context, config *tls.Config) (*framesResponder, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting a backend: %w", err)
	}
	return &framesResponder{listener: tls.NewListener(listener, config), connections: make(map[net.Conn]bool)}, nil
}

// start makes the responder serve, and returns it.
func (r *framesResponder) start() *framesResponder {
	r.work.Go(func() {
		for {
			conn, err := r.listener.Accept()
			if err != nil {
				return // the listener is closed
			}
			r.mu.Lock()
			r.connections[conn] = true
			r.mu.Unlock()
			r.work.Go(func() {
				_ = serveFrames(conn) // the client ended the connection
				_ = conn.Close()
				r.mu.Lock()
				defer r.mu.Unlock()
				delete(r.connections, conn)
			})
		}
	})
	return r
}

func (r *framesResponder) close() {
	_ = r.listener.Close() // an error would not matter
	r.mu.Lock()
	for conn := range r.connections {
		_ = conn.Close()
	}
	r.mu.Unlock()
	r.work.Wait()
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
