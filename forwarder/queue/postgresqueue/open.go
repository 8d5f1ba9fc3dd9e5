package postgresqueue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/lease"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/schema"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// The defaults of Options, and their limits.
const (
	DefaultSchema         = "scribegate"
	DefaultMaxConnections = 8
	DefaultLease          = 30 * time.Second

	MinConnections = 4 // the writer, the listener, and two for claims and reading
	MinLease       = 3 * time.Second
)

// maxRecent is the limit for events in memory, in bytes of their sealed payloads.
const maxRecent = 4 << 20

// openWait is how long Open waits for the database.
const openWait = 5 * time.Second

// Options configure a store.
type Options struct {
	DSN            string     // as in libpq
	Schema         string     // default: DefaultSchema
	MaxConnections int        // default: DefaultMaxConnections
	Keys           []seal.Key // the first seals, all open; at least one
	Lease          time.Duration
	Settings       queue.Settings
	Node           string // the name of this node, for people; default: the host's name

	Now      func() time.Time                      // default: time.Now
	Elapsed  func() time.Duration                  // monotonic time since any fixed moment; default: by the monotonic clock
	OnCommit func(took time.Duration, changes int) // called after each commit; may be nil; must not block

	// OnFailure is called with the reason for each change that could not be written,
	// and with nil when events can be stored again. It may be nil, and must not block.
	OnFailure func(err error)

	// OnClock is called with the distance when the clock has jumped ahead by more than
	// a minute. It may be nil, and must not block.
	OnClock func(ahead time.Duration)

	// OnResealed is called with the number of events that this node has resealed, when the
	// first key has replaced another one: no event in the store needs that any more, and no
	// node seals with it. It may be nil.
	OnResealed func(events int)

	// OnForeign is called with the number of events that none of the keys opens, when that
	// changes. Other nodes deliver these events. It may be nil, and must not block.
	OnForeign func(events int64)

	// OnNode is called with a message about this or another node, such as a takeover. It
	// may be nil, and must not block.
	OnNode func(Notice)

	database   func() time.Time         // the clock that counts as the database's, in tests
	migrations []string                 // those of an older version, in tests
	deaf       bool                     // no notification comes, in tests
	fault      func(stage string) error // makes changes fail in tests
}

// A Notice is a message about a node.
type Notice struct {
	Node string
	Text string
}

// The stages at which a test can make a change fail.
const (
	beforeCommit = "commit"
	afterCommit  = "after commit" // as if the answer were lost
)

func (o *Options) complete() error {
	if o.Schema == "" {
		o.Schema = DefaultSchema
	}
	if o.MaxConnections == 0 {
		o.MaxConnections = DefaultMaxConnections
	}
	if o.Lease == 0 {
		o.Lease = DefaultLease
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Elapsed == nil {
		began := time.Now()
		o.Elapsed = func() time.Duration { return time.Since(began) }
	}
	switch {
	case o.MaxConnections < MinConnections:
		return fmt.Errorf("max_connections must be at least %d", MinConnections)
	case o.Lease < MinLease:
		return fmt.Errorf("lease must be at least %s", MinLease)
	case len(o.Keys) == 0:
		return errors.New("encryption_key is required: payloads are sealed before they leave the process")
	}
	return nil
}

// Open opens the store in a database, or creates it. If the database cannot be reached, the
// queue waits for it: Unavailable returns the reason.
func Open(o Options) (*Queue, error) {
	if err := o.complete(); err != nil {
		return nil, fmt.Errorf("opening the store: %w", err)
	}
	q := newQueue(o)
	ring, err := seal.NewRing(o.Keys)
	if err != nil {
		return nil, fmt.Errorf("opening the store: %w", err)
	}
	q.useRing(ring, o.Keys)
	if err := q.setDSN(o.DSN); err != nil {
		return nil, fmt.Errorf("opening the store: %w", err)
	}
	if q.pool, err = q.newPool(); err != nil {
		return nil, fmt.Errorf("opening the store: %w", err)
	}
	q.partitions = q.newKeeper()
	ctx, cancel := context.WithTimeout(q.ctx, openWait)
	defer cancel()
	if err := q.start(ctx); errors.Is(err, schema.ErrRefused) {
		q.pool.Close()
		return nil, fmt.Errorf("opening the store: %w", err)
	} else if err != nil {
		q.suspend(err)
	}
	q.writer.Start()
	q.work.Go(q.pulse)
	q.work.Go(q.announce)
	q.work.Go(q.tidy)
	q.work.Go(q.survey)
	q.work.Go(q.reseal)
	for _, work := range []func(context.Context) error{q.createPartitions, q.partitions.DropHistory, q.partitions.DropPayloads} {
		q.work.Go(func() { q.keepPartitions(work) })
	}
	q.resealSoon()
	return q, nil
}

func newQueue(o Options) *Queue {
	q := &Queue{
		options: o, schema: schema.New(o.Schema), leases: lease.New(),
		recent: policy.NewRecent(maxRecent), resealing: make(chan struct{}, 1), news: news{wake: make(chan struct{}, 1), names: make(map[string]bool)},
		audit: audit{holder: newHolder()},
	}
	if o.migrations != nil {
		q.schema.Migrations = o.migrations
	}
	q.settings.Store(&o.Settings)
	q.ctx, q.cancel = context.WithCancel(context.Background())
	q.writer = policy.NewWriter(q)
	return q
}

const selectStart = `
	SELECT used_at, ended, greatest(0, (SELECT max(seq) FROM scribegate.event), (SELECT max(seq) FROM scribegate.history)) FROM scribegate.meta`

// start prepares the store for this node, once the database can be reached: it updates the
// schema, checks the keys, and registers the node.
func (q *Queue) start(ctx context.Context) error {
	c, err := q.connect(ctx)
	if err != nil {
		return err
	}
	defer closeConn(c)
	if err := q.schema.Migrate(ctx, c); err != nil {
		return err
	}
	if err := q.useKeys(ctx, c); err != nil {
		return err
	}
	var usedAt, ended, newest int64
	if err := c.QueryRow(ctx, q.in(selectStart)).Scan(&usedAt, &ended, &newest); err != nil {
		return err
	}
	if err := q.readClock(ctx, c); err != nil {
		return err
	}
	if err := q.checkStandby(ctx, c); err != nil {
		return err
	}
	if err := q.partitions.Ahead(ctx, c); err != nil {
		return err
	}
	if err := q.forgetPauses(ctx, c); err != nil {
		return err
	}
	if err := q.register(ctx, c); err != nil {
		return err
	}
	if err := q.readPauses(ctx, c); err != nil {
		return err
	}
	if _, err := q.takeOver(ctx, c); err != nil {
		return err
	}
	if err := q.countFirst(ctx); err != nil {
		return err
	}
	q.begun.Lock()
	q.newest = newest
	q.ended.Store(ended)
	q.age, q.usedAt = queue.NewAgeClock(policy.Time(usedAt), q.options.Elapsed()), usedAt
	q.begun.Unlock()
	q.suspended.Store(nil)
	q.writer.Wake()
	q.writer.RetryFull()
	for _, l := range q.leases.All() {
		l.Forget(true)
		q.wakeUp(l.Upstream)
	}
	return nil
}

// Unavailable returns why the database cannot be used, or nil.
func (q *Queue) Unavailable() error {
	if err := q.suspended.Load(); err != nil {
		return unavailable{*err}
	}
	return nil
}

func (q *Queue) suspend(err error) {
	err = oneLine{err}
	q.suspended.Store(&err)
}

// An unavailable is an error that wraps queue.ErrUnavailable as well.
type unavailable struct{ error }

// Unwrap returns both errors.
func (e unavailable) Unwrap() []error { return []error{e.error, queue.ErrUnavailable} }

// Pool returns the pool of connections for claims and reading, for the statistics.
func (q *Queue) Pool() *pgxpool.Stat { return q.pool.Stat() }
