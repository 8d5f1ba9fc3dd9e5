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

// startLimit is how long a gateway may take until it listens, however much
// waits. What is promised is less and is measured.
const startLimit = time.Minute

// A rig is a gateway with a directory, ports and backends of its own. The
// directory and the ports stay over restarts, and so does the ledger.
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

// newRig makes a rig whose ledger has a backend for each upstream named. The
// caller must close it.
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

// url is where the senders send to.
func (r *rig) url() string { return "http://127.0.0.1:" + r.port }

// queueFile is the queue's file, as caddyfile names it.
func (r *rig) queueFile() string { return filepath.Join(r.dir, "queue.db") }

// start starts the gateway with a Caddyfile, and returns when it listens.
func (r *rig) start(ctx context.Context, caddyfile string) error {
	if err := r.launch(caddyfile); err != nil {
		return err
	}
	_, err := r.listening(ctx)
	return err
}

// launch starts the gateway and returns at once.
func (r *rig) launch(caddyfile string) error {
	config := filepath.Join(r.dir, "Caddyfile")
	if err := os.WriteFile(config, []byte(caddyfile), 0o600); err != nil {
		return fmt.Errorf("writing the gateway's configuration: %w", err)
	}
	if r.proc != nil {
		_ = os.Remove(r.proc.log) // read when that process ended
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

// env is the environment of the gateway and of its commands.
func (r *rig) env() []string {
	return append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + r.dir,
		"XDG_DATA_HOME=" + filepath.Join(r.dir, "data"), "XDG_CONFIG_HOME=" + filepath.Join(r.dir, "config"),
	}, r.secrets.env()...)
}

// listening waits until the gateway takes connections, and returns how long
// after the process's start that was.
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
			r.proc.asked.Store(true) // its end is reported here
			return 0, fmt.Errorf("starting the gateway: it ended (%s); it printed last:\n%s", r.proc.cmd.ProcessState, r.proc.tail(20))
		case <-ctx.Done():
			return 0, fmt.Errorf("starting the gateway: %w", context.Cause(ctx))
		}
		if took := time.Since(r.proc.began); took > startLimit {
			return 0, fmt.Errorf("starting the gateway: it does not listen after %s; it printed last:\n%s", took, r.proc.tail(20))
		}
	}
}

// kill ends the gateway as kill -9 does.
func (r *rig) kill() error { return r.proc.kill() }

// stop asks the gateway to end and returns when it has.
func (r *rig) stop() error { return r.proc.stop() }

// close ends what still runs and deletes the directory.
func (r *rig) close() error {
	var err error
	if r.proc != nil {
		err = r.proc.kill()
	}
	r.ledger.close()
	return errors.Join(err, os.RemoveAll(r.dir))
}

// closeInto closes the rig and joins what went wrong to err; it is for a defer.
func (r *rig) closeInto(err *error) { *err = errors.Join(*err, r.close()) }
