package upstreams

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/scribegate/scribegate/examples/internal/stage"
)

// A badUpstream is a backend with one fault, until it is healed. It writes its answers byte by byte,
// without net/http.
type badUpstream struct {
	url      string
	listener net.Listener // nil if the upstream does not listen
	treat    func(*exchange)

	ctx    context.Context //nolint:containedctx // ends requests that hang
	cancel context.CancelFunc
	healed atomic.Bool
	work   sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	first  string // id of the first event
	strays int    // number of requests to the path elsewhere
}

// An exchange is one request to a bad upstream.
type exchange struct {
	upstream *badUpstream
	conn     net.Conn
	first    bool // whether it is for the first event
}

// write writes text to the connection.
func (x *exchange) write(text string) error {
	_, err := io.WriteString(x.conn, text)
	return err
}

// hang waits until the upstream is closed.
func (x *exchange) hang() { <-x.upstream.ctx.Done() }

const (
	okAnswer   = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	longAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nthe beginning"

	elsewhere = "/elsewhere" // the target of redirects
)

func newBadUpstream(ctx context.Context, treat func(*exchange)) *badUpstream {
	u := &badUpstream{treat: treat, conns: make(map[net.Conn]struct{})}
	u.ctx, u.cancel = context.WithCancel(ctx)
	return u
}

// listenBadly starts an upstream that calls treat for every request. The caller must close it.
func listenBadly(ctx context.Context, treat func(*exchange)) (*badUpstream, error) {
	u := newBadUpstream(ctx, treat)
	return u, u.listen("127.0.0.1:0")
}

// refuseConnections returns an upstream at an address where no program listens.
func refuseConnections(ctx context.Context) (*badUpstream, error) {
	u := newBadUpstream(ctx, nil)
	ports, err := stage.Ports(ctx, 1)
	if err != nil {
		return u, err
	}
	u.url = "http://127.0.0.1:" + ports[0]
	return u, nil
}

func (u *badUpstream) listen(address string) error {
	listener, err := (&net.ListenConfig{}).Listen(u.ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("starting a bad upstream: %w", err)
	}
	u.listener, u.url = listener, "http://"+listener.Addr().String()
	u.work.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // the listener is closed
			}
			u.work.Go(func() { u.serve(conn) })
		}
	})
	return nil
}

// heal makes the upstream accept all further requests. Requests that hang continue to hang.
func (u *badUpstream) heal() error {
	u.healed.Store(true)
	if u.listener == nil && u.url != unknownHost {
		return u.listen(u.url[len("http://"):])
	}
	return nil
}

func (u *badUpstream) serve(conn net.Conn) {
	u.mu.Lock()
	u.conns[conn] = struct{}{}
	u.mu.Unlock()
	defer func() {
		_ = conn.Close() // an error would not matter
		u.mu.Lock()
		delete(u.conns, conn)
		u.mu.Unlock()
	}()
	in := bufio.NewReader(conn)
	for u.ctx.Err() == nil {
		request, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, request.Body); err != nil {
			return
		}
		x := u.record(conn, request)
		if u.healed.Load() {
			if x.write(okAnswer) != nil {
				return
			}
			continue
		}
		u.treat(x)
	}
}

func (u *badUpstream) record(conn net.Conn, request *http.Request) *exchange {
	u.mu.Lock()
	defer u.mu.Unlock()
	if request.URL.Path == elsewhere {
		u.strays++
	}
	id := request.Header.Get("Webhook-Id")
	if u.first == "" {
		u.first = id
	}
	return &exchange{upstream: u, conn: conn, first: u.first == id}
}

// strayed returns the number of requests that followed a redirect.
func (u *badUpstream) strayed() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.strays
}

func (u *badUpstream) close() {
	u.cancel()
	if u.listener != nil {
		_ = u.listener.Close()
	}
	u.mu.Lock()
	for conn := range u.conns {
		_ = conn.Close()
	}
	u.mu.Unlock()
	u.work.Wait()
}

// reset closes the connection with RST.
func (x *exchange) reset() {
	if tcp, ok := x.conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = x.conn.Close()
}

// stream sends an endless answer.
func (x *exchange) stream() {
	err := x.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
	for err == nil && x.upstream.ctx.Err() == nil {
		err = x.write("400\r\n" + streamed + "\r\n")
		time.Sleep(time.Millisecond) // a thousand KiB a second
	}
	if errors.Is(err, net.ErrClosed) {
		return
	}
	_ = x.conn.Close()
}
