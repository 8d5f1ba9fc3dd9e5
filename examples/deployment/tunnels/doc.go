// Package tunnels tests the configurations for a gateway behind a tunnel. The test, with the
// build tag examples, plays the tunnel.
package tunnels
