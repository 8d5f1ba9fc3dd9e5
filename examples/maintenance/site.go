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
	"path/filepath"
	"slices"
	"time"

	"github.com/scribegate/scribegate/examples/internal/document"
	"github.com/scribegate/scribegate/examples/internal/sender"
	"github.com/scribegate/scribegate/examples/internal/stage"
)

// The configurations.
var (
	//go:embed Caddyfile
	caddyfile []byte
	//go:embed postgres.caddyfile
	postgresCaddyfile []byte
	//go:embed drain.caddyfile
	drainCaddyfile []byte
)

// A site is the operator's terminal with the gateway, its provider and its backend.
type site struct {
	*document.Terminal
	binary  string
	gateway *stage.Gateway // nil while it is stopped
	drain   *stage.Gateway
	backend *backend
	admin   string // addresses
	second  string
	url     string // where the provider POSTs
	secret  string // of the provider
	notes   int    // sent so far
	etc     string // folders
	data    string
}

// newSite starts a gateway and its backend. They store their data below dir. The caller must
// close the site.
func newSite(ctx context.Context, binary, dir string, out io.Writer) (*site, error) {
	ports, err := stage.Ports(ctx, 4)
	if err != nil {
		return nil, err
	}
	bin, secrets, logs := filepath.Join(dir, "bin"), filepath.Join(dir, "secrets"), filepath.Join(dir, "log")
	s := &site{
		binary: binary,
		admin:  loopback(ports[0]), second: loopback(ports[1]), url: "http://" + loopback(ports[2]) + "/soapnote",
		secret: "whsec_c3ludGhldGljLWJlZm9yZS1yb3RhdGlvbg",
		etc:    filepath.Join(dir, "etc"), data: filepath.Join(dir, "data"),
		Terminal: &document.Terminal{
			Dir: dir,
			Out: out,
			Places: document.Places{
				{"localhost:2019", loopback(ports[0])},
				{"localhost:2020", loopback(ports[1])},
				{"https://hooks.example.com", "http://" + loopback(ports[2])},
				{"/etc/scribegate/secrets", secrets},
				{"/etc/scribegate", filepath.Join(dir, "etc")},
				{"/var/lib/scribegate", filepath.Join(dir, "data")},
				{"/var/log/scribegate", logs},
				{"/mnt/backup", filepath.Join(dir, "backup")},
				{"/usr/local/bin", bin},
			},
		},
	}
	s.Env = []string{
		"PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH"), "TZ=UTC", "HOME=" + dir,
		"CADDY_ADMIN=" + s.admin, "DRAIN_ADMIN=" + s.second, "PORT=" + ports[2], "BACKEND_PORT=" + ports[3],
		"DATA=" + s.data, "SECRETS=" + secrets, "LOG=" + filepath.Join(logs, "caddy.log"),
	}
	if err := s.prepare(bin, secrets, logs, filepath.Join(dir, "backup")); err != nil {
		return nil, err
	}
	s.backend = &backend{address: loopback(ports[3]), accepted: make(map[string]int)}
	if err := s.backend.arrive(ctx); err != nil {
		return nil, err
	}
	return s, s.start(ctx)
}

func loopback(port string) string { return net.JoinHostPort("127.0.0.1", port) }

// prepare makes the folders, and writes the configurations and the secrets.
func (s *site) prepare(bin, secrets, logs, backup string) error {
	for _, dir := range []string{bin, secrets, logs, backup, s.etc, s.data} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return fmt.Errorf("making the gateway's folders: %w", err)
		}
	}
	err := errors.Join(
		os.Symlink(s.binary, filepath.Join(bin, "caddy")),
		os.Symlink(s.binary, filepath.Join(bin, "caddy.new")),
		os.WriteFile(filepath.Join(s.etc, "Caddyfile"), caddyfile, 0o600),
		os.WriteFile(filepath.Join(s.etc, "postgres.caddyfile"), postgresCaddyfile, 0o600),
		os.WriteFile(filepath.Join(s.etc, "drain.caddyfile"), drainCaddyfile, 0o600),
		os.WriteFile(filepath.Join(secrets, "soapnote"), []byte(s.secret), 0o600),
		os.WriteFile(filepath.Join(secrets, "signing"), []byte("whsec_c3ludGhldGljLXNpZ25pbmctc2VjcmV0LWI="), 0o600),
		os.WriteFile(filepath.Join(secrets, "encryption"), []byte("c3ludGhldGljLWtleS1vZi10aGlydHktdHdvLWJ5dGU="), 0o600),
	)
	if err != nil {
		return fmt.Errorf("writing the gateway's files: %w", err)
	}
	return nil
}

// start starts the gateway.
func (s *site) start(ctx context.Context) (err error) {
	s.gateway, err = s.launch(ctx, "Caddyfile", s.admin)
	return err
}

// launch starts a gateway with a configuration.
func (s *site) launch(ctx context.Context, config, admin string) (*stage.Gateway, error) {
	return stage.StartGateway(ctx, s.binary, filepath.Join(s.etc, config), s.Dir, "http://"+admin, append(slices.Clone(s.Env), "XDG_DATA_HOME="+s.Dir)...)
}

// stop stops the gateway.
func (s *site) stop(context.Context) error {
	g := s.gateway
	s.gateway = nil
	if g == nil {
		return nil
	}
	return g.Stop()
}

// systemctl returns a command for the gateway's unit, which this program plays.
func systemctl(verb string, do func(context.Context) error) document.Command {
	return document.Command{Line: "systemctl " + verb + " scribegate", Do: do}
}

func (s *site) close() error {
	s.backend.leave()
	err := s.stop(context.Background())
	if s.drain != nil {
		err = errors.Join(err, s.drain.Stop())
	}
	return err
}

// tail returns the last lines of the gateways that run.
func (s *site) tail() (text string) {
	for _, g := range []*stage.Gateway{s.gateway, s.drain} {
		if g != nil {
			text += g.Tail(20)
		}
	}
	return text
}

// send sends new notes, which must be accepted, and returns the ids of their events.
func (s *site) send(ctx context.Context, n int) ([]string, error) {
	var ids []string
	for range n {
		s.notes++
		now := time.Now()
		request, err := sender.SOAPNoteAPI(ctx, s.url, s.secret, sender.NoteGenerated(fmt.Sprintf("sample-note-%d", s.notes), now), now)
		if err != nil {
			return nil, err
		}
		answer, err := sender.Send(request)
		if err != nil {
			return nil, err
		}
		if answer.Status != http.StatusOK || answer.Duplicate {
			return nil, fmt.Errorf("a genuine note was answered %+v", answer)
		}
		ids = append(ids, answer.ID)
	}
	return ids, nil
}

// idle waits until the gateway has delivered everything.
func (s *site) idle(ctx context.Context) error { return s.gateway.WaitIdle(ctx) }
