package stage

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// The range that ports are taken from, below those that systems give to outgoing
// connections: one of these could otherwise take a port while the process that
// it is for is being started again.
const (
	lowestPort  = 15_000
	highestPort = 30_000
	portTries   = 1000
)

// Ports returns n different loopback ports that nobody listens on. They are all
// held before the first is given back.
func Ports(ctx context.Context, n int) ([]string, error) {
	ports := make([]string, 0, n)
	var err error
	for range portTries {
		if len(ports) == n {
			return ports, nil
		}
		port := strconv.Itoa(lowestPort + rand.IntN(highestPort-lowestPort)) //nolint:gosec // no secret
		var listener net.Listener
		if listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", port)); err != nil {
			continue // somebody has it
		}
		defer listener.Close()
		ports = append(ports, port)
	}
	return nil, fmt.Errorf("looking for a free port: %w", errors.Join(err, ctx.Err()))
}
