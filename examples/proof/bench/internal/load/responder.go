package load

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
)

// responderAnswer is the answer of a responder to each request.
const responderAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

// A Responder is an HTTP/1.1 server that reads each request and answers 200, with as little work as
// possible. It is the backend of the gateways, and the target when the load generator itself is
// measured.
type Responder struct {
	*server
	Hangs    bool // it reads requests and does not answer
	Received atomic.Int64
	First    chan struct{} // closed at the first request
	once     sync.Once
	closed   chan struct{}
	ids      [][]uint64 // by connection, of those that have ended; guarded by server.mu
}

// NewResponder returns a responder that listens on a loopback port; "0" is any free port.
func NewResponder(ctx context.Context, port string) (*Responder, error) {
	s, err := newServer(ctx, port)
	if err != nil {
		return nil, err
	}
	return &Responder{server: s, First: make(chan struct{}), closed: make(chan struct{})}, nil
}

// Start makes the responder serve, and returns it.
func (r *Responder) Start() *Responder {
	r.accept(r.serve)
	return r
}

func (r *Responder) serve(conn net.Conn) {
	var ids []uint64
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.ids = append(r.ids, ids)
	}()
	in := bufio.NewReaderSize(conn, 64<<10)
	for {
		h, err := readHead(in)
		if err != nil {
			return // the client ended the connection
		}
		if _, err := in.Discard(h.length); err != nil {
			return
		}
		r.once.Do(func() { close(r.First) })
		if r.Hangs {
			<-r.closed
			return
		}
		if h.delivery != 0 {
			ids = append(ids, h.delivery)
		}
		r.Received.Add(1)
		if _, err := conn.Write([]byte(responderAnswer)); err != nil {
			return
		}
	}
}

// Close closes the responder and its connections, and waits until all have ended.
func (r *Responder) Close() {
	close(r.closed)
	r.server.Close()
}

// Deliveries returns the ids of all deliveries. The responder must be closed.
func (r *Responder) Deliveries() []uint64 { return slices.Concat(r.ids...) }

// EachOnce returns an error unless ids are this number of different events, each once.
func EachOnce(ids []uint64, events int) error {
	different := len(slices.Compact(slices.Sorted(slices.Values(ids))))
	if different != events || len(ids) != events {
		return fmt.Errorf("%d deliveries of %d events, want %d events, each delivered once", len(ids), different, events)
	}
	return nil
}
