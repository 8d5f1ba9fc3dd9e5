package sqlitequeue

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/disk"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
)

// lockWait is how long opening waits for another process to end: about as long as a
// predecessor takes to shut down.
const lockWait = 3 * time.Second

// The connections beside the writer's.
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

// Open opens the store in a file, or makes it. Where it fails it has changed nothing in
// a file that was there.
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
		return nil, fmt.Errorf("making the directory of %s: %w", path, err)
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
		upstreams: tables.NewUpstreams(), recent: newRecent(), names: names{many: manyNames}, resealing: make(chan struct{}, 1),
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

// attach opens the files.
func (q *Queue) attach() error {
	if err := q.prepare(); err != nil {
		return err
	}
	_, walErr := os.Stat(q.path + disk.WAL)
	m, err := q.connect()
	if errors.Is(err, policy.ErrDamaged) {
		if err := q.rebuildAtStart(err, q.explain(err)); err != nil {
			return err
		}
		m, err = q.connect()
	}
	if err != nil {
		return q.explain(err)
	}
	if q.age == nil && !m.Clean && errors.Is(walErr, fs.ErrNotExist) {
		q.damaged(fmt.Errorf("%s was in use when the process ended, and its WAL (%[1]s%s) is missing: events that were stored last may be missing; restore the WAL where you have it", q.path, disk.WAL))
	}
	k, err := resolveKeys(q.path, q.keys, q.counts().Keys(), true)
	if err == nil {
		err = q.begun(m)
	}
	if err != nil {
		return errors.Join(err, q.detach())
	}
	q.use(k)
	q.wal, q.changed = walState{}, true
	q.freed = true // as far as is known
	if q.age == nil {
		q.age = queue.NewAgeClock(policy.Time(m.UsedAt), q.elapsed())
	}
	return nil
}

// prepare looks at the files, makes the database where there is none, and repairs the
// WAL where it is damaged.
func (q *Queue) prepare() error {
	info, err := os.Stat(q.path)
	wal, walErr := os.Stat(q.path + disk.WAL)
	switch {
	case errors.Is(err, fs.ErrNotExist) && walErr == nil && wal.Size() > 0:
		return tables.Refuse(q.path, "it is missing, and its WAL is there; restore it, or delete %s%s to start anew", q.path, disk.WAL)
	case errors.Is(err, fs.ErrNotExist):
		return tables.Create(q.path)
	case err != nil:
		return fmt.Errorf("opening the store: %w", err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("opening %s: it is not a regular file; give another path", q.path)
	case info.Size() == 0:
		return tables.Refuse(q.path, "it is empty; restore it, or delete it to start anew")
	}
	if err := tables.CheckHeader(q.path); err != nil {
		return q.rebuildAtStart(fmt.Errorf("%s is damaged at its beginning", q.path), err)
	}
	for _, name := range []string{q.path, q.path + disk.WAL, q.path + disk.SHM} {
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		switch {
		case err == nil:
			err = f.Close()
		case errors.Is(err, fs.ErrNotExist):
			err = nil
		case errors.Is(err, fs.ErrPermission):
			err = fmt.Errorf("%w; it may be another user's: give all files of the store to the user of this process (chown)", err)
		}
		if err != nil {
			return fmt.Errorf("opening the store: %w", err)
		}
	}
	return q.repairWAL()
}

// connect opens the connections, checks that the database is one of ours, and reads
// what is kept in memory.
func (q *Queue) connect() (*tables.Meta, error) {
	c, err := tables.OpenWriter(q.path)
	if err != nil {
		return nil, err
	}
	q.writing = c
	err = tables.UseSchema(c, q.path)
	var m *tables.Meta
	if err == nil {
		m, err = tables.ReadMeta(c)
	}
	if err == nil {
		err = q.upstreams.Read(c)
	}
	if err == nil && m.Counts == nil {
		if err = m.Recount(c, q.upstreams); err == nil {
			q.damaged(fmt.Errorf("the counts of events in %s were damaged; they were counted anew, and nothing is lost", q.path))
		}
	}
	if err == nil {
		err = q.unfiled.read(context.Background(), c, m.Filed)
	}
	if err == nil {
		err = q.names.read(context.Background(), c)
	}
	if err == nil {
		q.lastSeq, err = c.Number(`SELECT max(coalesce((SELECT max(seq) FROM event), 0), coalesce((SELECT max(seq) FROM payload), 0), ?)`, q.lastSeq)
	}
	for _, p := range []struct {
		pool *tables.Pool
		n    int
	}{{q.readers, readerConns}, {q.claims, claimConns}, {q.copiers, 1}, {q.surveyor, 1}, {q.checkpoints, 1}} {
		if err == nil {
			err = p.pool.Connect(q.path, p.n)
		}
	}
	if err != nil {
		return nil, errors.Join(err, q.detach())
	}
	q.filed, q.filedCounts, q.noted, q.identity = m.Filed, m.Counts, m.UsedAt, m.Identity
	counts := m.Counts.Plus(nil)
	for _, r := range q.unfiled.all() {
		counts.Add(&r.Event, 1)
		q.names.add(tables.NamesOf(r)...)
	}
	q.current.Store(&counts)
	return m, nil
}

// disconnect closes the connections.
func (q *Queue) disconnect() error {
	var errs []error
	for _, p := range []*tables.Pool{q.surveyor, q.claims, q.readers, q.copiers, q.checkpoints} { // those who wait for a survey have a connection
		errs = append(errs, p.Disconnect())
	}
	if q.writing != nil {
		errs = append(errs, q.writing.Close())
		q.writing = nil
	}
	if q.files.main != nil {
		errs = append(errs, q.files.main.Close())
		q.files.main = nil
	}
	if q.files.shm != nil {
		errs = append(errs, q.files.shm.Close())
		q.files.shm = nil
	}
	return errors.Join(errs...)
}

func (q *Queue) explain(err error) error {
	if errors.Is(err, policy.ErrDamaged) {
		return tables.Refuse(q.path, "%w; restore it", err)
	}
	return err
}

// begun notes that the store is in use, and reports what is odd about it.
func (q *Queue) begun(m *tables.Meta) error {
	if m.Path != q.path && q.options.OnCopy != nil && inUse(m.Path) {
		q.options.OnCopy(m.Path)
	}
	id := q.identity.Next()
	if err := tables.WriteInUse(q.writing, id, q.path); err != nil {
		return err
	}
	q.identity = id
	return q.watchFiles()
}

// inUse reports whether another process has the store at the path open.
func inUse(path string) bool {
	if _, err := os.Stat(path); err != nil {
		return false
	}
	lock, err := disk.Lock(path, 0)
	if err == nil {
		_ = lock.Unlock()
	}
	return errors.Is(err, queue.ErrBusy)
}

// shut files what is unfiled, notes that the store was closed, and closes the connections. The last one takes
// the WAL to the main file, except where that is not as it should be.
func (q *Queue) shut() error {
	if q.usable() == nil {
		if err := q.checkFile(); err != nil {
			q.lose(err)
		}
	}
	if q.usable() != nil {
		q.saveDetached()
	}
	if q.usable() != nil {
		return q.detach()
	}
	_, err := q.transact(func(t *tx) (bool, error) {
		return false, t.exec(`UPDATE meta SET clean = 1, used_at = max(used_at, ?)`, t.age)
	})
	if q.checkpoint("TRUNCATE"); q.usable() != nil {
		return errors.Join(err, q.detach())
	}
	return errors.Join(err, q.disconnect())
}

// ResolvePath returns the path of the store that a configured path leads to: absolute,
// with all links resolved.
func ResolvePath(path string) (string, error) { return disk.ResolvePath(path) }
