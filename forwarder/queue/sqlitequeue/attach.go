package sqlitequeue

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/disk"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
)

// attach opens the files and reads the state that is kept in memory.
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
		q.damaged(fmt.Errorf("%s was in use when the process ended, and its WAL (%[1]s%s) is missing: events that were stored last may be missing; restore the WAL if you have it", q.path, disk.WAL))
	}
	k, err := resolveKeys(q.path, q.keys, q.counts().Keys(), true)
	if err == nil {
		err = q.setInUse(m)
	}
	if err != nil {
		return errors.Join(err, q.detach())
	}
	q.useKeys(k)
	q.wal, q.found = walState{}, nil
	q.freed = true // whether payloads are still in the WAL is unknown
	if q.age == nil {
		q.age = queue.NewAgeClock(policy.Time(m.UsedAt), q.elapsed())
	}
	return nil
}

// prepare checks the files, creates a missing database, and repairs a damaged WAL.
func (q *Queue) prepare() error {
	info, err := os.Stat(q.path)
	wal, walErr := os.Stat(q.path + disk.WAL)
	switch {
	case errors.Is(err, fs.ErrNotExist) && walErr == nil && wal.Size() > 0:
		return tables.Refuse(q.path, "it is missing, but its WAL exists; restore it, or delete %s%s to start with an empty store", q.path, disk.WAL)
	case errors.Is(err, fs.ErrNotExist):
		return tables.Create(q.path)
	case err != nil:
		return fmt.Errorf("opening the store: %w", err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("opening %s: it is not a regular file; use another path", q.path)
	case info.Size() == 0:
		return tables.Refuse(q.path, "it is empty; restore it, or delete it to start with an empty store")
	}
	if err := tables.CheckHeader(q.path); err != nil {
		return q.rebuildAtStart(fmt.Errorf("the header of %s is damaged", q.path), err)
	}
	for _, name := range []string{q.path, q.path + disk.WAL, q.path + disk.SHM} {
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		switch {
		case err == nil:
			err = f.Close()
		case errors.Is(err, fs.ErrNotExist):
			err = nil
		case errors.Is(err, fs.ErrPermission):
			err = fmt.Errorf("%w; it may belong to another user: make the user of this process the owner of all files of the store (chown)", err)
		}
		if err != nil {
			return fmt.Errorf("opening the store: %w", err)
		}
	}
	return q.repairWAL()
}

// connect opens the connections, checks that the database is a store of this program,
// and reads the state that is kept in memory.
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
	if err == nil {
		err = q.readAudit(c, m.Identity)
		if errors.Is(err, policy.ErrDamaged) && !errors.Is(err, tables.ErrStructure) {
			q.damaged(fmt.Errorf("the newest lines of the audit trail in %s were damaged: the trail begins anew, and its verification reports that", q.path))
			err = nil
		}
	}
	if err == nil && m.Counts == nil {
		if err = m.Recount(c, q.upstreams); err == nil {
			q.damaged(fmt.Errorf("the counts of events in %s were damaged; they were counted again, and nothing is lost", q.path))
		}
	}
	if err == nil {
		q.unfiled.Clear()
		err = tables.EachUnfiled(c, m.Filed, q.unfiled.Add)
	}
	if err == nil {
		q.names.Clear()
		err = tables.EachUnnamed(c, q.names.Add)
	}
	if err == nil {
		q.lastSeq, err = c.Number(`SELECT max(coalesce((SELECT max(seq) FROM event), 0), coalesce((SELECT max(seq) FROM payload), 0), ?)`, max(q.lastSeq, m.Filed)) // a new event with a seq up to m.Filed would count as filed
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
	q.filed, q.filedCounts, q.usedAt, q.identity = m.Filed, m.Counts, m.UsedAt, m.Identity
	counts := m.Counts.Plus(nil)
	for _, r := range q.unfiled.All() {
		counts.Add(&r.Event, 1)
		q.names.Add(tables.NamesOf(r)...)
	}
	q.current.Store(&counts)
	return m, nil
}

// disconnect closes the connections.
func (q *Queue) disconnect() error {
	var errs []error
	for _, p := range []*tables.Pool{q.surveyor, q.claims, q.readers, q.copiers, q.checkpoints} { // the surveyor first, since callers that wait for a survey hold another connection
		errs = append(errs, p.Disconnect())
	}
	if q.writing != nil {
		errs = append(errs, q.writing.Close())
		q.writing = nil
	}
	return errors.Join(append(errs, q.files.Close())...)
}

func (q *Queue) explain(err error) error {
	if errors.Is(err, policy.ErrDamaged) {
		return tables.Refuse(q.path, "%w; restore it", err)
	}
	return err
}

// setInUse records that the store is in use. If the disk is full, the queue works without:
// it delivers what it can, and stores again once there is room. It reports if the store is a copy of
// another store that is in use too.
func (q *Queue) setInUse(m *tables.Meta) error {
	if m.Path != q.path && q.options.OnCopy != nil && inUse(m.Path) {
		q.options.OnCopy(m.Path)
	}
	id := q.identity.Next()
	err := tables.WriteInUse(q.writing, id, q.path)
	switch reserved := q.room.reserve != nil && !q.room.released; {
	case err == nil:
		q.identity = id
	case !isFull(err), reserved: // the caller releases the reserve, and tries again
		return err
	}
	q.unmarked = err != nil // on a full disk; the next commit writes it
	return q.files.Open(q.path, q.writing)
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

// closeStore files the unfiled events, records that the store was closed, and closes
// the connections. Unless the files are suspended, the last connection copies the WAL
// to the main file.
func (q *Queue) closeStore() error {
	if q.usable() == nil {
		if err := q.files.Check(); err != nil {
			q.suspend(err)
		}
	}
	if q.usable() != nil {
		q.saveDetached()
	}
	if q.usable() != nil {
		return q.detach()
	}
	_, err := q.transact(func(t *tx) (bool, error) {
		q.unmarked = false
		t.auditHeads = q.heads.waits(0)
		return false, t.exec(`UPDATE meta SET clean = 1, used_at = max(used_at, ?)`, t.age)
	})
	if q.checkpoint("TRUNCATE"); q.usable() != nil {
		return errors.Join(err, q.detach())
	}
	return errors.Join(err, q.disconnect())
}

// detach closes the files without a checkpoint.
func (q *Queue) detach() error {
	release, err := disk.PreventCheckpoint(q.path)
	if err != nil { // there is no file at the path, so SQLite makes no checkpoint
		release = func() error { return nil }
	}
	return errors.Join(q.disconnect(), release())
}

// notShared returns an error if another program has the file open. If the queue used
// its own new file, WAL or shared-memory file at the same time, the store would be
// destroyed.
func (q *Queue) notShared() error {
	used, err := disk.InUse(q.path)
	if used {
		return fmt.Errorf("another program has %s open: stop it", q.path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// attachInRoom calls attach. If the disk is full, it releases the reserve and tries
// again.
func (q *Queue) attachInRoom() error {
	r := &q.room
	if _, total, err := r.space(filepath.Dir(q.path)); err == nil {
		r.size = disk.ReserveSize(total)
		r.reserve = disk.NewReserve(q.path, r.size)
	}
	err := q.attach()
	if isFull(err) {
		q.releaseReserve()
		err = q.attach()
	}
	if err == nil && r.reserve != nil && !r.released {
		r.released = r.reserve.Ensure() != nil
	}
	return err
}
