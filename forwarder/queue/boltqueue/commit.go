package boltqueue

import (
	"errors"
	"fmt"
	"maps"
	"runtime"
	"time"

	"go.etcd.io/bbolt"
)

// freelistSmall is how many pages may be free for the list of them to be
// written with every commit, and how many may be in use for it to be left out:
// a file without the list is copied when it is opened.
const (
	freelistSmall = 16384
	readThrough   = 16384
)

// loop is the committing goroutine.
func (q *Queue) loop() {
	defer close(q.done)
	defer faults()()
	defer q.ticker.Stop()
	defer q.abandon(errClosing)
	due := true
	for {
		runtime.Gosched() // who was just answered may have more: the fuller a commit, the fewer
		if q.failing.Load() {
			q.answerKnown()
		}
		if !due {
			q.linger()
		}
		select {
		case <-q.ticker.C: // looked at here too: under load there is always something to commit
			due = true
			q.compactUnasked()
		default:
		}
		ops := q.intake.take()
		if len(ops) == 0 && !due {
			select {
			case <-q.intake.ready:
			case <-q.ticker.C:
				due = true
				q.compactUnasked()
			case <-q.compaction.ready():
				q.step()
			case <-q.closing:
				q.intake.abandon(errClosing) // stores that wait for room
				q.noteEnd()
				return
			}
			continue
		}
		if !q.failing.Load() {
			if o := q.indexing(); o != nil {
				ops = append(ops, o)
			}
		}
		var s *sweeping
		if due {
			s = &sweeping{queue: q}
			ops = append(ops, s)
			q.intake.unstick()
			if q.failing.Load() {
				ops = append(ops, probing{})
			}
		}
		err := q.run(ops)
		due = s != nil && s.more && err == nil && !q.isClosed()
		if err != nil {
			q.abandon(err) // its copy may be what takes up the room
			if !q.wait(err) {
				return
			}
		}
		q.step()
	}
}

// attempt applies the ops in one transaction and answers them when it is
// durable. bad is the op that failed; with -1 it was the transaction, and
// nothing of it remains.
func (q *Queue) attempt(ops []op) (bad int, err error) {
	start := time.Now()
	t, err := q.begin()
	if err != nil {
		return -1, err
	}
	for i, o := range ops {
		if err := applySafely(o, t); err != nil {
			q.rollback(t)
			q.fresh.failed(ops[:i+1])
			return i, err
		}
	}
	mark := q.journal.mark(ops)
	if n := int64(mark) - t.base[countJournal]; n > 0 { // far below the largest int64
		t.add(countJournal, n)
		t.dirty = true
	}
	t.noteTime(noteEvery)
	if t.dirty {
		err = q.commit(t)
	} else {
		q.rollback(t)
	}
	if err != nil {
		q.journal.failed(ops)
		q.fresh.failed(ops)
		return -1, err
	}
	if t.stored > 0 {
		q.succeeded()
	}
	q.publish(t)
	q.intake.late(q.fresh.committed(ops))
	q.journal.committed(ops, mark)
	for _, o := range ops {
		if s, ok := o.(*storing); ok && s.full {
			q.intake.park(s)
			continue
		}
		o.done(nil)
	}
	if *q.settings.Load() != t.settings {
		q.intake.unpark() // the limit may not be the one that they were parked for
	}
	if t.dirty && q.onCommit != nil {
		q.onCommit(time.Since(start), len(ops))
	}
	q.follow(t.writes)
	return -1, nil
}

func (q *Queue) begin() (t *txn, err error) {
	defer guard(&err, "beginning a transaction in", q.file.path)
	tx, err := q.file.db.Begin(true)
	if err != nil {
		return nil, fmt.Errorf("writing the queue file: %w", err)
	}
	age, now := q.age.Now(q.now(), q.elapsed())
	return &txn{
		tx:       tx,
		path:     q.file.path,
		settings: *q.settings.Load(),
		now:      nanos(now),
		age:      nanos(age),
		lanes:    &q.lanes,
		recent:   q.recent,
		base:     q.counts,
		delta:    make(counts),
		buckets:  make(map[string]*bbolt.Bucket),
		wake:     make(map[string]struct{}),
		noting:   q.compaction != nil,
	}, nil
}

func applySafely(o op, t *txn) (err error) {
	defer guard(&err, "changing", t.path)
	return o.apply(t)
}

func (q *Queue) rollback(t *txn) {
	var err error // of a panic; the transaction has ended one way or the other
	defer guard(&err, "rolling back", q.file.path)
	_ = t.tx.Rollback()
}

// commit makes the transaction durable. After an error nothing of it remains.
func (q *Queue) commit(t *txn) error {
	if err := t.flush(); err != nil {
		q.rollback(t)
		return fmt.Errorf("writing the queue file: %w", err)
	}
	if err := q.reserve(t); err != nil {
		q.rollback(t)
		return fmt.Errorf("making room in the queue file: %w", err)
	}
	free := q.file.db.Stats().FreePageN
	inUse := t.tx.Size()/int64(q.file.page) - int64(free)
	q.file.db.NoFreelistSync = free > freelistSmall && inUse < readThrough

	id := t.tx.ID()
	err := q.commitSafely(t)
	if err == nil {
		return nil
	}
	q.rollback(t)
	visible, doubt := q.resolve()
	if doubt == nil && visible >= id {
		return nil
	}
	return errors.Join(fmt.Errorf("writing the queue file: %w", err), doubt)
}

func (q *Queue) commitSafely(t *txn) (err error) {
	defer guard(&err, "committing to", q.file.path)
	if err := q.fault(beforeCommit); err != nil {
		return err
	}
	if err := q.name(); err != nil {
		return err
	}
	if err := t.tx.Commit(); err != nil {
		return err
	}
	return q.fault(afterCommit)
}

// resolve settles what became of a commit that failed, by making whatever
// readers see durable, and returns the newest transaction that they see. It
// must succeed before anything else is written, so it tries until it does or
// the queue is closed.
func (q *Queue) resolve() (visible int, err error) {
	for wait := firstBackoff; ; wait = min(2*wait, maxBackoff) {
		if visible, err = q.resolveOnce(); err == nil {
			return visible, nil
		}
		select {
		case <-time.After(wait):
		case <-q.closing:
			return 0, err
		}
	}
}

func (q *Queue) resolveOnce() (visible int, err error) {
	defer guard(&err, "writing", q.file.path)
	if !q.file.mapped() {
		if err := q.reopen(); err != nil {
			return 0, err
		}
	}
	if err := q.file.resync(); err != nil {
		return 0, fmt.Errorf("writing the queue file: %w", err)
	}
	err = q.view(func(tx *bbolt.Tx) error {
		visible = tx.ID()
		return nil
	})
	return visible, err
}

func (q *Queue) reopen() error {
	q.dbMu.Lock()
	defer q.dbMu.Unlock()
	return errors.Join(q.file.db.Close(), q.file.openQueue())
}

// publish makes the changes of a durable transaction known in memory.
func (q *Queue) publish(t *txn) {
	freed := t.delta[countBytes] < 0
	q.countsMu.Lock()
	next := maps.Clone(q.counts)
	for name, n := range t.delta {
		if next[name] += n; next[name] == 0 {
			delete(next, name)
		}
	}
	q.counts = next
	q.countsMu.Unlock()

	q.recent.publish(t.renamed)
	for _, p := range t.settled {
		q.lanes.of(p.upstream).settle(p.seq)
	}
	for _, p := range t.rewound {
		q.lanes.of(p.upstream).rewind(p.seq)
	}
	if freed {
		q.intake.unpark()
	}
	if t.stale {
		q.resealer.look()
	}
	for _, name := range q.intake.relieved() {
		t.wakeUp(name)
	}
	for name := range t.wake {
		q.wakeUp(name)
	}
}
