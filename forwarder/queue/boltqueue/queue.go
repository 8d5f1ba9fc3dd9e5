package boltqueue

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// Options are what Open is told.
type Options struct {
	Path     string // the queue file; made, with its directory, where it is not there
	Keys     []Key  // the first seals, all open; none: the key in <Path>.key, made at first start
	Settings queue.Settings

	Now      func() time.Time                      // nil is time.Now
	Elapsed  func() time.Duration                  // the time that has passed since any one moment; nil is by Now's monotonic readings
	OnCommit func(took time.Duration, changes int) // called after each commit; may be nil; must not block

	// OnFailure is called when nothing, or not everything, can be written any
	// more, with the reason, each time that a change could not be made even by
	// itself, and with nil when that is over. It may be nil, and must not block.
	OnFailure func(err error)

	// OnClock is called when the clock has jumped ahead by more than a retention,
	// with how far. It may be nil, and must not block.
	OnClock func(ahead time.Duration)

	// OnResealed is called when whatever was sealed with an older key than the
	// first has been dealt with. It may be nil.
	OnResealed func(Resealed)

	fault     func(stage string) error // makes changes fail in tests
	segment   int64                    // of the journal, in bytes, in tests; 0 is the default, and -1 is none
	copyBytes int                      // has Compact copy in small slices in tests
	recent    int                      // how many ids are kept apart from all others in tests; 0 is the default
	waste     int                      // how many free pages are enough in tests; 0 is the default
}

// The stages of a change at which a test can make it fail.
const (
	beforeCommit  = "before"
	beforeJournal = "journal" // a write to it, or its making
	afterCommit   = "after"
	beforeReserve = "reserve" // room for what is stored
	beforeRename  = "rename"  // of a compacted copy
	beforeNaming  = "naming"  // the sync of its directory
)

// A Queue is a queue in one bbolt file.
type Queue struct {
	file      *file
	journal   *journal
	dbMu      sync.RWMutex // held for writing while file's database is replaced
	intake    *intake
	lanes     lanes
	fresh     *fresh
	recent    *recent
	settings  atomic.Pointer[queue.Settings]
	ring      atomic.Pointer[keyring]
	wake      atomic.Pointer[func(upstream string)]
	now       func() time.Time
	elapsed   func() time.Duration
	age       *queue.AgeClock // the committing goroutine's
	doubted   bool            // whether onClock was called for the jump that there is; likewise
	onClock   func(ahead time.Duration)
	onCommit  func(took time.Duration, changes int)
	onFailure func(err error)
	failing   atomic.Bool // whether the last commit failed; set by the committing goroutine
	hook      func(stage string) error

	copyBytes int

	countsMu sync.Mutex
	counts   counts // as committed; replaced, never changed

	compaction *compaction    // under way; the committing goroutine's
	waste      waste          // likewise
	unnamed    bool           // whether the file's name is not on stable storage; likewise
	closers    sync.WaitGroup // of work that Close waits for
	mending    atomic.Bool

	ticker    *time.Ticker // of the sweep
	pause     *time.Timer  // of linger
	backoff   time.Duration
	closing   chan struct{}
	closeOnce sync.Once
	closeErr  error
	done      chan struct{} // closed when the committing goroutine has ended
	resealer  *resealer
}

// errClosing answers what waits when the queue is closed.
var errClosing = fmt.Errorf("the change was not made: %w", queue.ErrClosed)

// Open opens or makes a queue file. Where it fails it has changed nothing in a
// file that was there.
func Open(o Options) (*Queue, error) {
	f, err := openFile(o.Path, func(tx *bbolt.Tx) error {
		sealed := readCounts(tx).sealed()
		entries, err := unstored(o.Path, tx)
		if err == nil {
			countSealedIn(entries, sealed)
			_, err = resolveKeys(o.Path, o.Keys, sealed)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	q := &Queue{
		file:      f,
		lanes:     lanes{byName: make(map[string]*lane)},
		now:       o.Now,
		elapsed:   o.Elapsed,
		onClock:   o.OnClock,
		onCommit:  o.OnCommit,
		onFailure: o.OnFailure,
		hook:      o.fault,
		copyBytes: o.copyBytes,
		waste:     waste{enough: wasteEnough},
		closing:   make(chan struct{}),
		done:      make(chan struct{}),
	}
	q.fresh = newFresh(&q.lanes)
	q.recent = newRecent(o.recent)
	if q.now == nil {
		q.now = time.Now
	}
	if q.elapsed == nil {
		began := q.now()
		q.elapsed = func() time.Duration { return q.now().Sub(began) }
	}
	if o.waste > 0 {
		q.waste.enough = o.waste
	}
	q.settings.Store(&o.Settings)
	err = q.prepare(o)
	if err == nil {
		err = removeLeftovers(o.Path)
	}
	if err != nil {
		if q.journal != nil {
			q.journal.shut()
		}
		return nil, errors.Join(err, f.db.Close())
	}
	q.ticker = time.NewTicker(sweepEvery(o.Settings))
	q.pause = time.NewTimer(lingerStep)
	go q.journal.loop()
	q.resealer = q.startResealer(o.OnResealed)
	q.recallOutcomes()
	go q.loop()
	return q, nil
}

// prepare checks the keys, then makes the buckets of a new file, and takes on
// what only the journal holds.
func (q *Queue) prepare(o Options) error {
	var entries []journalEntry
	var identity []byte
	err := q.view(func(tx *bbolt.Tx) (err error) {
		if meta := tx.Bucket([]byte(bucketMeta)); meta != nil {
			identity = bytes.Clone(meta.Get([]byte(journalKey)))
		}
		q.counts = readCounts(tx)
		q.recent.read(tx)
		entries, err = unstored(o.Path, tx)
		return err
	})
	if err != nil {
		return err
	}
	q.age = queue.NewAgeClock(at(q.counts[countTime]), q.elapsed())
	q.age.Now(q.now(), q.elapsed())
	sealed := q.counts.sealed()
	countSealedIn(entries, sealed)
	ring, err := resolveKeys(q.file.path, o.Keys, sealed)
	if err != nil {
		return err
	}
	q.ring.Store(ring)
	if identity == nil {
		identity = make([]byte, identitySize)
		_, _ = rand.Read(identity) // never fails; a system without randomness ends the process
		if err := q.initialize(identity); err != nil {
			return err
		}
	}
	q.startJournal(o, identity, entries)
	return nil
}

// initialize makes the buckets of a new file, and gives it an identity.
func (q *Queue) initialize(identity []byte) error {
	t, err := q.begin()
	if err != nil {
		return err
	}
	t.put(bucketMeta, []byte(formatKey), []byte(formatValue))
	t.put(bucketMeta, []byte(journalKey), identity)
	for _, name := range []string{bucketCounts, bucketEvents, bucketPayloads, bucketIDs, bucketRecent} {
		t.bucket(name)
	}
	t.noteTime(noteEvery)
	if err := q.commit(t); err != nil {
		return err
	}
	q.counts = t.delta
	return nil
}

// SetApart returns how many events had to be set apart, since their records
// could not be read: a sign of a damaged disk.
func (q *Queue) SetApart() int64 { return q.snapshot()[countApart] }

// Configure implements queue.Queue.
func (q *Queue) Configure(s queue.Settings) {
	q.settings.Store(&s)
	q.ticker.Reset(sweepEvery(s))
	q.intake.unpark()
}

// Notify implements queue.Queue.
func (q *Queue) Notify(wake func(upstream string)) { q.wake.Store(&wake) }

func (q *Queue) wakeUp(upstream string) {
	if wake := q.wake.Load(); wake != nil && *wake != nil {
		(*wake)(upstream)
	}
}

// Close implements queue.Queue.
func (q *Queue) Close() error {
	q.closeOnce.Do(func() {
		q.intake.close()
		q.journal.close()
		close(q.closing)
		<-q.done
		q.closeErr = errors.Join(q.closeErr, q.journal.remove())
		<-q.resealer.ended
		q.closers.Wait()
		q.dbMu.Lock()
		defer q.dbMu.Unlock()
		if err := q.file.db.Close(); err != nil {
			q.closeErr = errors.Join(q.closeErr, fmt.Errorf("closing the queue file %s: %w", q.file.path, err))
		}
	})
	return q.closeErr
}

func (q *Queue) isClosed() bool {
	select {
	case <-q.closing:
		return true
	default:
		return false
	}
}

// view reads in a transaction, which must be short: a long one keeps pages from
// being used again.
func (q *Queue) view(read func(tx *bbolt.Tx) error) (err error) {
	q.dbMu.RLock()
	defer q.dbMu.RUnlock()
	defer faults()()
	defer guard(&err, "reading", q.file.path)
	err = q.file.db.View(read)
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return queue.ErrClosed
	}
	return err
}

// snapshot returns the counts, which are not to be changed.
func (q *Queue) snapshot() counts {
	q.countsMu.Lock()
	defer q.countsMu.Unlock()
	return q.counts
}

func (q *Queue) fault(stage string) error {
	if q.hook == nil {
		return nil
	}
	return q.hook(stage)
}

// Interface guards
var (
	_ queue.Queue     = (*Queue)(nil)
	_ queue.Compacter = (*Queue)(nil)
)
