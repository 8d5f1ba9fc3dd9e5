package postgresqueue

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	connectTimeout = 3 * time.Second // to one host
	commitTimeout  = 5 * time.Second // for one commit: less than a handler waits
	claimTimeout   = 5 * time.Second
	readTimeout    = 30 * time.Second
	countTimeout   = 2 * time.Minute
)

// session are the settings of each connection. The schema is in all statements, so the
// search path needs none, and nobody who may create functions elsewhere can have them
// called here. A node that hangs in a transaction must not hold its locks for long: the
// nodes that wait for them must not fail before. The same holds for a node whose machine or
// network is gone while the server waits for the rest of a batch, which only TCP notices. All
// statements find their rows by an index: a plan that was made while a table was small must
// not read the whole table later. The cost that this adds to a plan must not have it compiled.
const session = `
	SET search_path TO pg_catalog, pg_temp;
	SET idle_in_transaction_session_timeout TO '2s';
	SET lock_timeout TO '4s';
	SET tcp_keepalives_idle TO 5; SET tcp_keepalives_interval TO 2; SET tcp_keepalives_count TO 3; SET tcp_user_timeout TO '11s';
	SET enable_seqscan TO off; SET enable_hashjoin TO off; SET enable_mergejoin TO off; SET jit TO off;
	SET client_min_messages TO warning`

// ParseDSN returns the configuration of connections by a DSN. It sets sslmode to
// verify-full if the DSN does not set it and a host is neither loopback nor a socket. Its
// errors do not quote the DSN.
func ParseDSN(dsn string) (*pgx.ConnConfig, error) {
	c, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, errDSN
	}
	if !hasSSLMode(dsn) && remote(c) {
		if c, err = pgx.ParseConfig(withSSLMode(dsn, "verify-full")); err != nil {
			return nil, errDSN
		}
	}
	if c.ConnectTimeout == 0 || c.ConnectTimeout > connectTimeout {
		c.ConnectTimeout = connectTimeout
	}
	return c, nil
}

var errDSN = errors.New("the DSN is not valid; write postgres://<user>:<password>@<host>:<port>/<database>, or the keywords of libpq, and check that the files that it names exist")

var sslMode = regexp.MustCompile(`(^|\s)sslmode\s*=`)

func hasSSLMode(dsn string) bool {
	if os.Getenv("PGSSLMODE") != "" {
		return true
	}
	if isURL(dsn) {
		u, err := url.Parse(dsn)
		return err == nil && u.Query().Has("sslmode")
	}
	return sslMode.MatchString(dsn)
}

func withSSLMode(dsn, mode string) string {
	switch {
	case !isURL(dsn):
		return dsn + " sslmode=" + mode
	case strings.Contains(dsn, "?"):
		return dsn + "&sslmode=" + mode
	}
	return dsn + "?sslmode=" + mode
}

func isURL(dsn string) bool {
	return strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://")
}

// remote reports whether a host is neither loopback nor a socket.
func remote(c *pgx.ConnConfig) bool {
	hosts := append(make([]string, 0, 1+len(c.Fallbacks)), c.Host)
	for _, f := range c.Fallbacks {
		hosts = append(hosts, f.Host)
	}
	for _, h := range hosts {
		ip := net.ParseIP(h)
		if !strings.HasPrefix(h, "/") && !strings.HasPrefix(h, "@") && h != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return true
		}
	}
	return false
}

// Address returns what a DSN connects to, without the user: its hosts and the database.
func Address(c *pgx.ConnConfig) string {
	var all []string
	add := func(host string, port uint16) {
		at := net.JoinHostPort(host, fmt.Sprint(port))
		if len(all) == 0 || all[len(all)-1] != at { // a host may be tried with TLS and without
			all = append(all, at)
		}
	}
	add(c.Host, c.Port)
	for _, f := range c.Fallbacks {
		add(f.Host, f.Port)
	}
	return strings.Join(all, ",") + "/" + c.Database
}

// setDSN makes new connections by the DSN.
func (q *Queue) setDSN(dsn string) error {
	c, err := ParseDSN(dsn)
	if err != nil {
		return err
	}
	dialer := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3}}
	c.DialFunc = dialer.DialContext
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "scribegate"
	}
	c.AfterConnect = func(ctx context.Context, c *pgconn.PgConn) error {
		_, err := c.Exec(ctx, session).ReadAll()
		return err
	}
	q.dsn.Store(c)
	return nil
}

// SetDSN makes new connections by another DSN with the same hosts and database, such as one
// with a new password. It closes the connections that are not used now.
func (q *Queue) SetDSN(dsn string) error {
	before := q.dsn.Load()
	c, err := ParseDSN(dsn)
	if err != nil {
		return err
	}
	if Address(c) != Address(before) {
		return errors.New("the DSN has another host or database now; reload the configuration to use it")
	}
	if err := q.setDSN(dsn); err != nil {
		return err
	}
	q.pool.Reset()
	return nil
}

// connect returns a new connection.
func (q *Queue) connect(ctx context.Context) (*pgx.Conn, error) {
	return pgx.ConnectConfig(ctx, q.dsn.Load().Copy())
}

func closeConn(c *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.Close(ctx) // nothing depends on the goodbye
}

// newPool returns the pool for claims and reading. It makes connections when they are
// needed.
func (q *Queue) newPool() (*pgxpool.Pool, error) {
	c, err := pgxpool.ParseConfig("host=localhost")
	if err != nil {
		return nil, err
	}
	c.ConnConfig = q.dsn.Load().Copy()
	c.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
		*c = *q.dsn.Load().Copy()
		return nil
	}
	c.MaxConns = int32(q.options.MaxConnections - 2) // without those of the writer and the listener
	c.MinConns, c.MinIdleConns = 0, 0
	q.readings = make(chan struct{}, max(1, c.MaxConns/2))
	c.MaxConnIdleTime = time.Minute
	return pgxpool.NewWithConfig(q.ctx, c)
}
