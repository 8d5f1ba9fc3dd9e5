package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/scribegate/scribegate/examples/internal/stage"
)

// startLimit is the maximum time until a gateway listens, with any backlog. The promised time is
// shorter, and scenarios measure it.
const startLimit = time.Minute

// A rig is a gateway with its own directory, ports and backends. All of them are kept when the
// gateway restarts.
type rig struct {
	ledger *ledger

	binary  string
	dir     string
	port    string // of the site
	admin   string // host and port of the admin endpoint
	proc    *process
	starts  int
	secrets secrets
}

// newRig returns a rig with a backend for each of these upstreams. The caller must close it.
func (e *env) newRig(ctx context.Context, upstreams ...string) (*rig, error) {
	dir, err := os.MkdirTemp(e.dir, "scribegate-chaos-")
	if err != nil {
		return nil, fmt.Errorf("making a directory for the queue: %w", err)
	}
	r := &rig{ledger: newLedger(), binary: e.binary, dir: dir, secrets: newSecrets()}
	ports, err := stage.Ports(ctx, 2)
	if err != nil {
		return nil, errors.Join(err, r.close())
	}
	r.port, r.admin = ports[0], "127.0.0.1:"+ports[1]
	for _, name := range upstreams {
		if _, err := r.ledger.add(ctx, name); err != nil {
			return nil, errors.Join(err, r.close())
		}
	}
	return r, nil
}

// url returns the URL of the gateway's site.
func (r *rig) url() string { return "http://127.0.0.1:" + r.port }

// queueFile returns the path of the queue's file in the Caddyfile.
func (r *rig) queueFile() string { return filepath.Join(r.dir, "queue.db") }

// start starts the gateway with a Caddyfile and waits until it listens.
func (r *rig) start(ctx context.Context, caddyfile string) error {
	if err := r.launch(caddyfile); err != nil {
		return err
	}
	_, err := r.listening(ctx)
	return err
}

// launch starts the gateway without waiting.
func (r *rig) launch(caddyfile string) error {
	config := filepath.Join(r.dir, "Caddyfile")
	if err := os.WriteFile(config, []byte(caddyfile), 0o600); err != nil {
		return fmt.Errorf("writing the gateway's configuration: %w", err)
	}
	if r.proc != nil {
		_ = os.Remove(r.proc.log) // it was checked when that process ended
	}
	r.starts++
	p, err := startProcess(r.binary, r.dir, filepath.Join(r.dir, "log-"+strconv.Itoa(r.starts)), r.env(),
		"run", "--config", config, "--adapter", "caddyfile")
	if err != nil {
		return err
	}
	r.proc = p
	return nil
}

// env returns the environment of the gateway and of its commands.
func (r *rig) env() []string {
	return append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + r.dir,
		"XDG_DATA_HOME=" + filepath.Join(r.dir, "data"), "XDG_CONFIG_HOME=" + filepath.Join(r.dir, "config"),
	}, r.secrets.env()...)
}

// listening waits until the gateway accepts connections, and returns the time since the start of the
// process.
func (r *rig) listening(ctx context.Context) (time.Duration, error) {
	dialer := net.Dialer{Timeout: time.Second}
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := dialer.DialContext(ctx, "tcp", "127.0.0.1:"+r.port)
		if err == nil {
			took := time.Since(r.proc.began)
			return took, c.Close()
		}
		select {
		case <-tick.C:
		case <-r.proc.ended:
			r.proc.asked.Store(true) // this error reports its end
			return 0, fmt.Errorf("starting the gateway: it ended (%s); its last lines are:\n%s", r.proc.cmd.ProcessState, r.proc.tail(20))
		case <-ctx.Done():
			return 0, fmt.Errorf("starting the gateway: %w", context.Cause(ctx))
		}
		if took := time.Since(r.proc.began); took > startLimit {
			return 0, fmt.Errorf("starting the gateway: it does not listen after %s; its last lines are:\n%s", took, r.proc.tail(20))
		}
	}
}

// kill kills the gateway with SIGKILL.
func (r *rig) kill() error { return r.proc.kill() }

// stop stops the gateway and waits until it has ended.
func (r *rig) stop() error { return r.proc.stop() }

// close kills the gateway, stops the backends and deletes the directory.
func (r *rig) close() error {
	var err error
	if r.proc != nil {
		err = r.proc.kill()
	}
	r.ledger.close()
	return errors.Join(err, os.RemoveAll(r.dir))
}

// closeInto closes the rig and adds errors to err. It is for a defer.
func (r *rig) closeInto(err *error) { *err = errors.Join(*err, r.close()) }
