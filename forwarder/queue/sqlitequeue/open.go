package sqlitequeue

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/disk"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/memtable"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// lockWait is how long Open waits for another process to end: about the time that a
// predecessor needs to shut down.
const lockWait = 3 * time.Second

// maxRecent is the limit for events in memory, in bytes of their sealed payloads.
const maxRecent = 4 << 20

// The number of connections besides the writer's.
const (
	claimConns  = 2
	readerConns = 2
)

// complete sets the defaults.
func (o *Options) complete() {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Elapsed == nil {
		began := o.Now()
		o.Elapsed = func() time.Duration { return o.Now().Sub(began) }
	}
	if o.space == nil {
		o.space = disk.Space
	}
}

// Open opens the store in a file, or creates it. If it fails, it has not changed an
// existing file.
func Open(o Options) (_ *Queue, err error) {
	o.complete()
	path, err := disk.ResolvePath(o.Path)
	if err != nil {
		return nil, fmt.Errorf("opening the store: %w", err)
	}
	if err := disk.RefuseNetwork(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	if err := disk.MakeDir(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("creating the directory of %s: %w", path, err)
	}
	lock, err := disk.Lock(path, lockWait)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, lock.Unlock())
		}
	}()
	q := newQueue(path, o, lock)
	disk.RemoveTemp(path)
	if err := q.attachInRoom(); err != nil {
		return nil, err
	}
	q.writer.Start()
	q.work.Go(q.reseal)
	q.work.Go(q.check)
	return q, nil
}

func newQueue(path string, o Options, lock *disk.FileLock) *Queue {
	q := &Queue{
		path: path, options: o, now: o.Now, elapsed: o.Elapsed, lock: lock, keys: o.Keys, leases: &leases{byName: make(map[string]*lease)},
		held:      held{events: make(map[int64]*policy.Outcome)},
		upstreams: tables.NewUpstreams(), recent: policy.NewRecent(maxRecent), names: memtable.NewNames(memtable.ManyNames), resealing: make(chan struct{}, 1),
	}
	q.room.space = o.space
	q.settings.Store(&o.Settings)
	q.current.Store(&policy.Counts{})
	q.ctx, q.cancel = context.WithCancel(context.Background())
	q.writer = policy.NewWriter(q)
	q.readers = tables.NewPool(tables.OpenReader, q.unusable)
	q.claims = tables.NewPool(tables.OpenReader, q.unusable)
	q.copiers = tables.NewPool(tables.OpenCopier, q.unusable)
	q.surveyor = tables.NewPool(tables.OpenReader, q.unusable)
	q.checkpoints = tables.NewPool(tables.OpenCopier, q.unusable)
	return q
}

// ResolvePath returns the path of the store for a configured path: absolute, with all
// links resolved.
func ResolvePath(path string) (string, error) { return disk.ResolvePath(path) }

// Options configure a store.
type Options struct {
	Path     string     // the database file; Open creates it and its directory if they are missing
	Keys     []seal.Key // the first seals, all open; none: the key in <Path>.key, created at first start
	Settings queue.Settings

	Now      func() time.Time                      // default: time.Now
	Elapsed  func() time.Duration                  // monotonic time since any fixed moment; default: by the monotonic clock
	OnCommit func(took time.Duration, changes int) // called after each commit; may be nil; must not block

	// OnFailure is called with the reason for each change that could not be written,
	// and with nil when events can be stored again. It may be nil, and must not block.
	OnFailure func(err error)

	// OnClock is called with the distance when the clock has jumped ahead by more than
	// a minute. It may be nil, and must not block.
	OnClock func(ahead time.Duration)

	// OnResealed is called when no more events need to be resealed with the first key.
	// It may be nil.
	OnResealed func(Resealed)

	// OnDamage is called with a description of found damage, its consequences and what
	// to do. It may be nil, and must not block.
	OnDamage func(err error)

	// OnCopy is called with the path of another store if the file is a copy of it and
	// another process uses it. Both deliver the pending events. It may be nil.
	OnCopy func(of string)

	fault func(stage string) error                         // makes changes fail in tests
	space func(dir string) (free, total uint64, err error) // disk.Space, except in tests
}

// The stages at which a test can make a change fail.
const beforeCommit = "commit"
