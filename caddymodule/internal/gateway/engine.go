package gateway

import (
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// An Engine is a guest module in the namespace scribegate.queues: it opens the
// queue that keeps events until they are delivered.
//
// Provision must open and touch nothing: `caddy validate` runs it beside a
// server that uses the same queue.
type Engine interface {
	caddy.Module

	// Key returns the engine's name, a colon, and what the engine opens, such as
	// its file's absolute path. Configurations with the same key share one open
	// queue over reloads, whatever their settings are.
	Key() string

	// MaxSize returns how many bytes of sealed records the queue may hold; 0 is
	// no limit.
	MaxSize() int64

	// Open opens the queue.
	Open(o OpenOptions) (queue.Queue, error)

	// Check returns an error if an open queue with the same key could not adopt
	// this engine's settings. It changes nothing.
	Check(q queue.Queue) error

	// Adopt applies this engine's settings to an open queue with the same key. It
	// is called again and again while the configuration is active, since files
	// that the settings name may change, and is quick if nothing has changed.
	Adopt(q queue.Queue) error
}

// A KeyedEngine is an Engine that may have its keys in the configuration. It is
// optional: a backup names the keys that it needs only if they are known.
type KeyedEngine interface {
	Engine

	// HasConfiguredKeys reports whether the configuration names the keys.
	HasConfiguredKeys() bool
}

// OpenOptions are what an Engine needs in addition to its own settings.
type OpenOptions struct {
	Settings queue.Settings

	// Current returns the logger of the current configuration. During Open that is the
	// configuration that opens the queue; the queue outlives it.
	Current func() *zap.Logger

	// OnCommit is called after every durable write, with how long it took and how
	// many operations it carried.
	OnCommit func(d time.Duration, operations int)

	// OnFailure is called with the error of each failed write, and with nil after the
	// next write that succeeds.
	OnFailure func(err error)
}
