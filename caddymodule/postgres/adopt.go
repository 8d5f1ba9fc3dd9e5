package postgres

import (
	"slices"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue"
)

// Check implements caddymodule.Engine.
func (p *Postgres) Check(q queue.Queue) error {
	return q.(*postgresqueue.Queue).CheckKeys(p.currentKeys())
}

// Adopt implements caddymodule.Engine. It changes the queue only if the keys or the DSN have
// changed since the last call.
func (p *Postgres) Adopt(q queue.Queue) error {
	p.adopted.mu.Lock()
	defer p.adopted.mu.Unlock()
	open := q.(*postgresqueue.Queue)
	if dsn := p.dsn(); dsn != p.adopted.dsn {
		if err := open.SetDSN(dsn); err != nil {
			return err
		}
		p.adopted.dsn = dsn
	}
	keys := p.currentKeys()
	if slices.Equal(keys, p.adopted.keys) {
		return nil
	}
	if err := open.SetKeys(keys); err != nil {
		return err
	}
	p.adopted.keys = keys
	return nil
}
