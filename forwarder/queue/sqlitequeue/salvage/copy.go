package salvage

import (
	"context"
	"database/sql/driver"
	"errors"
	"slices"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
)

// A rebuilding creates a new file from the readable parts of a store.
type rebuilding struct {
	ctx    context.Context //nolint:containedctx // of the call
	path   string
	from   *contents
	to     *tables.Conn
	counts policy.Counts
	names  []tables.Name
	now    int64
	last   int64 // the newest seq
	newest int64 // the newest time of receipt
	Rebuilt
}

// copy copies everything to a new file.
func (r *rebuilding) copy(path string) (err error) {
	if r.to, err = tables.OpenEmpty(path, tables.UnsafePragmas...); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.to.Close()) }()
	if err := r.to.Run(`BEGIN`); err != nil {
		return err
	}
	for _, id := range r.from.names.IDs() {
		name, _ := r.from.names.Name(id)
		if err := r.to.Insert(`INSERT`+tables.IntoUpstream, tables.UpstreamRow(id, name)); err != nil {
			return err
		}
	}
	if err := r.from.each(r.ctx, `ASC`, true, r.add); err != nil {
		return err
	}
	slices.SortFunc(r.names, tables.CompareNames)
	for _, n := range r.names {
		if err := r.to.Insert(`INSERT OR IGNORE`+tables.IntoName, n.Row()); err != nil {
			return err
		}
	}
	if before, err := tables.ReadMeta(r.from.image.conn); err == nil {
		r.newest = max(r.newest, before.UsedAt)
	}
	heads, err := tables.ReadAudit(r.from.image.conn)
	if err != nil {
		heads = nil // a verification says which lines the store does not know
	}
	if err := tables.InsertMeta(r.to, &tables.Meta{Identity: tables.NewIdentity(), Path: r.path, UsedAt: r.newest, Named: r.last, Filed: r.last, Counts: r.counts, Audit: heads}); err != nil {
		return err
	}
	if err := r.to.Run(`COMMIT`); err != nil {
		return err
	}
	return r.to.Query(r.ctx, `PRAGMA journal_mode=WAL`, func([]driver.Value) error { return nil })
}

// add copies the remains of an event.
func (r *rebuilding) add(s *salvaged) error {
	e := &s.Record
	if s.unidentified {
		r.Locked++
		return nil
	}
	switch {
	case s.unknown && (e.Size > 0 || s.sealed != nil):
		e.SetAside, e.Reason, e.Deliveries, e.EndedAt = queue.Unrouted, "", nil, max(1, r.now)
		r.Unrouted++
	case s.damaged:
		r.Partly++
	}
	switch {
	case e.Pending():
		e.EndedAt = 0
	case e.EndedAt == 0:
		e.EndedAt = max(1, r.now)
	}
	if e.Size > 0 && s.sealed == nil {
		r.WithoutPayload++
	}
	if err := r.insert(e, s.sealed); err != nil {
		return err
	}
	r.names = append(r.names, tables.NamesOf(e)...)
	r.counts.Add(&e.Event, 1)
	r.last, r.newest = e.Seq, max(r.newest, e.ReceivedAt)
	r.Events++
	return nil
}

// insert inserts the rows of an event.
func (r *rebuilding) insert(e *tables.Record, sealed []byte) error {
	if err := r.to.Insert(`INSERT`+tables.IntoEvent, tables.EventRow(e)); err != nil {
		return err
	}
	if e.Size > 0 && sealed != nil {
		values, err := tables.PayloadRow(e, sealed)
		if err == nil {
			err = r.to.Insert(`INSERT`+tables.IntoPayload, values)
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
		if err := r.to.Insert(`INSERT`+tables.IntoDelivery, tables.DeliveryRow(e.Seq, id, &e.Deliveries[i])); err != nil {
			return err
		}
	}
	return nil
}

// upstream returns the number of an upstream. The upstream of an unfiled event may have
// none yet.
func (r *rebuilding) upstream(name string) (int64, error) {
	names := r.from.names
	id, known := names.ID(name)
	if known {
		return id, nil
	}
	if ids := names.IDs(); len(ids) > 0 {
		id = ids[len(ids)-1]
	}
	id++
	names.Add(id, name)
	return id, r.to.Insert(`INSERT`+tables.IntoUpstream, tables.UpstreamRow(id, name))
}
