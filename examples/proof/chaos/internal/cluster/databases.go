package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/procfs"

	"github.com/scribegate/scribegate/examples/internal/stage"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/await"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/volume"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/pgtest"
)

// The databases are a primary and its synchronous standby.
type databases struct {
	primary, standby *pgtest.Server
	first            *pgtest.Server // the primary at the start, whose directory both use
	network          *network       // that they are in; nil means that of this program
	volume           *volume.Volume // that they are on; nil means a directory
}

// startDatabases starts the databases, with their data on a volume or else below parent, and in a network or
// else in that of this program. The caller must stop them.
func startDatabases(ctx context.Context, parent string, v *volume.Volume, n *network) (d *databases, err error) {
	if v != nil {
		parent = v.Dir
	}
	port, err := databasePorts(ctx)
	if err != nil {
		return nil, err
	}
	o := pgtest.Options{TCP: true, Port: port, Durable: true, Parent: parent, Settings: []string{"min_wal_size=32MB", "max_wal_size=96MB"}}
	if n != nil {
		o.Settings = append(o.Settings, "listen_addresses=*")
	}
	d = &databases{network: n, volume: v}
	defer func() {
		if err != nil {
			d.stop()
		}
	}()
	err = d.inside(func() (err error) {
		if d.first, err = pgtest.Start(o); err != nil {
			return err
		}
		d.primary = d.first
		if err := admit(d.primary); err != nil {
			return err
		}
		if d.standby, err = d.primary.Standby(); err != nil {
			return err
		}
		return d.synchronize(ctx)
	})
	if err != nil {
		return nil, fmt.Errorf("starting PostgreSQL: %w", err)
	}
	return d, nil
}

// databasePorts returns the first of two free ports that follow each other.
func databasePorts(ctx context.Context) (int, error) {
	for {
		ports, err := stage.Ports(ctx, 1)
		if err != nil {
			return 0, err
		}
		port, err := strconv.Atoi(ports[0])
		if err != nil {
			return 0, err
		}
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port+1)))
		if err == nil {
			return port, l.Close()
		}
	}
}

// admit lets the gateways connect from other addresses than loopback.
func admit(s *pgtest.Server) error {
	f, err := os.OpenFile(filepath.Join(s.Dir, "data", "pg_hba.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString("host all " + pgtest.Role + " 198.18.0.0/16 trust\n")
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return s.Exec(`SELECT pg_reload_conf()`)
}

// inside calls f in the network of the databases.
func (d *databases) inside(f func() error) error {
	if d.network == nil {
		return f()
	}
	return d.network.inside(f)
}

// dsn returns the DSN of a gateway.
func (d *databases) dsn(gateway int) (string, error) {
	u, err := url.Parse(d.first.AddressDSN())
	if err != nil {
		return "", fmt.Errorf("making a DSN: %w", err)
	}
	host := u.Hostname()
	if d.network != nil {
		host = d.network.address(gateway)
	}
	u.Host = fmt.Sprintf("%s:%d,%[1]s:%[3]d", host, d.first.Port, d.first.Port+1)
	u.RawQuery = "target_session_attrs=read-write&sslmode=disable"
	return u.String(), nil
}

// synchronize makes commits wait for the standby, and waits until they do.
func (d *databases) synchronize(ctx context.Context) error {
	if err := d.primary.Synchronize(); err != nil {
		return err
	}
	return await.Eventually(ctx, "a synchronous standby", func() (is bool, err error) {
		err = d.primary.Query(func(ctx context.Context, c *pgx.Conn) error {
			return c.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync')`).Scan(&is)
		})
		return is, err
	})
}

// failOver kills the primary, and makes the standby the primary.
func (d *databases) failOver() error {
	if err := kill(d.primary); err != nil {
		return err
	}
	d.primary, d.standby = d.standby, d.primary
	return d.primary.Promote()
}

// rejoin makes the killed primary the synchronous standby of the new one.
func (d *databases) rejoin(ctx context.Context) error {
	if err := d.inside(func() error { return d.standby.Follow(d.primary) }); err != nil {
		return err
	}
	return d.synchronize(ctx)
}

// launch starts the databases that have ended, and returns their number.
func (d *databases) launch() (n int, err error) {
	err = d.inside(func() error {
		for _, s := range []*pgtest.Server{d.primary, d.standby} {
			if !ended(s) {
				continue
			}
			n++
			if err := s.Launch(); err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}

// ended reports whether the process of a server has ended.
func ended(s *pgtest.Server) bool { return errors.Is(s.Signal(syscall.Signal(0)), os.ErrProcessDone) }

// kill kills all processes of a server with SIGKILL.
func kill(s *pgtest.Server) error {
	if err := s.Signal(syscall.SIGSTOP); err != nil { // so that it starts no other process
		return fmt.Errorf("killing PostgreSQL: %w", err)
	}
	all, err := procfs.AllProcs()
	if err != nil {
		return fmt.Errorf("killing PostgreSQL: %w", err)
	}
	for _, p := range all {
		if stat, err := p.Stat(); err == nil && stat.PPID == s.PID() {
			_ = syscall.Kill(p.PID, syscall.SIGKILL) // it may have ended
		}
	}
	if err := s.Signal(syscall.SIGKILL); err != nil {
		return fmt.Errorf("killing PostgreSQL: %w", err)
	}
	s.Wait()
	return nil
}

// stop stops the databases and deletes their data.
func (d *databases) stop() {
	for _, s := range []*pgtest.Server{d.primary, d.standby} {
		if s != nil && s != d.first {
			s.Stop()
		}
	}
	if d.first != nil { // it deletes the directory of both
		d.first.Stop()
	}
}
