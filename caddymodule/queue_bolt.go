package caddymodule

import (
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

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/boltqueue"
)

func init() {
	caddy.RegisterModule(Bolt{})
}

// Bolt keeps events in a file of this machine, sealed with AES-256-GCM.
type Bolt struct {
	// The queue's file. Default: `scribegate/queue.db` in Caddy's data
	// directory.
	Path string `json:"path,omitempty"`

	// How many bytes of sealed records the queue holds at most; beyond that
	// new events are refused. Default: 10 GiB.
	MaxBytes int64 `json:"max_size,omitempty"`

	// The keys that seal stored events, 32 bytes each, in base64; the first
	// seals, all open. Placeholders `{env.*}` and `{file.*}` keep them out of
	// the configuration. Default: a key is made at the first start, beside
	// the queue's file.
	EncryptionKeys []string `json:"encryption_keys,omitempty"`

	file string  // Path, absolute and with its placeholders resolved
	keys *Secret // nil where none is configured

	adopted *adoptedKeys
}

// adoptedKeys are those that the open queue has taken on from a configuration.
type adoptedKeys struct {
	mu   sync.Mutex
	keys []boltqueue.Key // nil before the first time
}

// CaddyModule returns the Caddy module information.
func (Bolt) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "scribegate.queues.bolt",
		New: func() caddy.Module { return new(Bolt) },
	}
}

// Provision resolves the path and the keys. It touches no file but those that
// keys are read from.
func (b *Bolt) Provision(ctx caddy.Context) error {
	b.adopted = new(adoptedKeys)
	if b.MaxBytes < 0 {
		return errors.New("max_size must not be negative")
	}
	if b.MaxBytes == 0 {
		b.MaxBytes = queue.DefaultSettings().MaxSize
	}
	if b.Path == "" {
		b.Path = filepath.Join(caddy.AppDataDir(), "scribegate", "queue.db")
	}
	path, err := resolveSetting(b.Path)
	if err != nil {
		return fmt.Errorf("path: %w", err)
	}
	if strings.HasPrefix(path, "~") {
		return errors.New("path: ~ is not replaced by a home directory here; write the directory, or use {env.HOME}")
	}
	if b.file, err = filepath.Abs(path); err != nil {
		return fmt.Errorf("finding the queue's file: %w", err)
	}
	if len(b.EncryptionKeys) == 0 {
		return nil
	}
	b.keys, err = NewSecret(ctx, SecretOptions{Name: "encryption_key", Entries: b.EncryptionKeys, Check: checkKey, Logger: moduleLogger(ctx)})
	return err
}

func checkKey(v string) error {
	_, err := boltqueue.ParseKey(v)
	return err
}

// currentKeys returns the keys as they are now.
func (b *Bolt) currentKeys() []boltqueue.Key {
	keys := []boltqueue.Key{}
	if b.keys == nil {
		return keys
	}
	for _, v := range b.keys.Values() {
		if key, err := boltqueue.ParseKey(v); err == nil {
			keys = append(keys, key)
		}
	}
	return keys
}

// Key implements Engine.
func (b *Bolt) Key() string { return "bolt:" + b.file }

// MaxSize implements Engine.
func (b *Bolt) MaxSize() int64 { return b.MaxBytes }

// Open implements Engine.
func (b *Bolt) Open(o OpenOptions) (queue.Queue, error) {
	q, err := boltqueue.Open(boltqueue.Options{
		Path: b.file, Keys: b.currentKeys(), Settings: o.Settings, OnCommit: o.OnCommit, OnFailure: o.OnFailure,
		OnResealed: resealed(o.Current, b.file), OnClock: clockJumped(o.Current, b.file),
	})
	if err != nil {
		return nil, err
	}
	if file := q.KeyFile(); file != "" {
		o.Logger.Warn("events are sealed with a key that was made beside the queue's file; keep it elsewhere and name it with encryption_key, since anybody who copies both can read the notes",
			zap.String("queue", b.file), zap.String("key", file))
	}
	return q, nil
}

// resealed logs what has become of the events that older keys had sealed.
func resealed(logger func() *zap.Logger, file string) func(boltqueue.Resealed) {
	return func(r boltqueue.Resealed) {
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

// clockJumped logs that the queue does not believe the clock yet.
func clockJumped(logger func() *zap.Logger, file string) func(time.Duration) {
	return func(ahead time.Duration) {
		logger().Warn("the clock has jumped ahead, or the gateway was off for that long; retention times follow this clock only after an hour: if the clock is wrong, correct it before then",
			zap.String("queue", file), zap.Duration("ahead", ahead))
	}
}

// Check implements Engine.
func (b *Bolt) Check(q queue.Queue) error { return q.(*boltqueue.Queue).CheckKeys(b.currentKeys()) }

// Adopt implements Engine. It has something to do only where the keys are not
// those that it had the queue take on before.
func (b *Bolt) Adopt(q queue.Queue) error {
	b.adopted.mu.Lock()
	defer b.adopted.mu.Unlock()
	keys := b.currentKeys()
	if b.adopted.keys != nil && slices.Equal(keys, b.adopted.keys) {
		return nil
	}
	if err := q.(*boltqueue.Queue).SetKeys(keys); err != nil {
		return err
	}
	b.adopted.keys = keys
	return nil
}

var boltSubdirectives = []string{"path", "max_size", "encryption_key"}

// UnmarshalCaddyfile reads:
//
//	bolt {
//		path <file>
//		max_size <size>
//		encryption_key <key> [<older key>...]
//	}
func (b *Bolt) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the engine's name
	if d.NextArg() {
		return d.Err("queue bolt: the engine takes no argument; put path and the other options into its block")
	}
	seen := make(subdirectiveSet)
	for d.NextBlock(0) {
		if err := seen.once(d, "queue bolt"); err != nil {
			return err
		}
		switch d.Val() {
		case "path":
			if !d.AllArgs(&b.Path) || b.Path == "" {
				return usageErr(d, "path <file>")
			}
			if err := checkSetting(b.Path); err != nil {
				return d.Errf("path: %v", err)
			}
		case "max_size":
			size, err := sizeArg(d)
			if err != nil {
				return err
			}
			b.MaxBytes = size
		case "encryption_key":
			args := d.RemainingArgs()
			if len(args) == 0 {
				return usageErr(d, "encryption_key <key> [<older key>...]")
			}
			if err := checkSecretArgs(d, "encryption_key", args, checkKey); err != nil {
				return err
			}
			b.EncryptionKeys = args
		default:
			return unknownSubdirective(d, "queue bolt", boltSubdirectives...)
		}
	}
	return nil
}

// Interface guards
var (
	_ Engine                = (*Bolt)(nil)
	_ caddy.Provisioner     = (*Bolt)(nil)
	_ caddyfile.Unmarshaler = (*Bolt)(nil)
)
