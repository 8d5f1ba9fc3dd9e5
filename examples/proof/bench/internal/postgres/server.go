package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/pgtest"
)

// settings are those that are not PostgreSQL's defaults. The server keeps files of its
// write-ahead log, so that a trial overwrites them and does not have to make new ones.
var settings = []string{"min_wal_size = 512MB", "max_wal_size = 2GB"}

// filling is what is written to the log before the first trial, for the same reason. filled is
// the size of one message.
const (
	filling = 256 << 20
	filled  = 16 << 20
)

// A Server is a running server that waits for the disk.
type Server struct {
	server *pgtest.Server
	made   int // databases
}

// Start starts a server with its data below parent, which the server's user must be able to
// enter. It returns an error that says what to install if PostgreSQL is missing.
func Start(parent string) (*Server, error) {
	p, err := pgtest.Start(pgtest.Options{Durable: true, Parent: parent, Settings: settings})
	if err != nil {
		return nil, fmt.Errorf("starting PostgreSQL: %w", err)
	}
	s := &Server{server: p}
	if err := p.Command("pgbench", "--version").Run(); err != nil {
		s.Stop()
		return nil, fmt.Errorf("starting pgbench: %w; it is in Debian's package postgresql: apt-get install -y postgresql", err)
	}
	if err := s.fill(); err != nil {
		s.Stop()
		return nil, fmt.Errorf("preparing PostgreSQL: %w", err)
	}
	return s, nil
}

// fill makes files of the write-ahead log.
func (s *Server) fill() error {
	for range filling / filled {
		if err := s.server.Exec(`SELECT pg_logical_emit_message(false, '', repeat('x', $1))`, filled); err != nil {
			return err
		}
	}
	return s.server.Exec(`CHECKPOINT`)
}

// Stop ends the server and deletes its data.
func (s *Server) Stop() { s.server.Stop() }

// Facts returns the version and the settings of the server.
func (s *Server) Facts() string {
	return fmt.Sprintf("PostgreSQL %s, fsync and synchronous_commit on, %s, otherwise the defaults; its clients use its socket", s.server.Version, strings.Join(settings, ", "))
}

// PID returns the id of the server's first process.
func (s *Server) PID() int { return s.server.PID() }

// A Database is an empty database for one trial.
type Database struct {
	*Server
	name string
}

// NewDatabase makes a database. A checkpoint comes first, so that none that earlier trials
// need runs during this one.
func (s *Server) NewDatabase() (*Database, error) {
	s.made++
	d := &Database{Server: s, name: "bench_" + strconv.Itoa(s.made)}
	for _, text := range []string{`CREATE DATABASE ` + d.name + ` OWNER ` + pgtest.Role, `CHECKPOINT`} {
		if err := s.server.Exec(text); err != nil {
			return nil, fmt.Errorf("making a database: %w", err)
		}
	}
	return d, nil
}

// Drop deletes the database. Nothing may be connected to it.
func (d *Database) Drop() error {
	if err := d.server.Exec(`DROP DATABASE ` + d.name + ` WITH (FORCE)`); err != nil {
		return fmt.Errorf("deleting a database: %w", err)
	}
	return nil
}

// DSN returns the DSN of the gateways, with a role that owns the database and nothing else.
func (d *Database) DSN() string {
	return fmt.Sprintf("host=%s port=%d user=%s dbname=%s", d.server.Dir, d.server.Port, pgtest.Role, d.name)
}

// query calls f with a connection to the database.
func (d *Database) query(ctx context.Context, f func(c *pgx.Conn) error) error {
	c, err := pgx.Connect(ctx, d.DSN())
	if err == nil {
		err = f(c)
		_ = c.Close(ctx) // nothing depends on it
	}
	if err != nil {
		return fmt.Errorf("asking PostgreSQL: %w", err)
	}
	return nil
}

// Counts are what the server has done until now.
type Counts struct {
	Log          float64 // bytes of the write-ahead log
	Transactions float64 // those that write
}

// Counts returns the counts.
func (d *Database) Counts(ctx context.Context) (c Counts, err error) {
	err = d.query(ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `SELECT (pg_current_wal_insert_lsn() - '0/0')::float8, pg_snapshot_xmax(pg_current_snapshot())::text::float8`).Scan(&c.Log, &c.Transactions)
	})
	return c, err
}

// RecordSize returns the mean size of the sealed records of the events that wait in a
// gateway's queue.
func (d *Database) RecordSize(ctx context.Context) (size float64, err error) {
	err = d.query(ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `SELECT avg(size)::float8 FROM scribegate.event WHERE size > 0`).Scan(&size)
	})
	return size, err
}
