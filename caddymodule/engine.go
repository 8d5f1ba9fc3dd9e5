package caddymodule

import (
	"encoding/json"
	"errors"
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

	// Key names what the engine opens, such as its file's absolute path.
	// Configurations with the same key share one open queue over reloads,
	// whatever their settings are.
	Key() string

	// MaxSize is how many bytes of sealed records the queue may hold; 0 is
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

// The engine of earlier builds, whose files the present one does not read.
const replacedEngine = "bolt"

// checkEngine returns an error that names the present engine for the name of the one
// that it has replaced.
func checkEngine(name string) error {
	if name == replacedEngine {
		return errors.New("queue: the engine is `sqlite` now and no longer `bolt`; write `sqlite`, and another path if `bolt` has written the file")
	}
	return nil
}

// engineName returns the name of the engine in a queue's JSON, or "". Caddy reports what
// else is wrong with the JSON.
func engineName(queueJSON json.RawMessage) string {
	var q struct {
		Engine string `json:"engine"`
	}
	_ = json.Unmarshal(queueJSON, &q)
	return q.Engine
}

// OpenOptions are what an Engine needs beside its own settings.
type OpenOptions struct {
	Settings queue.Settings
	Logger   *zap.Logger

	// Current returns the logger of the current configuration, for what is
	// reported after Open: the queue outlives the one that opened it.
	Current func() *zap.Logger

	// OnCommit is called after every durable write, with how long it took and how
	// many operations it carried.
	OnCommit func(d time.Duration, operations int)

	// OnFailure is called each time that something could not be written, and with
	// nil when something could after that.
	OnFailure func(err error)
}
