package plugintest

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/scribegate/scribegate/caddymodule"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue"
)

func init() { caddy.RegisterModule(Drawer{}) }

// Drawer is a queue engine with one file, which is its argument.
type Drawer struct {
	File string `json:"file,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (Drawer) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "scribegate.queues.drawer", New: func() caddy.Module { return new(Drawer) }}
}

// UnmarshalCaddyfile reads:
//
//	drawer <file>
func (e *Drawer) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if !d.AllArgs(&e.File) {
		return d.ArgErr()
	}
	return nil
}

// Key implements caddymodule.Engine.
func (e *Drawer) Key() string { return "drawer:" + e.File }

// MaxSize implements caddymodule.Engine.
func (e *Drawer) MaxSize() int64 { return 1 << 30 }

// Open implements caddymodule.Engine. What a real engine stores itself is stored by one of
// the engines that Scribegate has.
func (e *Drawer) Open(o caddymodule.OpenOptions) (queue.Queue, error) {
	return sqlitequeue.Open(sqlitequeue.Options{Path: e.File, Settings: o.Settings, OnCommit: o.OnCommit, OnFailure: o.OnFailure})
}

// Check implements caddymodule.Engine.
func (e *Drawer) Check(queue.Queue) error { return nil }

// Adopt implements caddymodule.Engine.
func (e *Drawer) Adopt(queue.Queue) error { return nil }

// HasConfiguredKeys implements caddymodule.KeyedEngine.
func (e *Drawer) HasConfiguredKeys() bool { return true }

// Interface guards
var (
	_ caddyfile.Unmarshaler   = (*Drawer)(nil)
	_ caddymodule.KeyedEngine = (*Drawer)(nil)
)
