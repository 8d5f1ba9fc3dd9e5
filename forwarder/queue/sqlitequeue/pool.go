package sqlitequeue

import (
	"context"
	"errors"
	"sync/atomic"
)

// A pool lends the connections of readers. It has those that connect opens and no
// others: opened at another time, a connection might find another file at the path.
type pool struct {
	open   func() (*conn, error)
	reason func() error // why there are no connections
	conns  atomic.Pointer[connections]
}

type connections struct {
	free   chan *conn
	opened int
	ctx    context.Context //nolint:containedctx // ends when they are to be closed
	cancel context.CancelFunc
}

// connect opens n connections.
func (p *pool) connect(n int) error {
	cs := &connections{free: make(chan *conn, n)}
	cs.ctx, cs.cancel = context.WithCancel(context.Background())
	p.conns.Store(cs)
	for range n {
		c, err := p.open()
		if err != nil {
			return errors.Join(err, p.disconnect())
		}
		c.closing = cs.ctx
		cs.opened++
		cs.free <- c
	}
	return nil
}

// with calls f with a connection, once one is free. Queries of a ctx that can end are
// interrupted by disconnect.
func (p *pool) with(ctx context.Context, f func(*conn) error) error {
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

// snapshot is with, and all that f reads is of one state of the store.
func (p *pool) snapshot(ctx context.Context, f func(*conn) error) error {
	return p.with(ctx, func(c *conn) error {
		if err := c.exec(`BEGIN`); err != nil {
			return err
		}
		return errors.Join(f(c), c.exec(`COMMIT`))
	})
}

// disconnect closes all connections, as they come back.
func (p *pool) disconnect() error {
	cs := p.conns.Swap(nil)
	if cs == nil {
		return nil
	}
	cs.cancel()
	var errs []error
	for range cs.opened {
		errs = append(errs, (<-cs.free).close())
	}
	return errors.Join(errs...)
}
