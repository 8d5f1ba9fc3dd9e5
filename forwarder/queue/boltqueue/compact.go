package boltqueue

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

const (
	// syncEvery is how many bytes are copied before they are synced, so that no
	// sync takes long.
	syncEvery = 32 << 20

	// lastSync is how long the last sync may be expected to take, for which
	// everything else waits. maxSyncs bounds how often it is tried to get there.
	lastSync = 50 * time.Millisecond
	maxSyncs = 20
)

// Compact implements queue.Compacter. The committing goroutine copies the file
// in slices between its commits, makes each commit in the copy as well once it
// has been copied that far, and puts the copy into the file's place when both
// are level. Nothing is held up for longer than a slice, or the last sync, takes.
//
// The copy is beside the file and needs as much room as what the file holds.
// Progress is counted in pages of the copy, of which there become at most as many
// as the file has in use.
func (q *Queue) Compact(ctx context.Context, p queue.Progress) (queue.Compacted, error) {
	o := newCompacting(ctx, q)
	err := q.intake.do(o)
	for err == nil {
		select {
		case r := <-o.reached:
			p.Report(r.done, r.total)
			continue
		case end := <-o.answer:
			if err = end.err; err == nil {
				_ = q.journal.renew(ctx) // where it cannot be, it is as before
				p.Report(end.copied, end.copied)
				return end.result, nil
			}
		}
	}
	return queue.Compacted{}, fmt.Errorf("compacting the queue file %s: %w", q.file.path, err)
}

// A compacting is a compaction that waits for the committing goroutine, and then
// its caller.
type compacting struct {
	queue   *Queue
	ctx     context.Context    //nolint:containedctx // it ends the compaction
	answer  chan compactionEnd // takes one
	reached chan reach         // holds the newest
}

func newCompacting(ctx context.Context, q *Queue) *compacting {
	return &compacting{queue: q, ctx: ctx, answer: make(chan compactionEnd, 1), reached: make(chan reach, 1)}
}

// A reach is how far a compaction has come, in bytes.
type reach struct {
	done, total int64
}

// tell has the caller told, who may be busy with what it was told before.
func (o *compacting) tell(r reach) {
	select {
	case <-o.reached:
	default:
	}
	o.reached <- r // nobody else puts anything in
}

func (o *compacting) apply(*txn) error { return nil }

func (o *compacting) done(err error) {
	if err == nil {
		err = o.queue.startCompaction(o.ctx, o)
	}
	if err != nil {
		o.answer <- compactionEnd{err: err}
	}
}

// A compaction is one that is under way. It is the committing goroutine's.
type compaction struct {
	queue  *Queue
	ctx    context.Context //nolint:containedctx // it ends the compaction
	caller *compacting     // nil where nobody asked for it
	before int64
	inUse  int64 // bytes of the file when it began

	copy   *copying
	sync   *syncing // under way, or nil
	synced int      // how many have ended since everything is copied
}

// A compactionEnd is what came of a compaction.
type compactionEnd struct {
	result queue.Compacted
	copied int64 // bytes
	err    error
}

// A syncing is a sync of the copy, beside everything else.
type syncing struct {
	began time.Time
	ended chan struct{}
	err   error         // once ended
	took  time.Duration // once ended
}

// always is ready.
var always = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// startCompaction starts a compaction, which ends with ctx, or joins one that
// nobody asked for. The caller is nil where nobody asks for this one.
func (q *Queue) startCompaction(ctx context.Context, caller *compacting) error {
	if c := q.compaction; c != nil && c.caller == nil {
		c.ctx, c.caller = ctx, caller
		return nil
	} else if c != nil {
		return queue.ErrBusy
	}
	if runtime.GOOS == "windows" {
		return errors.New("a file that is open cannot be replaced on Windows")
	}
	before, err := q.file.size()
	if err != nil {
		return err
	}
	_, inUse, err := q.pages()
	if err != nil {
		return err
	}
	copied, err := newCopy(q.file.path)
	if err != nil {
		return err
	}
	if q.copyBytes > 0 {
		copied.step = q.copyBytes
	}
	q.compaction = &compaction{queue: q, ctx: ctx, caller: caller, before: before, inUse: int64(inUse) * int64(q.file.page), copy: copied}
	return nil
}

// ready is readable when the compaction has something to do.
func (c *compaction) ready() <-chan struct{} {
	switch {
	case c == nil:
		return nil
	case c.sync != nil:
		return c.sync.ended
	}
	return always
}

// step does a little of the compaction, if one is under way, and ends it where
// that was the last of it or where it failed.
func (q *Queue) step() {
	c := q.compaction
	if c == nil {
		return
	}
	select {
	case <-c.ready():
	default:
		return
	}
	done, err := c.step()
	if err != nil {
		c.abort(err)
	} else if done {
		after, _ := q.file.size() // it is only told
		c.end(compactionEnd{result: queue.Compacted{Before: c.before, After: after}, copied: c.copy.size})
	}
}

func (c *compaction) step() (done bool, err error) {
	defer guard(&err, "copying", c.queue.file.path)
	if c.queue.isClosed() {
		return false, errClosing
	}
	if err := c.ctx.Err(); err != nil {
		return false, err
	}
	if s := c.sync; s != nil {
		c.sync = nil
		if s.err != nil {
			return false, s.err
		}
		if c.copy.whole {
			c.synced++
		}
		if c.synced > 0 && (s.took < lastSync || c.synced == maxSyncs) {
			return true, c.swap()
		}
	}
	if !c.copy.whole {
		if err := c.queue.view(c.copy.slice); err != nil {
			return false, err
		}
		if c.caller != nil {
			c.caller.tell(reach{done: c.copy.size, total: max(c.inUse, c.copy.size)})
		}
	}
	if c.copy.whole || c.copy.unsynced >= syncEvery {
		c.beginSync()
	}
	return false, nil
}

func (c *compaction) beginSync() {
	s := &syncing{began: time.Now(), ended: make(chan struct{})}
	c.sync, c.copy.unsynced = s, 0
	go func() {
		defer close(s.ended)
		s.err = c.copy.to.os.Sync()
		s.took = time.Since(s.began)
	}()
}

// follow makes the writes of a durable transaction in the copy, too.
func (q *Queue) follow(writes []write) {
	c := q.compaction
	if c == nil || len(writes) == 0 {
		return
	}
	var err error
	func() {
		defer guard(&err, "copying", c.queue.file.path)
		err = c.copy.follow(writes)
	}()
	if err != nil {
		c.abort(err)
	}
}

// abandon gives up a compaction that is under way.
func (q *Queue) abandon(err error) {
	if q.compaction != nil {
		q.compaction.abort(err)
	}
}

// abort gives the compaction up. The queue file is as it was.
func (c *compaction) abort(err error) {
	if c.sync != nil {
		<-c.sync.ended
	}
	c.copy.discard()
	c.end(compactionEnd{err: err})
}

func (c *compaction) end(e compactionEnd) {
	c.queue.compaction = nil
	switch {
	case c.caller != nil:
		c.caller.answer <- e
	case e.err != nil:
		c.queue.waste.failed(c.queue.now())
	}
}

// swap puts the copy into the queue file's place. Whoever is killed meanwhile
// finds the one or the other under the file's name, and both are whole.
func (c *compaction) swap() error {
	q := c.queue
	if err := q.view(c.copy.finish); err != nil {
		return err
	}
	if err := q.fault(beforeRename); err != nil {
		return err
	}
	to := c.copy.to
	if err := os.Rename(to.path, q.file.path); err != nil {
		return err
	}
	q.unnamed = true // until commit has synced the directory
	q.dbMu.Lock()
	old := q.file.db
	q.file.db, q.file.os, q.file.page, q.file.reserved = to.db, to.os, to.page, 0
	q.dbMu.Unlock()
	q.closers.Go(func() { _ = old.Close() }) // it may take long to free a large file; nothing in it is wanted
	_ = q.name()                             // or else the next commit does it
	return nil
}

// name puts the name of a file that has just taken the queue file's place onto
// stable storage. Before that nothing may be committed to it: a power cut might
// bring its predecessor back.
func (q *Queue) name() error {
	if !q.unnamed {
		return nil
	}
	if err := q.fault(beforeNaming); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(q.file.path)); err != nil {
		return err
	}
	q.unnamed = false
	return nil
}
