package commandtest

import (
	"net"
	"testing"
)

// No connection is accepted at a closed port, and no other server can take the port meanwhile.
func TestClosedPort(t *testing.T) {
	t.Parallel()
	address := ClosedPort(t)
	if conn, err := net.Dial("tcp", address); err == nil {
		_ = conn.Close()
		t.Error("a connection is accepted")
	}
	if l, err := net.Listen("tcp", address); err == nil {
		_ = l.Close()
		t.Error("another server can listen there")
	}
}
