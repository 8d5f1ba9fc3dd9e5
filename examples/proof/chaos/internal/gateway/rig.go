package gateway

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
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/ledger"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/load"
)

// startLimit is the maximum time until a gateway listens, with any backlog. The promised time is
// shorter, and scenarios measure it.
const startLimit = time.Minute

// A Rig is a gateway with its own directory, ports and backends. All of them are kept when the
// gateway restarts.
type Rig struct {
	Ledger *ledger.Ledger

	Binary  string
	Dir     string
	Port    string // of the site
	Admin   string // host and port of the admin endpoint
	Proc    *Process
	starts  int
	Secrets load.Secrets
}

// New returns a rig with a new directory in parent and a backend for each of these upstreams. The caller must
// close it.
func New(ctx context.Context, binary, parent string, upstreams ...string) (*Rig, error) {
	dir, err := os.MkdirTemp(parent, "scribegate-chaos-")
	if err != nil {
		return nil, fmt.Errorf("making a directory for the queue: %w", err)
	}
	r := &Rig{Ledger: ledger.New(), Binary: binary, Dir: dir, Secrets: load.NewSecrets()}
	if err := r.findPorts(ctx); err != nil {
		return nil, errors.Join(err, r.close())
	}
	for _, name := range upstreams {
		if _, err := r.Ledger.Add(ctx, name); err != nil {
			return nil, errors.Join(err, r.close())
		}
	}
	return r, nil
}

// Another returns a rig with the same backends and secrets, and with its own directory and ports. The
// caller must close it.
func (r *Rig) Another(ctx context.Context) (*Rig, error) {
	dir, err := os.MkdirTemp(filepath.Dir(r.Dir), "scribegate-chaos-")
	if err != nil {
		return nil, fmt.Errorf("making a directory for the gateway: %w", err)
	}
	other := &Rig{Ledger: r.Ledger, Binary: r.Binary, Dir: dir, Secrets: r.Secrets}
	if err := other.findPorts(ctx); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return other, nil
}

func (r *Rig) findPorts(ctx context.Context) error {
	ports, err := stage.Ports(ctx, 2)
	if err != nil {
		return err
	}
	r.Port, r.Admin = ports[0], "127.0.0.1:"+ports[1]
	return nil
}

// URL returns the URL of the gateway's site.
func (r *Rig) URL() string { return "http://127.0.0.1:" + r.Port }

// QueueFile returns the path of the queue's file in the Caddyfile.
func (r *Rig) QueueFile() string { return filepath.Join(r.Dir, "queue.db") }

// Start starts the gateway with a Caddyfile and waits until it listens.
func (r *Rig) Start(ctx context.Context, caddyfile string) error {
	if err := r.Launch(caddyfile); err != nil {
		return err
	}
	_, err := r.Listening(ctx)
	return err
}

// Launch starts the gateway without waiting.
func (r *Rig) Launch(caddyfile string) error {
	config := filepath.Join(r.Dir, "Caddyfile")
	if err := os.WriteFile(config, []byte(caddyfile), 0o600); err != nil {
		return fmt.Errorf("writing the gateway's configuration: %w", err)
	}
	if r.Proc != nil {
		_ = os.Remove(r.Proc.Log) // it was checked when that process ended
	}
	r.starts++
	p, err := startProcess(r.Binary, r.Dir, filepath.Join(r.Dir, "log-"+strconv.Itoa(r.starts)), r.env(),
		"run", "--config", config, "--adapter", "caddyfile")
	if err != nil {
		return err
	}
	r.Proc = p
	return nil
}

// env returns the environment of the gateway and of its commands.
func (r *Rig) env() []string {
	return append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + r.Dir,
		"XDG_DATA_HOME=" + filepath.Join(r.Dir, "data"), "XDG_CONFIG_HOME=" + filepath.Join(r.Dir, "config"),
	}, r.Secrets.Env()...)
}

// Listening waits until the gateway accepts connections, and returns the time since the start of the
// process.
func (r *Rig) Listening(ctx context.Context) (time.Duration, error) {
	dialer := net.Dialer{Timeout: time.Second}
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := dialer.DialContext(ctx, "tcp", "127.0.0.1:"+r.Port)
		if err == nil {
			took := time.Since(r.Proc.Began)
			return took, c.Close()
		}
		select {
		case <-tick.C:
		case <-r.Proc.Ended:
			r.Proc.asked.Store(true) // this error reports its end
			return 0, fmt.Errorf("starting the gateway: it ended (%s); its last lines are:\n%s", r.Proc.cmd.ProcessState, r.Proc.Tail(20))
		case <-ctx.Done():
			return 0, fmt.Errorf("starting the gateway: %w", context.Cause(ctx))
		}
		if took := time.Since(r.Proc.Began); took > startLimit {
			return 0, fmt.Errorf("starting the gateway: it does not listen after %s; its last lines are:\n%s", took, r.Proc.Tail(20))
		}
	}
}

// Alive returns an error if the gateway has ended.
func (r *Rig) Alive() error {
	select {
	case <-r.Proc.Ended:
		return fmt.Errorf("the gateway ended (%s); its last lines are:\n%s", r.Proc.cmd.ProcessState, r.Proc.Tail(20))
	default:
		return nil
	}
}

// Kill kills the gateway with SIGKILL.
func (r *Rig) Kill() error { return r.Proc.kill() }

// Stop stops the gateway and waits until it has ended.
func (r *Rig) Stop() error { return r.Proc.stop() }

// close kills the gateway, stops the backends and deletes the directory.
func (r *Rig) close() error {
	var err error
	if r.Proc != nil {
		err = r.Proc.kill()
	}
	r.Ledger.Close()
	return errors.Join(err, os.RemoveAll(r.Dir))
}

// CloseInto closes the rig and adds errors to err. It is for a defer.
func (r *Rig) CloseInto(err *error) { *err = errors.Join(*err, r.close()) }

// Fleet returns a fleet that sends to the rig's gateway.
func (r *Rig) Fleet() load.Fleet {
	return load.Fleet{URL: r.URL(), Secrets: r.Secrets, Notes: "/soapnote", Senders: 16, Patience: 15 * time.Second}
}
