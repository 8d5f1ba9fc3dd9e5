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

// The range of the returned ports. It is below the range for outgoing connections:
// otherwise such a connection could use a port while its process restarts.
const (
	lowestPort  = 15_000
	highestPort = 30_000
	portTries   = 1000
)

// returned are the ports that Ports has returned. They are not returned again, since a
// process that restarts does not listen on its port for a moment, and since Caddy shares a
// port with another Caddy: each would receive some of the other's requests.
var returned struct {
	mu    sync.Mutex
	ports map[string]bool
}

// Ports returns n different loopback ports that no process listens on, and that it has
// not returned before.
func Ports(ctx context.Context, n int) ([]string, error) {
	returned.mu.Lock()
	defer returned.mu.Unlock()
	if returned.ports == nil || len(returned.ports) > (highestPort-lowestPort)/2 {
		returned.ports = make(map[string]bool)
	}
	ports := make([]string, 0, n)
	var err error
	for range portTries {
		if len(ports) == n {
			return ports, nil
		}
		port := strconv.Itoa(lowestPort + rand.IntN(highestPort-lowestPort)) //nolint:gosec // no secret
		if returned.ports[port] {
			continue
		}
		var listener net.Listener
		if listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", port)); err != nil {
			continue // it is in use
		}
		defer listener.Close() // after the last port is found, so that all differ
		returned.ports[port] = true
		ports = append(ports, port)
	}
	return nil, fmt.Errorf("looking for a free port: %w", errors.Join(err, ctx.Err()))
}
