package tables

import (
	"context"
	"errors"
	"sync/atomic"
)

// A Pool holds the connections of readers. Connect opens all of them at once: a
// connection that is opened later could find another file at the path.
type Pool struct {
	open   func(path string) (*Conn, error)
	reason func() error // why there are no connections
	conns  atomic.Pointer[connections]
}

type connections struct {
	free   chan *Conn
	opened int
	ctx    context.Context //nolint:containedctx // its end interrupts queries before the connections are closed
	cancel context.CancelFunc
}

// NewPool returns a pool without connections. reason returns why it has none.
func NewPool(open func(path string) (*Conn, error), reason func() error) *Pool {
	return &Pool{open: open, reason: reason}
}

// Connect opens n connections to the file at the path.
func (p *Pool) Connect(path string, n int) error {
	cs := &connections{free: make(chan *Conn, n)}
	cs.ctx, cs.cancel = context.WithCancel(context.Background())
	p.conns.Store(cs)
	for range n {
		c, err := p.open(path)
		if err != nil {
			return errors.Join(err, p.Disconnect())
		}
		c.closing = cs.ctx
		cs.opened++
		cs.free <- c
	}
	return nil
}

// With waits for a free connection and calls f with it. Disconnect interrupts queries
// whose ctx can end.
func (p *Pool) With(ctx context.Context, f func(*Conn) error) error {
	cs := p.conns.Load()
	if cs == nil {
		return p.reason()
	}
	select {
	case c := <-cs.free:
		defer func() { cs.free <- c }()
		err := f(c)
		if errors.Is(err, context.Canceled) && ctx.Err() == nil {
			return p.reason()
		}
		return err
	case <-cs.ctx.Done():
		return p.reason()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Snapshot calls With, and f reads one consistent snapshot of the store.
func (p *Pool) Snapshot(ctx context.Context, f func(*Conn) error) error {
	return p.With(ctx, func(c *Conn) error {
		if err := c.Exec(`BEGIN`); err != nil {
			return err
		}
		return errors.Join(f(c), c.Exec(`COMMIT`))
	})
}

// Disconnect closes all connections when they are returned.
func (p *Pool) Disconnect() error {
	cs := p.conns.Swap(nil)
	if cs == nil {
		return nil
	}
	cs.cancel()
	var errs []error
	for range cs.opened {
		errs = append(errs, (<-cs.free).Close())
	}
	return errors.Join(errs...)
}
