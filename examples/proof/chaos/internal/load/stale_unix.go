//go:build unix

package load

import (
	"errors"
	"net"
	"syscall"
)

// stale reports whether the other side has closed an idle connection.
func stale(conn net.Conn) bool {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return true
	}
	ended := true
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, err := syscall.Read(int(fd), b[:])
		ended = !errors.Is(err, syscall.EAGAIN)
		return true
	})
	return ended || err != nil
}
