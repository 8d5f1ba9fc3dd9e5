package postgresqueue

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/lease"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/partition"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/schema"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// A Queue is one node of a queue in a PostgreSQL database.
type Queue struct {
	options    Options
	schema     *schema.Schema
	dsn        atomic.Pointer[pgx.ConnConfig]
	pool       *pgxpool.Pool // for claims and reading
	partitions *partition.Keeper
	readings   chan struct{} // holds a token for each call that reads, so that they leave connections to claims

	writer   *policy.Writer
	writing  *pgx.Conn   // used only by the writer; nil if it is not connected
	warned   atomic.Bool // whether the server has sent a warning on it
	readOnly atomic.Bool // whether a server has become a standby, so that the writer must connect again
	lastSeq  int64       // of the writer
	steps    housekeeping

	begun  sync.Mutex // guards the next three, which start sets
	age    *queue.AgeClock
	usedAt int64 // the time that was written last
	newest int64 // the greatest seq in the store at the start

	ended atomic.Int64 // the horizon in the store, as far as is known

	offset       atomic.Int64 // of the database's clock from this node's, in nanoseconds
	node         atomic.Int64 // the id of this node; changes if another has taken its leases over
	leases       *lease.Leases
	recent       *policy.Recent
	totals       totals
	ring         atomic.Pointer[seal.Ring]
	fingerprints atomic.Pointer[[]int64] // of the ring's keys
	settings     atomic.Pointer[queue.Settings]
	wake         atomic.Pointer[func(upstream string)]
	suspended    atomic.Pointer[error] // why the database cannot be used; nil if it can
	news         news
	audit        audit
	pauses       pauses
	purges       atomic.Int64 // of the table meta, when it was read last
	roundTrip    atomic.Int64 // of the newest poll, in nanoseconds

	unreadable sync.Map      // the seqs of the events that could not be opened
	resealing  chan struct{} // holds one token if there may be events to reseal
	foreign    atomic.Int64  // events that none of the keys opens; -1: there are some, not counted yet

	ctx       context.Context //nolint:containedctx // ends with the queue
	cancel    context.CancelFunc
	work      sync.WaitGroup // background work
	closeOnce sync.Once
	closeErr  error
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
	if err := checkItem(it); err != nil {
		return nil, err
	}
	return policy.NewStore(q.ring.Load(), it, policy.Nanos(q.now()))
}

// maxName is the maximum length of a stage's name, which is part of a key.
const maxName = 2000

// checkItem returns an error for an item with names that the database cannot hold. Such an
// item would make every transaction fail.
func checkItem(it queue.Item) error {
	if err := policy.CheckNames(it); err != nil {
		return err
	}
	e := it.Event
	for _, text := range append([]string{e.ID, e.Provider, e.ShortType(), e.Subject, it.Reason}, it.Upstreams...) {
		switch {
		case !utf8.ValidString(text) || strings.ContainsRune(text, 0):
			return fmt.Errorf("its id, type, subject or an upstream has characters that the database cannot hold: %q", text)
		case len(text) > maxName:
			return fmt.Errorf("its id, type, subject or an upstream has %d bytes; it may have %d", len(text), maxName)
		}
	}
	return nil
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
	q.leases.Of(d.Upstream).Release(seqOf(d))
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

// in returns a statement for the tables in the schema.
func (q *Queue) in(text string) string { return q.schema.In(text) }

func (q *Queue) fault(stage string) error {
	if q.options.fault == nil {
		return nil
	}
	return q.options.fault(stage)
}

// usable returns why the queue cannot be used, or nil.
func (q *Queue) usable() error {
	if q.ctx.Err() != nil {
		return queue.ErrClosed
	}
	return q.Unavailable()
}

// closeWait is how long Close waits for the database.
const closeWait = 3 * time.Second

// Close implements queue.Queue. It frees the leased deliveries for other nodes.
func (q *Queue) Close() error {
	q.closeOnce.Do(func() {
		q.cancel()
		q.closeErr = q.writer.Close()
		q.work.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), closeWait)
		defer cancel()
		q.leave(ctx)
		if q.writing != nil {
			closeConn(q.writing)
		}
		q.pool.Close()
	})
	return q.closeErr
}

// seqOf returns the seq of a delivery's event.
func seqOf(d queue.Delivery) int64 { return int64(d.Seq) }

// Interface guards
var (
	_ queue.Queue       = (*Queue)(nil)
	_ queue.AuditKeeper = (*Queue)(nil)
	_ queue.Cluster     = (*Queue)(nil)
	_ queue.Adviser     = (*Queue)(nil)

	_ queue.PauseSharer = (*Queue)(nil)
)
