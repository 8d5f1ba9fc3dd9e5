package postgres

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/pgtest"
)

// table is the table of the bare inserts: that of the engine's payloads, with a number that
// the server gives.
const table = `
	CREATE TABLE IF NOT EXISTS bare (seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, sealed bytea NOT NULL);
	ALTER TABLE bare ALTER COLUMN sealed SET STORAGE EXTERNAL`

// script inserts one row in a transaction of its own.
const script = "INSERT INTO bare (sealed) VALUES (:sealed);\n"

// Inserted is the result of pgbench.
type Inserted struct {
	Rate      float64
	Latencies []time.Duration // sorted
}

// Insert inserts rows of size bytes with pgbench, over a number of connections, for some
// seconds: one row in each transaction, with a prepared statement.
func (d *Database) Insert(ctx context.Context, size, connections int, lasts time.Duration) (i Inserted, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("inserting with pgbench: %w", err)
		}
	}()
	dir, err := os.MkdirTemp(d.server.Dir, "pgbench")
	if err != nil {
		return i, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file := filepath.Join(dir, "script")
	if err := errors.Join(os.Chmod(dir, 0o777), os.WriteFile(file, []byte(script), 0o644)); err != nil { //nolint:gosec // the server's user reads and writes there, below a directory of its own
		return i, err
	}
	before, err := d.rows(ctx)
	if err != nil {
		return i, err
	}
	cmd := d.server.Command("pgbench", arguments(dir, file, size, connections, lasts)...)
	cmd.Env = append(cmd.Env, "PGHOST="+d.server.Dir, "PGPORT="+strconv.Itoa(d.server.Port), "PGDATABASE="+d.name, "PGUSER="+pgtest.Role)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return i, fmt.Errorf("%w: %s", err, strings.TrimSpace(problems.String()))
	}
	if i.Rate, err = rate(out.String()); err != nil {
		return i, err
	}
	if i.Latencies, err = readLogs(filepath.Join(dir, "log.*")); err != nil {
		return i, err
	}
	after, err := d.rows(ctx)
	if err == nil && after-before != len(i.Latencies) {
		err = fmt.Errorf("%d rows were inserted, and %d transactions logged", after-before, len(i.Latencies))
	}
	return i, err
}

// arguments returns pgbench's arguments. It counts in whole seconds.
func arguments(dir, file string, size, connections int, lasts time.Duration) []string {
	return []string{
		"--no-vacuum", "--protocol=prepared", "--file=" + file, "--define=sealed=" + value(size),
		"--client=" + strconv.Itoa(connections), "--jobs=" + strconv.Itoa(min(connections, runtime.NumCPU())),
		"--time=" + strconv.Itoa(max(1, int(lasts.Round(time.Second).Seconds()))),
		"--log", "--log-prefix=" + filepath.Join(dir, "log"),
	}
}

// value returns bytes as PostgreSQL reads them.
func value(size int) string { return `\x` + strings.Repeat("5a", size) }

// rows returns the number of inserted rows. It makes the table if there is none.
func (d *Database) rows(ctx context.Context) (n int, err error) {
	err = d.query(ctx, func(c *pgx.Conn) error {
		if _, err := c.Exec(ctx, table); err != nil {
			return err
		}
		return c.QueryRow(ctx, `SELECT count(*) FROM bare`).Scan(&n)
	})
	return n, err
}

var tps = regexp.MustCompile(`(?m)^tps = ([0-9.]+) \(without initial connection time\)`)

// rate returns the transactions per second that pgbench has printed.
func rate(out string) (float64, error) {
	found := tps.FindStringSubmatch(out)
	if found == nil {
		return 0, fmt.Errorf("pgbench printed no rate: %q", out)
	}
	return strconv.ParseFloat(found[1], 64)
}

// readLogs returns the latencies in pgbench's logs, sorted.
func readLogs(pattern string) (all []time.Duration, err error) {
	files, err := filepath.Glob(pattern)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		all, err = appendLatencies(all, f)
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
	}
	slices.Sort(all)
	return all, nil
}

// appendLatencies reads a log: the third word of a line is a latency in microseconds.
func appendLatencies(all []time.Duration, log io.Reader) ([]time.Duration, error) {
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) < 3 {
			return nil, fmt.Errorf("pgbench logged %q", lines.Text())
		}
		took, err := strconv.ParseInt(words[2], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("pgbench logged %q", lines.Text())
		}
		all = append(all, time.Duration(took)*time.Microsecond)
	}
	return all, lines.Err()
}
