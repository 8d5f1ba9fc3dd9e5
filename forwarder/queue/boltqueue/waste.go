package boltqueue

import (
	"context"
	"time"

	"go.etcd.io/bbolt"
)

// When a file is compacted without anybody asking: when so many pages have been
// free for so long, and are so many times those in use. Every commit writes the
// list of all free pages, so that a backlog of some gigabytes, once delivered,
// would make each of them slow for as long as the traces of its events are kept.
const (
	wasteEnough = 65536
	wasteTimes  = 3
	wasteAfter  = 10 * time.Second
	wasteRetry  = 10 * time.Minute // after a failure
)

// A waste watches how much of the file is free.
type waste struct {
	enough int       // free pages
	since  time.Time // there has been too much of it; zero where there is not
	not    time.Time // no compaction before
}

// look takes in how many pages are free and in use, and reports whether it is
// time to compact.
func (w *waste) look(now time.Time, free, inUse int) bool {
	if free < w.enough || free < wasteTimes*inUse {
		w.since = time.Time{}
		return false
	}
	if w.since.IsZero() {
		w.since = now
	}
	return now.Sub(w.since) >= wasteAfter && !now.Before(w.not)
}

// failed takes in that a compaction failed.
func (w *waste) failed(now time.Time) { w.not = now.Add(wasteRetry) }

// compactUnasked starts a compaction when it is time for one.
func (q *Queue) compactUnasked() {
	if q.compaction != nil {
		return
	}
	free, inUse, err := q.pages()
	now := q.now()
	if err != nil || !q.waste.look(now, free, inUse) {
		return
	}
	if err := q.startCompaction(context.Background(), nil); err != nil {
		q.waste.failed(now)
	}
}

// pages counts the file's pages.
func (q *Queue) pages() (free, inUse int, err error) {
	err = q.view(func(tx *bbolt.Tx) error {
		free = q.file.db.Stats().FreePageN
		inUse = int(tx.Size()/int64(q.file.page)) - free
		return nil
	})
	return free, inUse, err
}
