package caddymodule

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/scribegate/scribegate/caddymodule/internal/logging"
	"github.com/scribegate/scribegate/caddymodule/internal/secret"
	"github.com/scribegate/scribegate/caddymodule/internal/syntax"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue"
	"github.com/scribegate/scribegate/forwarder/seal"
)

func init() {
	caddy.RegisterModule(SQLite{})
}

// SQLite keeps events in an SQLite database, one file of this machine. Payloads
// are sealed with AES-256-GCM.
type SQLite struct {
	// The queue's file. A symbolic link is followed: the file, its side files
	// and its key are in the directory of the link's target. Default:
	// `scribegate/queue.db` in Caddy's data directory.
	Path string `json:"path,omitempty"`

	// How many bytes of sealed records the queue may have. When it is full,
	// new events are rejected. Default: 10 GiB.
	MaxBytes int64 `json:"max_size,omitempty"`

	// The keys that seal stored events, 32 bytes each, in base64. The first
	// key seals, and all of them open. Placeholders `{env.*}` and `{file.*}`
	// keep them out of the configuration. Default: a key that is generated at
	// the first start, in a file beside the queue's.
	EncryptionKeys []string `json:"encryption_keys,omitempty"`

	logger *zap.Logger
	file   string       // Path, absolute, with placeholders and links resolved
	keys   *secret.List // nil if none is configured

	adopted *adoptedKeys
}

// adoptedKeys are the keys that this configuration has set in the open queue.
type adoptedKeys struct {
	mu   sync.Mutex
	keys []seal.Key // nil before the first time
}

// CaddyModule returns the Caddy module information.
func (SQLite) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "scribegate.queues.sqlite",
		New: func() caddy.Module { return new(SQLite) },
	}
}

// Provision resolves the path and the keys. It opens no other files than those of keys.
func (s *SQLite) Provision(ctx caddy.Context) error {
	s.logger, s.adopted = logging.Configuration(ctx), new(adoptedKeys)
	if s.MaxBytes < 0 {
		return errors.New("max_size must not be negative")
	}
	s.MaxBytes = cmp.Or(s.MaxBytes, queue.DefaultSettings().MaxSize)
	s.Path = cmp.Or(s.Path, filepath.Join(caddy.AppDataDir(), "scribegate", "queue.db"))
	path, err := resolveSetting(s.Path)
	if err != nil {
		return fmt.Errorf("path: %w", err)
	}
	if strings.HasPrefix(path, "~") {
		return errors.New("path: ~ is not replaced by a home directory here; write the directory, or use {env.HOME}")
	}
	// `caddy validate` may run without the rights of the server, so a path that
	// cannot be resolved is an error only when the queue is opened.
	if s.file, err = sqlitequeue.ResolvePath(path); err != nil {
		if s.file, err = filepath.Abs(path); err != nil {
			return fmt.Errorf("finding the queue's file: %w", err)
		}
	}
	if len(s.EncryptionKeys) == 0 {
		return nil
	}
	s.keys, err = secret.New(ctx, secret.Options{Name: "encryption_key", Entries: s.EncryptionKeys, Check: checkKey, Logger: s.logger})
	return err
}

func checkKey(v string) error {
	_, err := seal.ParseKey(v)
	return err
}

// currentKeys returns the present values of the keys.
func (s *SQLite) currentKeys() []seal.Key {
	keys := []seal.Key{}
	if s.keys == nil {
		return keys
	}
	for _, v := range s.keys.Values() {
		if key, err := seal.ParseKey(v); err == nil {
			keys = append(keys, key)
		}
	}
	return keys
}

// Key implements Engine. Two paths to the same file have the same key.
func (s *SQLite) Key() string { return "sqlite:" + s.file }

// MaxSize implements Engine.
func (s *SQLite) MaxSize() int64 { return s.MaxBytes }

// Open implements Engine.
func (s *SQLite) Open(o OpenOptions) (queue.Queue, error) {
	q, err := sqlitequeue.Open(sqlitequeue.Options{
		Path: s.file, Keys: s.currentKeys(), Settings: o.Settings, OnCommit: o.OnCommit, OnFailure: o.OnFailure,
		OnResealed: logResealed(o.Current, s.file), OnClock: logClock(o.Current, s.file),
		OnDamage: logDamage(o.Current, s.file), OnCopy: logCopy(o.Current, s.file),
	})
	if err != nil {
		return nil, err
	}
	return q, nil
}

// logResealed returns a function that logs how many events were sealed again with
// the first key.
func logResealed(logger func() *zap.Logger, file string) func(sqlitequeue.Resealed) {
	return func(r sqlitequeue.Resealed) {
		logger := logger()
		fields := []zap.Field{zap.String("queue", file), zap.Int("events", r.Events)}
		if r.KeyFile != "" {
			fields = append(fields, zap.String("key", r.KeyFile))
		}
		switch {
		case r.Unreadable > 0:
			logger.Warn("events are sealed with the first key now, except some that cannot be opened; the older keys must stay in encryption_key until those are purged or their retention ends",
				append(fields, zap.Int("unreadable", r.Unreadable))...)
		case r.KeyFile != "":
			logger.Info("all events are sealed with the first key now; the older keys may be removed from encryption_key, and the key that was made beside the queue's file may be deleted", fields...)
		default:
			logger.Info("all events are sealed with the first key now; the older keys may be removed from encryption_key", fields...)
		}
	}
}

// logClock returns a function that logs that the clock has jumped ahead.
func logClock(logger func() *zap.Logger, file string) func(time.Duration) {
	return func(ahead time.Duration) {
		logger().Warn("the clock has jumped ahead, or the gateway was off for that long; retention times follow this clock only after an hour: if the clock is wrong, correct it before then",
			zap.String("queue", file), zap.Duration("ahead", ahead))
	}
}

// logDamage returns a function that logs damage of the queue's file, found or
// repaired.
func logDamage(logger func() *zap.Logger, file string) func(error) {
	return func(err error) {
		logger().Error("damage in the queue's file; the error says what was found and what to do", zap.String("queue", file), zap.Error(err))
	}
}

// logCopy returns a function that logs that the queue's file is a copy of another
// queue, whose gateway may still run.
func logCopy(logger func() *zap.Logger, file string) func(string) {
	return func(of string) {
		logger().Warn("the queue's file is a copy of another queue; make sure that no gateway uses the original any more, or both deliver the same events",
			zap.String("queue", file), zap.String("original", of))
	}
}

// Check implements Engine.
func (s *SQLite) Check(q queue.Queue) error { return q.(*sqlitequeue.Queue).CheckKeys(s.currentKeys()) }

// Adopt implements Engine. It changes the queue only if the keys have changed since
// the last call. It is here that each configuration with the automatic key warns of it, since a
// reload does not open the queue again.
func (s *SQLite) Adopt(q queue.Queue) error {
	s.adopted.mu.Lock()
	defer s.adopted.mu.Unlock()
	keys := s.currentKeys()
	if s.adopted.keys != nil && slices.Equal(keys, s.adopted.keys) {
		return nil
	}
	file := q.(*sqlitequeue.Queue)
	if err := file.SetKeys(keys); err != nil {
		return err
	}
	s.adopted.keys = keys
	if key := file.KeyFile(); key != "" {
		s.logger.Warn("events are sealed with a key that was made beside the queue's file; keep it elsewhere and name it with encryption_key, since anybody who copies both can read the notes",
			zap.String("queue", s.file), zap.String("key", key))
	}
	return nil
}

// HasConfiguredKeys implements KeyedEngine.
func (s *SQLite) HasConfiguredKeys() bool { return len(s.EncryptionKeys) > 0 }

var sqliteSubdirectives = []string{"path", "max_size", "encryption_key"}

// UnmarshalCaddyfile reads:
//
//	sqlite {
//		path <file>
//		max_size <size>
//		encryption_key <key> [<older key>...]
//	}
func (s *SQLite) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the engine's name
	if d.NextArg() {
		return d.Err("queue sqlite: the engine takes no argument; put path and the other options into its block")
	}
	seen := make(syntax.Seen)
	for d.NextBlock(0) {
		if err := seen.Once(d, "queue sqlite"); err != nil {
			return err
		}
		switch d.Val() {
		case "path":
			if !d.AllArgs(&s.Path) || s.Path == "" {
				return syntax.UsageErr(d, "path <file>")
			}
			if err := checkSetting(s.Path); err != nil {
				return d.Errf("path: %v", err)
			}
		case "max_size":
			size, err := syntax.SizeArg(d)
			if err != nil {
				return err
			}
			s.MaxBytes = size
		case "encryption_key":
			args := d.RemainingArgs()
			if len(args) == 0 {
				return syntax.UsageErr(d, "encryption_key <key> [<older key>...]")
			}
			if err := checkSecretArgs(d, "encryption_key", args, checkKey); err != nil {
				return err
			}
			s.EncryptionKeys = args
		default:
			return syntax.UnknownErr(d, "queue sqlite", sqliteSubdirectives...)
		}
	}
	return nil
}

// Interface guards
var (
	_ KeyedEngine           = (*SQLite)(nil)
	_ caddy.Provisioner     = (*SQLite)(nil)
	_ caddyfile.Unmarshaler = (*SQLite)(nil)
)
