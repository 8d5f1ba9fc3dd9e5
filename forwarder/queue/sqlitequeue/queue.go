package sqlitequeue

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/disk"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/memtable"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/watch"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// A Queue is a queue in one SQLite file.
type Queue struct {
	path    string // with all links resolved
	options Options
	now     func() time.Time
	elapsed func() time.Duration

	writing              *tables.Conn // this block is used only by the writer
	writer               *policy.Writer
	age                  *queue.AgeClock
	clockReported        bool            // whether OnClock was called for the present jump
	lastSeq              int64           // of the newest event
	identity             tables.Identity // as written last, or later
	unmarked             bool            // whether it is not recorded yet that the store is in use
	filed                int64           // all events up to this seq are filed
	filedCounts          policy.Counts   // of the filed events
	usedAt               int64           // the time that was written last
	freed                bool            // whether deleted payloads may still be in the WAL
	steps                housekeeping
	node                 string // of the audit trail
	wal                  walState
	files                watch.Files
	found                fs.FileInfo // the file at the path at the last attempt to reopen it
	room                 room
	backgroundCheckpoint atomic.Int32 // state of the background checkpoint
	keys                 []seal.Key   // as given

	readers     *tables.Pool // for long reads
	claims      *tables.Pool // for deliveries
	copiers     *tables.Pool // for backups
	surveyor    *tables.Pool // for surveys, which a reader may request
	checkpoints *tables.Pool // for background checkpoints

	upstreams *tables.Upstreams
	unfiled   memtable.Unfiled
	names     *memtable.Names
	leases    *leases
	recent    *policy.Recent
	held      held
	heads     auditHeads
	ring      atomic.Pointer[seal.Ring]
	keyFile   atomic.Pointer[string] // the file of the automatic key if that key seals; else ""
	settings  atomic.Pointer[queue.Settings]
	current   atomic.Pointer[policy.Counts]
	wake      atomic.Pointer[func(upstream string)]
	suspended atomic.Pointer[error] // why the file cannot be used; nil if it can

	unreadable   sync.Map // the seqs of the events that were found damaged
	damagedRows  sync.Map // the subset whose rows can be restored, with the error that revealed the damage
	repairWanted atomic.Bool
	repairReason atomic.Pointer[error]
	surveying    sync.Mutex
	surveyed     time.Time     // when the tables were last found undamaged
	resealing    chan struct{} // holds one token if there may be events to reseal
	copying      sync.Mutex    // held by a backup
	compacting   sync.Mutex

	ctx       context.Context //nolint:containedctx // ends with the queue
	cancel    context.CancelFunc
	work      sync.WaitGroup // background work
	closeOnce sync.Once
	closeErr  error
	lock      *disk.FileLock
}

// Store implements queue.Queue.
func (q *Queue) Store(ctx context.Context, it queue.Item) (queue.Receipt, error) {
	s, err := q.newStore(it)
	if err == nil {
		err = q.writer.Store(ctx, s)
	}
	if err != nil {
		return queue.Receipt{}, fmt.Errorf("storing event %s: %w", it.Event.ID, err)
	}
	return queue.Receipt{Duplicate: s.Duplicate}, nil
}

// newStore returns an item, sealed, for the writer.
func (q *Queue) newStore(it queue.Item) (*policy.Store, error) {
	if err := policy.CheckNames(it); err != nil {
		return nil, err
	}
	return policy.NewStore(q.ring.Load(), it, policy.Nanos(q.now()))
}

// Settle implements queue.Queue.
func (q *Queue) Settle(o queue.Outcome) {
	if !policy.Settles(&o) { // as if it had not been attempted
		q.Release(o.Delivery)
		return
	}
	q.writer.Settle(&policy.Outcome{Outcome: o})
}

// Release implements queue.Queue.
func (q *Queue) Release(d queue.Delivery) {
	q.leases.of(d.Upstream).release(seqOf(d))
	q.wakeUp(d.Upstream)
}

// Notify implements queue.Queue.
func (q *Queue) Notify(wake func(upstream string)) { q.wake.Store(&wake) }

func (q *Queue) wakeUp(upstream string) {
	if wake := q.wake.Load(); wake != nil && *wake != nil {
		(*wake)(upstream)
	}
}

// Configure implements queue.Queue.
func (q *Queue) Configure(s queue.Settings) {
	q.settings.Store(&s)
	q.writer.RetryFull()
}

// KeyFile returns the file of the automatic key, or "" if keys were given. Anyone who
// has the disk has this key too, so the user should be warned.
func (q *Queue) KeyFile() string { return *q.keyFile.Load() }

func (q *Queue) counts() policy.Counts { return *q.current.Load() }

// usable returns why the file cannot be used, or nil.
func (q *Queue) usable() error {
	if err := q.suspended.Load(); err != nil {
		return unavailable{*err}
	}
	return nil
}

// An unavailable is an error that wraps queue.ErrUnavailable as well.
type unavailable struct{ error }

// Unwrap returns both errors.
func (e unavailable) Unwrap() []error { return []error{e.error, queue.ErrUnavailable} }

func (q *Queue) fault(stage string) error {
	if q.options.fault == nil {
		return nil
	}
	return q.options.fault(stage)
}

// unusable returns why nothing can be read.
func (q *Queue) unusable() error {
	if err := q.usable(); err != nil {
		return err
	}
	return queue.ErrClosed
}

func (q *Queue) closed() error {
	if q.ctx.Err() != nil {
		return queue.ErrClosed
	}
	return nil
}

// Close implements queue.Queue.
func (q *Queue) Close() error {
	q.closeOnce.Do(func() {
		q.cancel()
		err := q.writer.Close()
		q.work.Wait()
		err = errors.Join(err, q.closeStore())
		q.closeErr = errors.Join(err, q.lock.Unlock())
	})
	return q.closeErr
}

// seqOf returns the seq of a delivery's event.
func seqOf(d queue.Delivery) int64 { return int64(d.Seq) }

// Interface guards
var (
	_ queue.Queue       = (*Queue)(nil)
	_ queue.Compacter   = (*Queue)(nil)
	_ queue.Backuper    = (*Queue)(nil)
	_ queue.AuditKeeper = (*Queue)(nil)
	_ policy.Commits    = (*Queue)(nil)
)
