package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/scribegate/scribegate/caddymodule"
	"github.com/scribegate/scribegate/caddymodule/internal/logging"
	"github.com/scribegate/scribegate/caddymodule/internal/secret"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue"
	"github.com/scribegate/scribegate/forwarder/seal"
)

func init() {
	caddy.RegisterModule(Postgres{})
}

// defaultMaxBytes is the default of MaxBytes.
const defaultMaxBytes = 100 << 30

// Postgres keeps events in a PostgreSQL database, which several gateways share: each of
// them accepts, deduplicates and delivers. Payloads are sealed with AES-256-GCM before they
// leave the process.
type Postgres struct {
	// How to connect to the database: a URL `postgres://...`, or keywords and values as in
	// libpq, with several hosts and `target_session_attrs` too. Placeholders `{env.*}` and
	// `{file.*}` keep the password out of the configuration; when the file changes, new
	// connections use the new password. `sslmode` is `verify-full` by default, unless each
	// host is loopback or a socket.
	DSN string `json:"dsn,omitempty"`

	// The schema of the tables, which belongs to Scribegate alone. It is created and updated
	// at start. Default: `scribegate`.
	Schema string `json:"schema,omitempty"`

	// How many connections to the database this gateway has at most. Default: 8.
	MaxConnections int `json:"max_connections,omitempty"`

	// How many bytes of sealed records the queue may have. When it is full, new events are
	// rejected. Default: 100 GiB.
	MaxBytes int64 `json:"max_size,omitempty"`

	// The keys that seal stored events, 32 bytes each, in base64, the same on all gateways.
	// The first key seals, and all of them open. Placeholders `{env.*}` and `{file.*}` keep
	// them out of the configuration. Required.
	EncryptionKeys []string `json:"encryption_keys,omitempty"`

	// How long a gateway that does not answer any more keeps the deliveries that it makes.
	// After that another one makes them. Default: 30s.
	Lease caddy.Duration `json:"lease,omitempty"`

	dsn     func() string
	address string
	keys    *secret.List
	adopted *adopted
}

// adopted has the settings that this configuration has set in the open queue.
type adopted struct {
	mu   sync.Mutex
	dsn  string
	keys []seal.Key
}

// CaddyModule returns the Caddy module information.
func (Postgres) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "scribegate.queues.postgres",
		New: func() caddy.Module { return new(Postgres) },
	}
}

// Provision resolves the DSN and the keys. It opens no connection.
func (p *Postgres) Provision(ctx caddy.Context) error {
	p.adopted = new(adopted)
	logger := logging.Logger(ctx)
	p.Schema = cmp.Or(p.Schema, postgresqueue.DefaultSchema)
	p.MaxConnections = cmp.Or(p.MaxConnections, postgresqueue.DefaultMaxConnections)
	p.MaxBytes = cmp.Or(p.MaxBytes, defaultMaxBytes)
	p.Lease = cmp.Or(p.Lease, caddy.Duration(postgresqueue.DefaultLease))
	if err := p.check(); err != nil {
		return err
	}
	if err := p.provisionDSN(ctx, logger); err != nil {
		return err
	}
	if len(p.EncryptionKeys) == 0 {
		return errors.New("queue postgres: encryption_key is required: payloads are sealed before they leave the process; make one with: caddy scribegate keygen")
	}
	var err error
	p.keys, err = secret.New(ctx, secret.Options{Name: "encryption_key", Entries: p.EncryptionKeys, Check: checkKey, Logger: logger})
	return err
}

// check returns an error for settings that cannot be right. Those that are not set yet are
// not missed.
func (p *Postgres) check() error {
	switch {
	case p.MaxBytes < 0:
		return errors.New("max_size must not be negative")
	case p.MaxConnections != 0 && p.MaxConnections < postgresqueue.MinConnections:
		return fmt.Errorf("max_connections must be at least %d", postgresqueue.MinConnections)
	case p.Lease != 0 && time.Duration(p.Lease) < postgresqueue.MinLease:
		return fmt.Errorf("lease must be at least %s", postgresqueue.MinLease)
	case len(p.Schema) > 63 || strings.ContainsAny(p.Schema, "\x00{}"):
		return errors.New("schema must be a name of at most 63 bytes, without placeholders")
	case strings.HasPrefix(p.Schema, "pg_") || p.Schema == "information_schema":
		return errors.New("schema must not be one of the database's own; leave it out for the default, scribegate")
	}
	return nil
}

// provisionDSN resolves the DSN. One without placeholders and without a password is no
// secret.
func (p *Postgres) provisionDSN(ctx context.Context, logger *zap.Logger) error {
	if p.DSN == "" {
		return errors.New("queue postgres: the DSN is missing; write it as: queue postgres {env.SCRIBEGATE_DSN}")
	}
	p.dsn = func() string { return p.DSN }
	config, err := postgresqueue.ParseDSN(p.DSN)
	if err != nil || config.Password != "" || strings.Contains(p.DSN, "{") {
		list, err := secret.New(ctx, secret.Options{Name: "the DSN of queue postgres", Entries: []string{p.DSN}, Check: checkDSN, Logger: logger})
		if err != nil {
			return err
		}
		p.dsn = list.First
		if config, err = postgresqueue.ParseDSN(p.dsn()); err != nil {
			return err
		}
	}
	p.address = postgresqueue.Address(config)
	return nil
}

func checkDSN(v string) error {
	_, err := postgresqueue.ParseDSN(v)
	return err
}

func checkKey(v string) error {
	_, err := seal.ParseKey(v)
	return err
}

// currentKeys returns the present values of the keys.
func (p *Postgres) currentKeys() (keys []seal.Key) {
	for _, v := range p.keys.Values() {
		if key, err := seal.ParseKey(v); err == nil {
			keys = append(keys, key)
		}
	}
	return keys
}

// Key implements caddymodule.Engine. It has no user and no password.
func (p *Postgres) Key() string { return "postgres:" + p.address + "/" + p.Schema }

// MaxSize implements caddymodule.Engine.
func (p *Postgres) MaxSize() int64 { return p.MaxBytes }

// HasConfiguredKeys implements caddymodule.KeyedEngine.
func (*Postgres) HasConfiguredKeys() bool { return true }

// Open implements caddymodule.Engine. It does not wait for a database that cannot be reached.
func (p *Postgres) Open(o caddymodule.OpenOptions) (queue.Queue, error) {
	dsn, keys, at := p.dsn(), p.currentKeys(), zap.String("queue", p.Key())
	q, err := postgresqueue.Open(postgresqueue.Options{
		DSN: dsn, Schema: p.Schema, MaxConnections: p.MaxConnections, Keys: keys, Lease: time.Duration(p.Lease),
		Settings: o.Settings, OnCommit: o.OnCommit, OnFailure: o.OnFailure,
		OnClock: func(ahead time.Duration) {
			o.Current().Warn("the clock has jumped ahead, or the gateway was off for that long; retention times follow this clock only after an hour: if the clock is wrong, correct it before then", at, zap.Duration("ahead", ahead))
		},
		OnResealed: func(events int) {
			o.Current().Info("all events are sealed with the first key now, and all gateways seal with it; the older keys may be removed from encryption_key", at, zap.Int("events", events))
		},
		OnForeign: func(events int64) {
			if events > 0 {
				o.Current().Warn("events are sealed with a key that is not in encryption_key of this gateway; other gateways deliver them; put the key last in encryption_key", at, zap.Int64("events", events))
			}
		},
		OnNode: func(n postgresqueue.Notice) {
			o.Current().Warn(n.Text, at, zap.String("node", n.Node))
		},
	})
	if err != nil {
		return nil, err
	}
	if err := q.Unavailable(); err != nil {
		o.Current().Error("the queue's database cannot be used; the gateway starts without it, answers 503, and goes on when the database can be used", at, zap.Error(err))
	}
	p.adopted.dsn, p.adopted.keys = dsn, keys
	return q, nil
}

// Interface guards
var (
	_ caddymodule.KeyedEngine = (*Postgres)(nil)
	_ caddy.Provisioner       = (*Postgres)(nil)
)
