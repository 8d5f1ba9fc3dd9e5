package sqlitequeue

import (
	"cmp"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/disk"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// A rebuilding is the making of a new file of all that can be read of a store.
type rebuilding struct {
	q      *Queue
	from   *contents
	to     *conn
	counts policy.Counts
	names  []name
	now    int64

	last     int64 // the newest seq
	newest   int64 // the newest time of receipt
	events   int   // that were copied
	unrouted int   // of them, those whose upstreams are not known
	partly   int   // of them, those of which another part is lost
	payloads int   // of them, those without their payload
	locked   int   // payloads without a record that no key opens, which are lost
}

// rebuild puts a new file in the place of a damaged one, with all that can be read of
// it. The damaged one is kept beside it. No connection is open, and the store is locked.
func (q *Queue) rebuild(reason error) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("rebuilding %s: %w", q.path, err)
		}
	}()
	if err := q.notShared(); err != nil {
		return err
	}
	m, err := openImage(q.path, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	c, err := readContents(q.ctx, q.path, m)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	c.rebuilding = true
	keys := slices.Clone(q.keys)
	if own, err := seal.ReadFile(keyFile(q.path)); err == nil {
		keys = append(keys, own)
	}
	if len(keys) > 0 {
		if c.ring, err = seal.NewRing(keys); err != nil {
			return err
		}
	}
	temp, err := os.CreateTemp(filepath.Dir(q.path), filepath.Base(q.path)+".new.*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	r := &rebuilding{q: q, from: c, counts: make(policy.Counts), now: policy.Nanos(q.now())}
	if err := errors.Join(r.copy(temp.Name()), temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if total(r.counts.Keys()) > 0 {
		if _, err := resolveKeys(q.path, q.keys, r.counts.Keys(), false); err != nil {
			return err
		}
	}
	if r.events == 0 && r.locked+c.lost+c.traces+c.gaps > 0 {
		return errNothing
	}
	kept, err := q.swap(temp.Name())
	if err != nil {
		return err
	}
	q.damaged(fmt.Errorf("%w; %s has been rebuilt: %s; the damaged file is kept as %s: delete it when nothing of it is needed any more", reason, q.path, r.result(), kept))
	return nil
}

// rebuildAtStart rebuilds a store that cannot be opened for the reason, or returns refusal
// where nothing of it can be read.
func (q *Queue) rebuildAtStart(reason, refusal error) error {
	err := q.rebuild(reason)
	if errors.Is(err, errNothing) || errors.Is(err, errOtherProgram) {
		return refusal
	}
	if err != nil {
		return fmt.Errorf("%w; it could not be rebuilt: %w", refusal, err)
	}
	return nil
}

// result describes what was copied and what is lost, in numbers.
func (r *rebuilding) result() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d events are in it", r.events)
	for _, part := range []struct {
		n    int
		what string
	}{
		{r.unrouted, "of them are unrouted, since their upstreams are not known any more: replay them"},
		{r.payloads, "of them have lost their payload"},
		{r.partly, "of them have lost a part of their record, such as attempts"},
		{r.locked, "payloads cannot be opened and are lost"},
		{r.from.lost, "events that waited are lost"},
		{r.from.traces, "traces of events that had been delivered are lost"},
		{r.from.gaps, "pages of records could not be read"},
	} {
		if part.n > 0 {
			fmt.Fprintf(&b, ", %d %s", part.n, part.what)
		}
	}
	return b.String()
}

// copy copies everything to a new file.
func (r *rebuilding) copy(path string) (err error) {
	r.to, err = openConn(path, url.Values{}, slices.Concat(createPragmas, []string{
		`PRAGMA journal_mode=OFF`, `PRAGMA synchronous=OFF`, `PRAGMA cache_size=-8192`, `PRAGMA temp_store=MEMORY`,
	})...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.to.close()) }()
	if err := migrate(r.to, path); err != nil {
		return err
	}
	if err := r.to.run(`BEGIN`); err != nil {
		return err
	}
	for _, id := range r.from.names.ids() {
		name, _ := r.from.names.name(id)
		if err := r.to.exec(insertUpstream, upstreamRow(id, name)...); err != nil {
			return err
		}
	}
	if err := r.from.each(r.q.ctx, `ASC`, true, r.add); err != nil {
		return err
	}
	slices.SortFunc(r.names, func(a, b name) int { return cmp.Compare(a.hash, b.hash) })
	for _, n := range r.names {
		if err := r.to.exec(`INSERT OR IGNORE INTO name (hash, seq) VALUES (?, ?)`, n.hash, n.seq); err != nil {
			return err
		}
	}
	if before, err := readMeta(r.from.image.conn); err == nil {
		r.newest = max(r.newest, before.usedAt)
	}
	if err := insertMeta(r.to, &meta{identity: identity{store: newIdentity()}, path: r.q.path, usedAt: r.newest, named: r.last, filed: r.last, counts: r.counts}); err != nil {
		return err
	}
	if err := r.to.run(`COMMIT`); err != nil {
		return err
	}
	return r.to.query(r.q.ctx, `PRAGMA journal_mode=WAL`, func([]driver.Value) error { return nil })
}

// add copies an event, with what is left of it.
func (r *rebuilding) add(s *salvaged) error {
	e := &s.record
	if s.keyless {
		r.locked++
		return nil
	}
	switch {
	case s.unknown && (e.Size > 0 || s.sealed != nil):
		e.SetAside, e.Reason, e.Deliveries, e.EndedAt = queue.Unrouted, "", nil, max(1, r.now)
		r.unrouted++
	case s.damaged:
		r.partly++
	}
	switch {
	case e.Pending():
		e.EndedAt = 0
	case e.EndedAt == 0:
		e.EndedAt = max(1, r.now)
	}
	if e.Size > 0 && s.sealed == nil {
		r.payloads++
	}
	if err := r.insert(e, s.sealed); err != nil {
		return err
	}
	for _, h := range hashes(&e.Event) {
		r.names = append(r.names, name{h, e.seq})
	}
	r.counts.Add(&e.Event, 1)
	r.last, r.newest = e.seq, max(r.newest, e.ReceivedAt)
	r.events++
	return nil
}

// insert inserts the rows of an event.
func (r *rebuilding) insert(e *record, sealed []byte) error {
	if err := r.to.exec(`INSERT`+intoEvent, eventRow(e)...); err != nil {
		return err
	}
	if e.Size > 0 && sealed != nil {
		values, err := payloadRow(e, sealed)
		if err == nil {
			err = r.to.exec(`INSERT`+intoPayload, values...)
		}
		if err != nil {
			return err
		}
	}
	for i := range e.Deliveries {
		id, err := r.upstream(e.Deliveries[i].Upstream)
		if err != nil {
			return err
		}
		if err := r.to.exec(`INSERT`+intoDelivery, deliveryRow(e.seq, id, &e.Deliveries[i])...); err != nil {
			return err
		}
	}
	return nil
}

// upstream returns the number of an upstream. One of an event that was not filed may
// have none yet.
func (r *rebuilding) upstream(name string) (int64, error) {
	names := r.from.names
	id, known := names.id(name)
	if known {
		return id, nil
	}
	if ids := names.ids(); len(ids) > 0 {
		id = ids[len(ids)-1]
	}
	id++
	names.add(id, name)
	return id, r.to.exec(insertUpstream, upstreamRow(id, name)...)
}

// swap puts a new file in the place of the store's, and returns where that is kept,
// with its WAL. A WAL that is left beside the new file, since the process ended here, is
// recognized as that of another store.
func (q *Queue) swap(file string) (kept string, err error) {
	kept = asideName(q.path + ".damaged-")
	info, err := os.Stat(q.path)
	if err == nil {
		err = disk.CopyOwner(file, info)
	}
	if err == nil {
		err = os.Link(q.path, kept)
	}
	if err == nil {
		if log, logErr := os.Stat(q.path + walName); logErr == nil && log.Size() > 0 {
			err = os.Link(q.path+walName, kept+walName)
		}
	}
	if err == nil {
		err = os.Rename(file, q.path)
	}
	if err != nil {
		return kept, err
	}
	for _, side := range []string{walName, shmName} {
		if err := os.Remove(q.path + side); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return kept, err
		}
	}
	return kept, disk.SyncDir(filepath.Dir(q.path))
}

// asideName returns a name with the time behind the prefix that no file has.
func asideName(prefix string) string {
	name := prefix + time.Now().UTC().Format("20060102T150405Z")
	for i := 2; ; i++ {
		if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			return name
		}
		name = fmt.Sprintf("%s%s-%d", prefix, time.Now().UTC().Format("20060102T150405Z"), i)
	}
}
