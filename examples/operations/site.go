package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/scribegate/scribegate/examples/internal/document"
	"github.com/scribegate/scribegate/examples/internal/stage"
	"github.com/scribegate/scribegate/examples/providers/standin"
)

//go:embed Caddyfile
var caddyfile []byte

// The waits between attempts. The normal ones are the defaults without the first wait of
// 5 s, since the program reacts faster than a person on call. With the short ones, events
// are dead within seconds.
const (
	normalRetry = "30s 2m 10m 30m 1h 2h 4h 8h"
	shortRetry  = "1s 1s 1s"
)

// A site is a running gateway with its provider and its backend, and the console of the
// person on call.
type site struct {
	*document.Terminal
	binary   string
	config   string
	gateway  *stage.Gateway
	backend  *backend
	provider provider
	api      *http.Server // the provider's REST API
}

// startSite starts a gateway and its backend. They store their data below dir. The caller
// must stop the site.
func startSite(ctx context.Context, binary, dir string, out io.Writer) (*site, error) {
	if _, err := exec.LookPath("curl"); err != nil {
		return nil, fmt.Errorf("looking for curl: %w; install it with: apt-get install curl", err)
	}
	ports, err := stage.Ports(ctx, 4)
	if err != nil {
		return nil, err
	}
	admin, hooks, events, api := loopback(ports[0]), loopback(ports[1]), loopback(ports[2]), loopback(ports[3])
	bin, secrets, logs := filepath.Join(dir, "bin"), filepath.Join(dir, "secrets"), filepath.Join(dir, "log")
	s := &site{
		binary:   binary,
		config:   filepath.Join(dir, "Caddyfile"),
		provider: provider{url: "http://" + hooks + "/soapnote", secret: "whsec_before_rotation", api: standin.New(standin.Options{})},
		Terminal: &document.Terminal{
			Dir: dir,
			Out: out,
			Places: document.Places{
				{"localhost:2019", admin},
				{"https://hooks.example.com", "http://" + hooks},
				{"127.0.0.1:9000", events},
				{"/run/secrets", secrets},
				{"/var/log/caddy", logs},
			},
		},
	}
	s.Env = []string{
		"PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH"), "TZ=UTC", "HOME=" + dir,
		"CADDY_ADMIN=" + admin, "PORT=" + ports[1], "BACKEND_PORT=" + ports[2], "API=" + api,
		"LOG=" + filepath.Join(logs, "caddy.log"), "SECRETS=" + secrets,
	}
	if err := s.prepare(bin, secrets, logs); err != nil {
		return nil, err
	}
	if s.backend, err = newBackend(ctx, events); err != nil {
		return nil, err
	}
	if err := s.startAPI(ctx, api); err != nil {
		s.backend.leave()
		return nil, err
	}
	s.gateway, err = stage.StartGateway(ctx, binary, s.config, dir, "http://"+admin, append(slices.Clone(s.Env), "RETRY="+normalRetry)...)
	if err != nil {
		s.leave()
		return nil, err
	}
	return s, nil
}

// startAPI starts the provider's REST API at an address.
func (s *site) startAPI(ctx context.Context, address string) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("starting the provider's API: %w", err)
	}
	s.api = &http.Server{Handler: s.provider.api, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = s.api.Serve(listener) }() // it ends with Close
	return nil
}

func loopback(port string) string { return net.JoinHostPort("127.0.0.1", port) }

// prepare writes the configuration and the secrets, and links the command `caddy`.
func (s *site) prepare(bin, secrets, logs string) error {
	err := errors.Join(
		os.Mkdir(bin, 0o700), os.Mkdir(secrets, 0o700), os.Mkdir(logs, 0o700),
		os.Symlink(s.binary, filepath.Join(bin, "caddy")),
		os.WriteFile(s.config, caddyfile, 0o600),
		os.WriteFile(filepath.Join(secrets, "soapnote"), []byte(s.provider.secret), 0o600),
		os.WriteFile(filepath.Join(secrets, "soapnote.old"), []byte("whsec_of_last_year"), 0o600),
		os.WriteFile(filepath.Join(secrets, "soapnote.api"), []byte(standin.SOAPNoteKey), 0o600),
	)
	if err != nil {
		return fmt.Errorf("preparing the gateway's files: %w", err)
	}
	return nil
}

// retry reloads the gateway with other waits between attempts.
func (s *site) retry(ctx context.Context, waits string) error {
	reload := exec.CommandContext(ctx, s.binary, "reload", "--config", s.config, "--adapter", "caddyfile")
	reload.Env = append(slices.Clone(s.Env), "RETRY="+waits)
	if output, err := reload.CombinedOutput(); err != nil {
		return fmt.Errorf("reloading the gateway: %w\n%s", err, output)
	}
	return nil
}

// ready returns an error unless the gateway itself is ready, as it should be in all incidents.
func (s *site) ready(ctx context.Context) error {
	output, err := s.Execute(ctx, document.Command{Line: "caddy scribegate health ready"})
	if err == nil && output != "ready: ok\n" {
		err = errors.New("the gateway is not ready")
	}
	if err != nil {
		return fmt.Errorf("checking whether the gateway is ready: %w\n%s", err, output)
	}
	return nil
}

func (s *site) stop() error {
	s.leave()
	return s.gateway.Stop()
}

// leave stops the backend and the provider's API.
func (s *site) leave() {
	s.backend.leave()
	s.provider.api.Close()
	_ = s.api.Close() // errors of connections do not matter
}
