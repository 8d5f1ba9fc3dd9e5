package sqlitequeue

import (
	"context"
	"errors"
)

// A pool lends the connections of readers. It has those that were opened with it and
// no others: opened later, a connection might find another file at the path.
type pool struct {
	free chan *conn
	all  []*conn
}

func newPool(n int, open func() (*conn, error)) (*pool, error) {
	p := &pool{free: make(chan *conn, n)}
	for range n {
		c, err := open()
		if err != nil {
			return nil, errors.Join(err, p.close())
		}
		p.all = append(p.all, c)
		p.free <- c
	}
	return p, nil
}

// with calls f with a connection, once one is free.
func (p *pool) with(ctx context.Context, f func(*conn) error) error {
	select {
	case c := <-p.free:
		defer func() { p.free <- c }()
		return f(c)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// close closes all connections, as they come back.
func (p *pool) close() error {
	var errs []error
	for range p.all {
		errs = append(errs, (<-p.free).close())
	}
	return errors.Join(errs...)
}
