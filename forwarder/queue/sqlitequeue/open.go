package sqlitequeue

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/disk"
)

// applicationID marks a database as one of ours: "Scgt".
const applicationID = 0x53636774

// migrations are the changes of the schema, in order. The version of a file is how many
// of them were applied to it. One is never changed after a release.
var migrations = []string{schema1}

//go:embed schema.sql
var schema1 string

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
	removeLeftovers(path)
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
		upstreams: newUpstreams(), recent: newRecent(), names: names{many: manyNames}, resealing: make(chan struct{}, 1),
	}
	q.room.space = o.space
	q.settings.Store(&o.Settings)
	q.current.Store(&policy.Counts{})
	q.ctx, q.cancel = context.WithCancel(context.Background())
	q.writer = policy.NewWriter(q)
	reader := func() (*conn, error) { return openConn(q.path, url.Values{"mode": {"rw"}}, readerPragmas...) }
	copier := func() (*conn, error) { return openConn(q.path, url.Values{"mode": {"rw"}}, copierPragmas...) }
	q.readers = &pool{open: reader, reason: q.unusable}
	q.claims = &pool{open: reader, reason: q.unusable}
	q.copiers = &pool{open: copier, reason: q.unusable}
	q.surveyor = &pool{open: reader, reason: q.unusable}
	return q
}

// attach opens the files.
func (q *Queue) attach() error {
	if err := q.prepare(); err != nil {
		return err
	}
	_, walErr := os.Stat(q.path + walName)
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
	if q.age == nil && !m.clean && errors.Is(walErr, fs.ErrNotExist) {
		q.damaged(fmt.Errorf("%s was in use when the process ended, and its WAL (%[1]s%s) is missing: events that were stored last may be missing; restore the WAL where you have it", q.path, walName))
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
		q.age = queue.NewAgeClock(policy.Time(m.usedAt), q.elapsed())
	}
	return nil
}

// prepare looks at the files, makes the database where there is none, and repairs the
// WAL where it is damaged.
func (q *Queue) prepare() error {
	info, err := os.Stat(q.path)
	wal, walErr := os.Stat(q.path + "-wal")
	switch {
	case errors.Is(err, fs.ErrNotExist) && walErr == nil && wal.Size() > 0:
		return refuse(q.path, "it is missing, and its WAL is there; restore it, or delete %s%s to start anew", q.path, walName)
	case errors.Is(err, fs.ErrNotExist):
		return create(q.path)
	case err != nil:
		return fmt.Errorf("opening the store: %w", err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("opening %s: it is not a regular file; give another path", q.path)
	case info.Size() == 0:
		return refuse(q.path, "it is empty; restore it, or delete it to start anew")
	}
	if err := checkHeader(q.path); err != nil {
		return q.rebuildAtStart(fmt.Errorf("%s is damaged at its beginning", q.path), err)
	}
	for _, name := range []string{q.path, q.path + walName, q.path + shmName} {
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

// checkHeader returns an error unless the file begins like a store of this version or
// an older one. Nothing has opened it yet.
func checkHeader(path string) error {
	f, err := os.Open(path) // the path is the configuration's
	if err != nil {
		return fmt.Errorf("opening the store: %w", err)
	}
	defer f.Close()
	var header [100]byte
	if _, err := io.ReadFull(f, header[:]); err != nil || !bytes.HasPrefix(header[:], []byte("SQLite format 3\x00")) {
		return refuse(path, "it is not a SQLite database, or its beginning is damaged; give another path, or restore it")
	}
	if binary.BigEndian.Uint32(header[68:]) != applicationID {
		return errForeign(path)
	}
	return nil
}

var errOtherProgram = errors.New("it is the database of another program")

func errForeign(path string) error {
	return refuse(path, "%w; give another path", errOtherProgram)
}

// refuse returns the error of a file that is not opened, for a reason.
func refuse(path, reason string, args ...any) error {
	return fmt.Errorf("opening %s: %w (nothing has been changed; to see what can be read: caddy scribegate export --path %[1]s)", path, fmt.Errorf(reason, args...))
}

// create makes an empty store. The file appears whole or not at all, and not where
// another process has just made it.
func create(path string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("making %s: %w", path, err)
		}
	}()
	dir := filepath.Dir(path)
	temp, err := os.CreateTemp(dir, filepath.Base(path)+".new.*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	if err := temp.Close(); err != nil {
		return err
	}
	c, err := openConn(temp.Name(), url.Values{}, slices.Concat(createPragmas, writerPragmas)...)
	if err != nil {
		return err
	}
	err = migrate(c, temp.Name())
	if err == nil {
		err = insertMeta(c, &meta{identity: identity{store: newIdentity()}, path: path})
	}
	if err := errors.Join(err, c.close()); err != nil {
		return err
	}
	f, err := os.Open(temp.Name())
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		return err
	}
	return disk.SyncDir(dir)
}

func newIdentity() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails; a system without randomness ends the process
	return string(b)
}

// The settings of connections. The writer never waits for a lock, so that it can be
// closed. Nothing but checkpoint.go makes checkpoints.
var (
	createPragmas = []string{`PRAGMA page_size=` + strconv.Itoa(pageSize), `PRAGMA auto_vacuum=INCREMENTAL`}
	writerPragmas = []string{
		`PRAGMA wal_autocheckpoint=0`, `PRAGMA journal_mode=WAL`, `PRAGMA synchronous=FULL`, `PRAGMA secure_delete=ON`,
		`PRAGMA cache_size=-8192`, `PRAGMA temp_store=MEMORY`, `PRAGMA cell_size_check=ON`, `PRAGMA busy_timeout=0`,
	}
	readerPragmas = []string{
		`PRAGMA query_only=ON`, `PRAGMA cache_size=-2048`, `PRAGMA temp_store=MEMORY`, `PRAGMA cell_size_check=ON`, `PRAGMA busy_timeout=1000`,
	}
	copierPragmas = []string{`PRAGMA wal_autocheckpoint=0`, `PRAGMA cache_size=-2048`}
)

// migrate brings the schema to this version.
func migrate(c *conn, path string) error { return migrateBy(c, path, migrations) }

// migrateBy makes the migrations that are not made yet, each in a transaction.
func migrateBy(c *conn, path string, migrations []string) error {
	version, err := c.number(`PRAGMA user_version`)
	if err != nil {
		return err
	}
	if version > int64(len(migrations)) {
		return refuse(path, "it is of version %d, and this program reads up to %d; open it with the newer program", version, len(migrations))
	}
	for _, m := range migrations[version:] {
		version++
		text := "BEGIN IMMEDIATE;\n" + m + "\nPRAGMA application_id=" + strconv.Itoa(applicationID) + ";\nPRAGMA user_version=" + strconv.FormatInt(version, 10) + ";\nCOMMIT"
		if err := c.run(text); err != nil {
			_ = c.run(`ROLLBACK`)
			return fmt.Errorf("bringing %s to version %d: %w", path, version, err)
		}
	}
	return nil
}

// connect opens the connections, checks that the database is one of ours, and reads
// what is kept in memory.
func (q *Queue) connect() (*meta, error) {
	c, err := openConn(q.path, url.Values{"mode": {"rw"}}, writerPragmas...)
	if err != nil {
		return nil, err
	}
	q.writing = c
	err = useSchema(c, q.path)
	var m *meta
	if err == nil {
		m, err = readMeta(c)
	}
	if err == nil {
		err = q.upstreams.read(c)
	}
	if err == nil && m.counts == nil {
		if err = m.recount(c, q.upstreams); err == nil {
			q.damaged(fmt.Errorf("the counts of events in %s were damaged; they were counted anew, and nothing is lost", q.path))
		}
	}
	if err == nil {
		err = q.unfiled.read(context.Background(), c, m.filed)
	}
	if err == nil {
		err = q.names.read(context.Background(), c)
	}
	if err == nil {
		q.lastSeq, err = c.number(`SELECT max(coalesce((SELECT max(seq) FROM event), 0), coalesce((SELECT max(seq) FROM payload), 0), ?)`, q.lastSeq)
	}
	for _, p := range []struct {
		pool *pool
		n    int
	}{{q.readers, readerConns}, {q.claims, claimConns}, {q.copiers, 1}, {q.surveyor, 1}} {
		if err == nil {
			err = p.pool.connect(p.n)
		}
	}
	if err != nil {
		return nil, errors.Join(err, q.detach())
	}
	q.filed, q.filedCounts, q.noted, q.identity = m.filed, m.counts, m.usedAt, m.identity
	counts := m.counts.Plus(nil)
	for _, r := range q.unfiled.all() {
		counts.Add(&r.Event, 1)
		q.names.add(r.seq, hashes(&r.Event))
	}
	q.current.Store(&counts)
	return m, nil
}

// disconnect closes the connections.
func (q *Queue) disconnect() error {
	var errs []error
	for _, p := range []*pool{q.surveyor, q.claims, q.readers, q.copiers} { // those who wait for a survey have a connection
		errs = append(errs, p.disconnect())
	}
	if q.writing != nil {
		errs = append(errs, q.writing.close())
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
		return refuse(q.path, "%w; restore it", err)
	}
	return err
}

// begun notes that the store is in use, and reports what is odd about it.
func (q *Queue) begun(m *meta) error {
	if m.path != q.path && q.options.OnCopy != nil && inUse(m.path) {
		q.options.OnCopy(m.path)
	}
	id := q.identity.next()
	err := q.writing.exec(`UPDATE meta SET clean = 0, path = ?, store = ?, writes = ?, checksum = ?`, q.path, []byte(id.store), id.writes, id.checksum())
	if err != nil {
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
