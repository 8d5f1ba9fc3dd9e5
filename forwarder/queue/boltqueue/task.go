package boltqueue

import "context"

// A task is any other change, made for a caller who waits.
type task struct {
	change func(t *txn) error
	answer chan error // holds one
}

func newTask(change func(t *txn) error) *task {
	return &task{change: change, answer: make(chan error, 1)}
}

func (k *task) apply(t *txn) error {
	if err := k.change(t); err != nil {
		return err
	}
	return t.err
}

func (k *task) done(err error) { k.answer <- err }

// do makes a change and waits until it is durable. Where ctx ends before, the
// change may or may not have been made.
func (q *Queue) do(ctx context.Context, change func(t *txn) error) error {
	k := newTask(change)
	if err := q.intake.do(k); err != nil {
		return err
	}
	select {
	case err := <-k.answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
