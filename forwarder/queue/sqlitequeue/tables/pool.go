package tables

import (
	"context"
	"errors"
	"sync/atomic"
)

// A Pool has the connections of readers: those that Connect opens and no others. One that
// was opened at another time might find another file at the path.
type Pool struct {
	open   func(path string) (*Conn, error)
	reason func() error // why there are no connections
	conns  atomic.Pointer[connections]
}

type connections struct {
	free   chan *Conn
	opened int
	ctx    context.Context //nolint:containedctx // ends when they are to be closed
	cancel context.CancelFunc
}

// NewPool returns a pool without connections. Reason returns why it has none.
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

// With calls f with a connection, once one is free. Queries of a ctx that can end are
// interrupted by Disconnect.
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

// Snapshot is With, and all that f reads is of one state of the store.
func (p *Pool) Snapshot(ctx context.Context, f func(*Conn) error) error {
	return p.With(ctx, func(c *Conn) error {
		if err := c.Exec(`BEGIN`); err != nil {
			return err
		}
		return errors.Join(f(c), c.Exec(`COMMIT`))
	})
}

// Disconnect closes all connections, as they come back.
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
