package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/scribegate/scribegate/examples/internal/stage"
)

//go:embed Caddyfile
var caddyfile []byte

// The waits between attempts. Those of an ordinary gateway, save that the first
// one of 5 s is left out: whoever is on call comes later than that, and the
// program does not. And those by which events die while one looks on.
const (
	patientRetry = "30s 2m 10m 30m 1h 2h 4h 8h"
	hastyRetry   = "1s 1s 1s"
)

// A site is a running gateway, what stands around it, and the console of whoever
// is on call.
type site struct {
	*console
	binary   string
	config   string
	gateway  *stage.Gateway
	backend  *backend
	provider provider
}

// startSite starts a gateway and its backend, with all that they keep below dir.
// The caller must stop the site.
func startSite(ctx context.Context, binary, dir string, out io.Writer) (*site, error) {
	if _, err := exec.LookPath("curl"); err != nil {
		return nil, fmt.Errorf("looking for curl: %w; install it with: apt-get install curl", err)
	}
	ports, err := stage.Ports(ctx, 3)
	if err != nil {
		return nil, err
	}
	admin, hooks, events := loopback(ports[0]), loopback(ports[1]), loopback(ports[2])
	bin, secrets, logs := filepath.Join(dir, "bin"), filepath.Join(dir, "secrets"), filepath.Join(dir, "log")
	s := &site{
		binary:   binary,
		config:   filepath.Join(dir, "Caddyfile"),
		provider: provider{url: "http://" + hooks + "/soapnote", secret: "whsec_of_the_evening"},
		console: &console{
			dir: dir,
			out: out,
			places: places{
				{"localhost:2019", admin},
				{"https://hooks.example.com", "http://" + hooks},
				{"127.0.0.1:9000", events},
				{"/run/secrets", secrets},
				{"/var/log/caddy", logs},
			},
		},
	}
	s.env = []string{
		"PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH"), "TZ=UTC", "HOME=" + dir,
		"CADDY_ADMIN=" + admin, "PORT=" + ports[1], "BACKEND_PORT=" + ports[2],
		"LOG=" + filepath.Join(logs, "caddy.log"), "SECRETS=" + secrets,
	}
	if err := s.furnish(bin, secrets, logs); err != nil {
		return nil, err
	}
	if s.backend, err = newBackend(ctx, events); err != nil {
		return nil, err
	}
	s.gateway, err = stage.StartGateway(ctx, binary, s.config, dir, "http://"+admin, append(slices.Clone(s.env), "RETRY="+patientRetry)...)
	if err != nil {
		s.backend.leave()
		return nil, err
	}
	return s, nil
}

func loopback(port string) string { return net.JoinHostPort("127.0.0.1", port) }

// furnish puts the configuration, the secrets and the command `caddy` in place.
func (s *site) furnish(bin, secrets, logs string) error {
	err := errors.Join(
		os.Mkdir(bin, 0o700), os.Mkdir(secrets, 0o700), os.Mkdir(logs, 0o700),
		os.Symlink(s.binary, filepath.Join(bin, "caddy")),
		os.WriteFile(s.config, caddyfile, 0o600),
		os.WriteFile(filepath.Join(secrets, "soapnote"), []byte(s.provider.secret), 0o600),
		os.WriteFile(filepath.Join(secrets, "soapnote.old"), []byte("whsec_of_the_year_before"), 0o600),
	)
	if err != nil {
		return fmt.Errorf("preparing the stage: %w", err)
	}
	return nil
}

// retry gives the gateway other waits between attempts.
func (s *site) retry(ctx context.Context, waits string) error {
	reload := exec.CommandContext(ctx, s.binary, "reload", "--config", s.config, "--adapter", "caddyfile")
	reload.Env = append(slices.Clone(s.env), "RETRY="+waits)
	if output, err := reload.CombinedOutput(); err != nil {
		return fmt.Errorf("reloading the gateway: %w\n%s", err, output)
	}
	return nil
}

// ready asks whether the gateway itself is well, as it is in all incidents.
func (s *site) ready(ctx context.Context) error {
	said, err := s.execute(ctx, command{line: "caddy scribegate health ready"})
	if err == nil && said != "ready: ok\n" {
		err = errors.New("the gateway is not ready")
	}
	if err != nil {
		return fmt.Errorf("asking whether the gateway is ready: %w\n%s", err, said)
	}
	return nil
}

func (s *site) stop() error {
	s.backend.leave()
	return s.gateway.Stop()
}
