package stage

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// The range that ports are taken from, below those that systems give to outgoing
// connections: one of these could otherwise take a port while the process that
// it is for is being started again.
const (
	lowestPort  = 15_000
	highestPort = 30_000
	portTries   = 1000
)

// given are the ports that this process has been given. A process that is started
// again has none of its ports meanwhile, and Caddy shares a port that another one
// listens on, so that each would get a part of the other's requests.
var given struct {
	mu    sync.Mutex
	ports map[string]bool
}

// Ports returns n different loopback ports that nobody listens on, and that it has
// not returned before. They are all held before the first is given back.
func Ports(ctx context.Context, n int) ([]string, error) {
	given.mu.Lock()
	defer given.mu.Unlock()
	if given.ports == nil || len(given.ports) > (highestPort-lowestPort)/2 {
		given.ports = make(map[string]bool)
	}
	ports := make([]string, 0, n)
	var err error
	for range portTries {
		if len(ports) == n {
			return ports, nil
		}
		port := strconv.Itoa(lowestPort + rand.IntN(highestPort-lowestPort)) //nolint:gosec // no secret
		if given.ports[port] {
			continue
		}
		var listener net.Listener
		if listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", port)); err != nil {
			continue // somebody has it
		}
		defer listener.Close()
		given.ports[port] = true
		ports = append(ports, port)
	}
	return nil, fmt.Errorf("looking for a free port: %w", errors.Join(err, ctx.Err()))
}
