package load

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"golang.org/x/net/http2"

	"github.com/scribegate/scribegate/examples/proof/bench/internal/certificate"
)

// strictServer answers one request, then allows no further data until the client has answered a ping,
// and answers a second request.
func strictServer(conn net.Conn, size int) error {
	defer conn.Close()
	if _, err := io.CopyN(io.Discard, conn, int64(len(http2.ClientPreface))); err != nil {
		return err
	}
	framer := http2.NewFramer(conn, conn)
	err := errors.Join(framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(size)}),
		framer.WriteWindowUpdate(0, uint32(size-firstWindow)))
	if err != nil {
		return err
	}
	if err := answerOne(framer); err != nil {
		return err
	}
	if err := framer.WritePing(false, [8]byte{1}); err != nil {
		return err
	}
	frame, err := framer.ReadFrame()
	if err != nil {
		return err
	}
	if ping, ok := frame.(*http2.PingFrame); !ok || !ping.IsAck() {
		return fmt.Errorf("the client sends %s, although the window is empty", frame.Header())
	}
	if err := framer.WriteWindowUpdate(0, uint32(size)); err != nil {
		return err
	}
	return answerOne(framer)
}

// answerOne reads a request to its end and answers 204.
func answerOne(framer *http2.Framer) error {
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return err
		}
		if data, ok := frame.(*http2.DataFrame); ok && data.StreamEnded() {
			return framer.WriteHeaders(http2.HeadersFrameParam{StreamID: data.StreamID, BlockFragment: []byte{0x89}, EndHeaders: true, EndStream: true})
		}
	}
}

func TestFlowControl(t *testing.T) {
	t.Parallel()
	const size = 100_000
	cert, err := certificate.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", cert.Server)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	served := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			err = strictServer(conn, size)
		}
		served <- err
	}()
	to := Target{Address: listener.Addr().String(), TLS: cert.Client}
	got, err := connect(t, to, 1).Run(t.Context(), Phase{Batch: prepare(t, to, size, 2)})
	if err != nil || got.statuses[204] != 2 {
		t.Errorf("%v, %v", got.statuses, err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestServerGoesAway(t *testing.T) {
	t.Parallel()
	cert, err := certificate.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, leave := range map[string]func(*http2.Framer) error{
		"for good":         func(f *http2.Framer) error { return f.WriteGoAway(0, http2.ErrCodeEnhanceYourCalm, nil) },
		"from the stream":  func(f *http2.Framer) error { return f.WriteRSTStream(3, http2.ErrCodeRefusedStream) },
		"without any word": func(*http2.Framer) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			listener, err := tls.Listen("tcp", "127.0.0.1:0", cert.Server)
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			go func() {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				_, _ = io.CopyN(io.Discard, conn, int64(len(http2.ClientPreface)))
				framer := http2.NewFramer(conn, conn)
				_ = framer.WriteSettings()
				for {
					frame, err := framer.ReadFrame()
					if err != nil {
						return
					}
					if frame.Header().Type == http2.FrameData {
						_ = leave(framer)
						if name == "without any word" {
							return
						}
					}
				}
			}()
			to := Target{Address: listener.Addr().String(), TLS: cert.Client}
			if got, err := connect(t, to, 1).Run(t.Context(), Phase{Batch: prepare(t, to, 126, 1)}); err == nil {
				t.Errorf("Run() = %v, nil", got.statuses)
			}
		})
	}
}
