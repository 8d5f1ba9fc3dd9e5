package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
)

// responderAnswer is the answer of a responder to each request.
const responderAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

// A responder is an HTTP/1.1 server that reads each request and answers 200, with as little work as
// possible. It is the backend of the gateways, and the target when the load generator itself is
// measured.
type responder struct {
	listener net.Listener
	hangs    bool // it reads requests and does not answer
	received atomic.Int64
	first    chan struct{} // closed at the first request
	once     sync.Once
	closed   chan struct{}
	work     sync.WaitGroup

	mu          sync.Mutex
	connections map[net.Conn]bool
	ids         [][]uint64 // by connection, of those that have ended
}

// newResponder returns a responder that listens on a loopback port; "0" is any free port.
func newResponder(ctx context.Context, port string) (*responder, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		return nil, fmt.Errorf("starting a backend: %w", err)
	}
	return &responder{listener: listener, first: make(chan struct{}), closed: make(chan struct{}), connections: make(map[net.Conn]bool)}, nil
}

// start makes the responder serve, and returns it.
func (r *responder) start() *responder {
	r.work.Go(func() {
		for {
			conn, err := r.listener.Accept()
			if err != nil {
				return // the listener is closed
			}
			r.mu.Lock()
			r.connections[conn] = true
			r.mu.Unlock()
			r.work.Go(func() { r.serve(conn) })
		}
	})
	return r
}

// address returns the host and port.
func (r *responder) address() string { return r.listener.Addr().String() }

func (r *responder) serve(conn net.Conn) {
	var ids []uint64
	defer func() {
		_ = conn.Close() // no request is in flight
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.connections, conn)
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
		r.once.Do(func() { close(r.first) })
		if r.hangs {
			<-r.closed
			return
		}
		if h.delivery != 0 {
			ids = append(ids, h.delivery)
		}
		r.received.Add(1)
		if _, err := conn.Write([]byte(responderAnswer)); err != nil {
			return
		}
	}
}

// close closes the responder and its connections, and waits until all have ended.
func (r *responder) close() {
	close(r.closed)
	_ = r.listener.Close() // an error would not matter
	r.mu.Lock()
	for conn := range r.connections {
		_ = conn.Close()
	}
	r.mu.Unlock()
	r.work.Wait()
}

// deliveries returns the ids of all deliveries. The responder must be closed.
func (r *responder) deliveries() []uint64 { return slices.Concat(r.ids...) }

// eachOnce returns an error unless ids are this number of different events, each once.
func eachOnce(ids []uint64, events int) error {
	different := len(slices.Compact(slices.Sorted(slices.Values(ids))))
	if different != events || len(ids) != events {
		return fmt.Errorf("%d deliveries of %d events, want %d events, each delivered once", len(ids), different, events)
	}
	return nil
}

var errNoDelivery = errors.New("nothing was delivered")
