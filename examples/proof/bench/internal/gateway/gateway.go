package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/scribegate/scribegate/examples/internal/stage"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/certificate"
)

// StartLimit is the maximum time until a gateway listens, with any backlog.
const StartLimit = time.Minute

// A Gateway is a Caddy, bare or with Scribegate. It keeps its directory and its ports over
// restarts.
type Gateway struct {
	binary string
	dir    string
	env    []string
	Site   string // host and port
	Secure string // the same with TLS
	admin  string

	Process *stage.Process
	Began   time.Time // immediately before the start of the process
}

// dataDir is the name of the gateway's data directory.
const dataDir = "data"

// New returns a gateway that is not started yet, with a new directory below parent.
func New(ctx context.Context, parent, binary string, s Secrets) (*Gateway, error) {
	dir, err := os.MkdirTemp(parent, "gateway-")
	if err != nil {
		return nil, fmt.Errorf("making a directory for a gateway: %w", err)
	}
	ports, err := stage.Ports(ctx, 3)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	const host = "127.0.0.1:"
	env := append([]string{"HOME=" + dir, "XDG_DATA_HOME=" + filepath.Join(dir, dataDir), "XDG_CONFIG_HOME=" + filepath.Join(dir, "config")}, s.env()...)
	return &Gateway{binary: binary, dir: dir, env: env, Site: host + ports[0], Secure: host + ports[1], admin: host + ports[2]}, nil
}

// Start starts the gateway and waits until it listens. With a certificate it also has a site
// with TLS.
func (g *Gateway) Start(ctx context.Context, c Configuration, cert *certificate.Certificate) error {
	if err := g.Launch(c, cert); err != nil {
		return err
	}
	if err := g.listening(ctx, g.Site); err != nil || cert == nil {
		return err
	}
	return g.listening(ctx, g.Secure)
}

// Launch starts the gateway without waiting.
func (g *Gateway) Launch(c Configuration, cert *certificate.Certificate) (err error) {
	config := filepath.Join(g.dir, "Caddyfile")
	if err := os.WriteFile(config, []byte(c.text(g, cert)), 0o600); err != nil {
		return fmt.Errorf("writing the gateway's configuration: %w", err)
	}
	g.Began = time.Now()
	g.Process, err = stage.Start(stage.Command{
		Name: "the gateway", Dir: g.dir, Env: g.env,
		Args: []string{g.binary, "run", "--config", config, "--adapter", "caddyfile"},
	})
	return err
}

func (g *Gateway) listening(ctx context.Context, address string) error {
	dialer := net.Dialer{Timeout: time.Second}
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		if c, err := dialer.DialContext(ctx, "tcp", address); err == nil {
			return c.Close()
		}
		select {
		case <-tick.C:
		case <-g.Process.Ended():
			return fmt.Errorf("starting the gateway: it ended; its last lines are:\n%s", g.tail())
		case <-ctx.Done():
			return fmt.Errorf("starting the gateway: %w", context.Cause(ctx))
		}
		if took := time.Since(g.Began); took > StartLimit {
			return fmt.Errorf("starting the gateway: it does not listen after %s; its last lines are:\n%s", took, g.tail())
		}
	}
}

// Stop stops the gateway and waits until it has ended. A panic in its output is an error.
func (g *Gateway) Stop() error {
	if g.Process == nil {
		return nil
	}
	err := g.Process.Stop()
	for _, line := range g.Process.Lines() {
		if strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "fatal error:") {
			return errors.Join(err, fmt.Errorf("the gateway printed:\n%s", g.Process.Tail(40)))
		}
	}
	g.Process = nil
	return err
}

// CloseInto stops the gateway and deletes its directory. It adds errors to err, with the end of
// the gateway's log. It is for a defer.
func (g *Gateway) CloseInto(err *error) {
	stopped := g.Stop()
	if *err != nil {
		*err = fmt.Errorf("%w; the gateway's last lines are:\n%s", *err, g.tail())
	}
	*err = errors.Join(*err, stopped, os.RemoveAll(g.dir))
}

// tail returns the last lines of the gateway's output and log.
func (g *Gateway) tail() string {
	const lines = 10
	log, _ := os.ReadFile(filepath.Join(g.dir, logFile)) // there may be none
	all := strings.Split(strings.TrimSpace(string(log)), "\n")
	text := "\t" + strings.Join(all[max(0, len(all)-lines):], "\n\t")
	if g.Process != nil {
		text = g.Process.Tail(lines) + "\n" + text
	}
	return text
}

// EachQueueFile calls do with the path of each file of the queue.
func (g *Gateway) EachQueueFile(do func(file string) error) error {
	files, err := filepath.Glob(filepath.Join(g.dir, dataDir, queueFile) + "*")
	if err == nil && len(files) == 0 {
		err = errors.New("the gateway has no queue")
	}
	for _, file := range files {
		err = errors.Join(err, do(file))
	}
	return err
}
