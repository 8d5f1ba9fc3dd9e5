package stage

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// CaddyEnv is the name of the variable with the path of the gateway's binary.
const CaddyEnv = "SCRIBEGATE_CADDY"

// Caddy returns the absolute path of the gateway's binary: the value of CaddyEnv if it is
// set, otherwise path.
func Caddy(path string) (string, error) {
	if set := os.Getenv(CaddyEnv); set != "" {
		path = set
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("looking for the gateway: %w", err)
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("looking for the gateway: %w; run `make build`, or set %s", err, CaddyEnv)
	}
	return path, nil
}

// A Gateway is a running Caddy with Scribegate.
type Gateway struct {
	*Process
	Admin string // URL of the admin endpoint
}

// StartGateway starts the binary with a configuration file and waits until it serves.
// Caddy stores its data below dir. The configuration must have its admin endpoint at the
// URL admin. The caller must Stop the gateway.
func StartGateway(ctx context.Context, binary, config, dir, admin string, env ...string) (*Gateway, error) {
	args := []string{binary, "run", "--config", config}
	if filepath.Ext(config) != ".json" {
		args = append(args, "--adapter", "caddyfile")
	}
	env = append([]string{
		"HOME=" + dir,
		"XDG_DATA_HOME=" + filepath.Join(dir, "data"),
		"XDG_CONFIG_HOME=" + filepath.Join(dir, "config"),
	}, env...)
	p, err := Start(Command{Name: "the gateway", Dir: dir, Args: args, Env: env})
	if err != nil {
		return nil, err
	}
	_, err = p.WaitLine(ctx, "the start", func(line string) bool { return strings.Contains(line, "serving initial configuration") })
	if err != nil {
		_ = p.Stop() // the first error says why it did not start
		return nil, err
	}
	return &Gateway{Process: p, Admin: admin}, nil
}

// An upstreamStatus is an upstream in GET /scribegate/status.
type upstreamStatus struct {
	Name     string `json:"name"`
	Pending  int    `json:"pending"`
	InFlight int    `json:"in_flight"`
	Dead     int    `json:"dead"`
}

// WaitIdle waits until every accepted event is delivered. It returns an error if an event
// is dead, since that event would never be delivered.
func (g *Gateway) WaitIdle(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		upstreams, err := g.upstreams(ctx)
		if err != nil {
			return err
		}
		busy := false
		for _, u := range upstreams {
			if u.Dead > 0 {
				return fmt.Errorf("waiting for the deliveries: %d dead at the upstream %s; the gateway printed:\n%s", u.Dead, u.Name, g.Tail(20))
			}
			busy = busy || u.Pending+u.InFlight > 0
		}
		if !busy {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for the deliveries: %w; the gateway printed:\n%s", context.Cause(ctx), g.Tail(20))
		}
	}
}

func (g *Gateway) upstreams(ctx context.Context) ([]upstreamStatus, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, g.Admin+"/scribegate/status", nil)
	if err != nil {
		return nil, fmt.Errorf("asking for the status: %w", err)
	}
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("asking for the status: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("asking for the status: the gateway answered %s", resp.Status)
	}
	var status struct {
		Upstreams []upstreamStatus `json:"upstreams"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&status); err != nil {
		return nil, fmt.Errorf("reading the status: %w", err)
	}
	return status.Upstreams, nil
}
