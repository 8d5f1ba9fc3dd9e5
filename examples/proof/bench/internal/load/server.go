package load

import (
	"context"
	"fmt"
	"net"
	"sync"
)

// A server accepts connections on the loopback address.
type server struct {
	listener net.Listener
	work     sync.WaitGroup

	mu          sync.Mutex
	connections map[net.Conn]bool
}

// newServer returns a server that listens on a port; "0" is any free port.
func newServer(ctx context.Context, port string) (*server, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		return nil, fmt.Errorf("starting a backend: %w", err)
	}
	return &server{listener: listener, connections: make(map[net.Conn]bool)}, nil
}

// accept calls serve with each connection, and closes the connection afterwards.
func (s *server) accept(serve func(net.Conn)) {
	s.work.Go(func() {
		for {
			conn, err := s.listener.Accept()
			if err != nil {
				return // the listener is closed
			}
			s.mu.Lock()
			s.connections[conn] = true
			s.mu.Unlock()
			s.work.Go(func() {
				serve(conn)
				_ = conn.Close() // no request is in flight
				s.mu.Lock()
				defer s.mu.Unlock()
				delete(s.connections, conn)
			})
		}
	})
}

// Address returns the host and port.
func (s *server) Address() string { return s.listener.Addr().String() }

// Close closes the server and its connections, and waits until all have ended.
func (s *server) Close() {
	_ = s.listener.Close() // an error would not matter
	s.mu.Lock()
	for conn := range s.connections {
		_ = conn.Close()
	}
	s.mu.Unlock()
	s.work.Wait()
}
