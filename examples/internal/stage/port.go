package stage

import (
	"context"
	"fmt"
	"net"
	"strconv"
)

// Ports returns n different loopback ports that nobody listens on. They are all
// held before the first is given back, and the system hands them out in turn, so
// that nobody else is likely to get one before the caller uses it.
func Ports(ctx context.Context, n int) ([]string, error) {
	ports := make([]string, 0, n)
	for range n {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("looking for a free port: %w", err)
		}
		defer listener.Close()
		address, ok := listener.Addr().(*net.TCPAddr)
		if !ok {
			return nil, fmt.Errorf("looking for a free port: %s is no TCP address", listener.Addr())
		}
		ports = append(ports, strconv.Itoa(address.Port))
	}
	return ports, nil
}
