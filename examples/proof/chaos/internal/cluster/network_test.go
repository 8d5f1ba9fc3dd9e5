package cluster

import (
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// On a link that is cut nothing arrives, and nobody gets an error. What was sent arrives when the link is whole again.
func TestNetwork(t *testing.T) {
	n, err := newNetwork(t.Context(), 1)
	if err != nil {
		if strings.Contains(err.Error(), "run it as root") || strings.Contains(err.Error(), "apt-get install -y iproute2") {
			return // without the right to make a network, only the error can be tested
		}
		t.Fatal(err)
	}
	defer func() {
		if err := n.close(); err != nil {
			t.Error(err)
		}
	}()
	var listener net.Listener
	err = n.inside(func() (err error) {
		listener, err = net.Listen("tcp", net.JoinHostPort(n.address(0), "0"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	c, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	far, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	send := func(text string) {
		t.Helper()
		if _, err := c.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	arrives := func(text string, limit time.Duration) error {
		t.Helper()
		if err := far.SetReadDeadline(time.Now().Add(limit)); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 10)
		m, err := far.Read(got)
		if err == nil && string(got[:m]) != text {
			t.Fatalf("%q arrived, want %q", got[:m], text)
		}
		return err
	}
	send("a")
	if err := arrives("a", 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := n.cut(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	send("b")
	if err := arrives("b", 300*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("on the link that is cut: %v, want no answer", err)
	}
	if err := n.heal(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if err := arrives("b", 10*time.Second); err != nil {
		t.Fatal(err)
	}
}
