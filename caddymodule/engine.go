package caddymodule

import (
	"encoding/json"
	"errors"

	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
)

// An Engine is a guest module in the namespace scribegate.queues. It opens the queue that stores
// events until they are delivered.
type Engine = gateway.Engine

// OpenOptions are what an Engine needs in addition to its own settings.
type OpenOptions = gateway.OpenOptions

// A KeyedEngine is an Engine that may have its keys in the configuration. It is
// optional: a backup names the keys that it needs only if they are known.
type KeyedEngine = gateway.KeyedEngine

// replacedEngine is the engine of earlier builds, whose files the present one does not read.
const replacedEngine = "bolt"

// checkEngine returns an error for the name of the replaced engine, with that of the present one.
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
