package sqlitequeue

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/disk"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
)

const (
	// saveWait is how long Close may take to save events that are only in an unlinked
	// file.
	saveWait = 3 * time.Second

	// takeOverNow is how long the writer takes over events before it does other work.
	takeOverNow = time.Second
)

// selectWaiting selects the events that wait for an upstream or a stage or are set aside.
const selectWaiting = `
	SELECT seq FROM delivery WHERE state IN (0, 1, 4)
	UNION SELECT seq FROM event WHERE state BETWEEN 3 AND 5
	UNION SELECT seq FROM payload WHERE seq > (SELECT filed FROM meta)`

func waiting(c *tables.Conn) (seqs []int64, err error) {
	err = c.Query(context.Background(), selectWaiting, func(row []driver.Value) error {
		s := tables.Scanner{Row: row}
		seqs = append(seqs, s.Int())
		return s.Err()
	})
	return seqs, err
}

// A takeOver stores the waiting events of the previously open file that are missing in
// the present one.
type takeOver struct {
	q         *Queue
	reason    error
	old       *tables.Conn // to the previous file
	names     *tables.Upstreams
	unfiled   map[int64]*tables.Record // events whose newest state is only in memory
	remaining []int64

	stored, unreadable int
}

// takeOver takes over the waiting events of the previous file. The writer does as many
// as it can in takeOverNow, and the rest follows in the background.
func (q *Queue) takeOver(m *takeOver) {
	var err error
	if m.names, err = tables.ReadUpstreams(m.old); err == nil {
		m.remaining, err = waiting(m.old)
	}
	limit := takeOverNow
	if q.ctx.Err() != nil {
		limit = saveWait
	}
	for began := time.Now(); err == nil && len(m.remaining) > 0 && time.Since(began) < limit; {
		_, err = q.transact(func(t *tx) (bool, error) { return false, m.storeSome(t) })
	}
	if err != nil || len(m.remaining) == 0 || q.ctx.Err() != nil {
		m.end(err)
		return
	}
	q.work.Go(func() {
		var err error
		for err == nil && len(m.remaining) > 0 {
			err = q.do(q.ctx, m.storeSome)
		}
		m.end(err)
	})
}

// storeSome takes over the next events.
func (m *takeOver) storeSome(t *tx) error {
	seqs := m.remaining[:min(step, len(m.remaining))]
	taken, unreadable := 0, 0
	for _, seq := range seqs {
		stored, err := m.storeOne(t, seq)
		switch {
		case errors.Is(err, policy.ErrDamaged):
			unreadable++
		case err != nil:
			return err
		case stored:
			taken++
		}
	}
	t.publish(func() {
		m.remaining = m.remaining[len(seqs):]
		m.stored, m.unreadable = m.stored+taken, m.unreadable+unreadable
		m.q.rereadAll()
	})
	return nil
}

func (m *takeOver) storeOne(t *tx, seq int64) (stored bool, err error) {
	r := m.unfiled[seq]
	if r == nil {
		r, err = tables.Load(context.Background(), m.old, m.names, seq)
	}
	if err != nil || r == nil {
		return false, err
	}
	sealed, err := tables.LoadPayload(context.Background(), m.old, seq)
	if err == nil && r.Size > 0 && len(sealed) == 0 {
		err = fmt.Errorf("%w: the payload of event %s is missing", policy.ErrDamaged, r.ID)
	}
	if err != nil {
		return false, err
	}
	return t.restore(&tables.Record{Seq: seq, Event: *r.Clone()}, sealed)
}

// end reports how many events were taken over, and saves the rest, if any.
func (m *takeOver) end(err error) {
	rest := ""
	if err != nil || len(m.remaining) > 0 {
		rest = "; " + m.q.save(m.old, len(m.remaining))
	}
	m.q.damaged(errors.Join(fmt.Errorf("%w; the queue now uses the store at the path, with %d events that waited only in the previous file; %d more could not be read and are lost%s", m.reason, m.stored, m.unreadable, rest), err, m.old.Close()))
}

// restore stores an event of a previous file, with the same seq if possible, and
// reports whether it was missing. All events of the present store must be filed.
func (t *tx) restore(r *tables.Record, sealed []byte) (stored bool, err error) {
	known, err := t.q.findID(context.Background(), t.c, r.ID)
	if err != nil || known != nil {
		return false, err
	}
	other, err := t.c.Number(`SELECT count(*) FROM event WHERE seq = ?`, r.Seq)
	if err != nil {
		return false, err
	}
	if other > 0 {
		r.Seq = t.lastSeq + 1
	}
	// Names in memory are read from newer events.
	if err := t.insert(`INSERT OR IGNORE`+tables.IntoName, rowsOf(tables.NamesOf(r))...); err != nil {
		return false, err
	}
	filed := max(t.filed, r.Seq)
	row, err := tables.PayloadRow(r, sealed)
	if err == nil {
		err = t.insert(`INSERT`+tables.IntoPayload, row)
	}
	if err != nil {
		return false, err
	}
	if err := t.fileRecords(r); err != nil {
		return false, err
	}
	t.filed, t.lastSeq = filed, max(t.lastSeq, r.Seq)
	t.changed[r.Seq] = r
	t.addNames(r)
	t.counts.Add(&r.Event, 1)
	t.publish(func() { t.q.filed = filed })
	return true, nil
}

// restoreRecent stores the events from memory that are missing in the opened file, and
// returns how many.
func (q *Queue) restoreRecent(recent []policy.RecentEvent) (n int) {
	q.step(func(t *tx) (bool, error) {
		ring := q.ring.Load()
		for _, e := range recent {
			sealed, err := policy.SealEvent(ring, e.Event)
			if err != nil {
				return false, err
			}
			it := queue.Item{Event: e.Event, Upstreams: e.Upstreams}
			stored, err := t.restore(&tables.Record{Seq: e.Seq, Event: *policy.New(it, ring.Sealer(), int64(len(sealed)), t.now)}, sealed)
			if err != nil {
				return false, err
			}
			if stored {
				t.publish(func() { n++ })
			}
		}
		return false, nil
	})
	return n
}

// save copies an unlinked file to a new file, and returns what the user should do with
// it.
func (q *Queue) save(c *tables.Conn, events int) string {
	to := disk.UnusedName(q.path + ".saved-")
	ctx, cancel := context.WithTimeout(context.Background(), saveWait)
	defer cancel()
	if err := c.Query(ctx, `VACUUM INTO ?`, func([]driver.Value) error { return nil }, to); err != nil {
		return fmt.Sprintf("%d events that waited only in it are lost, since it could not be copied: %v", events, err)
	}
	return fmt.Sprintf("%d events wait in a copy of it, %s: move that to %s before the next start, or delete it", events, to, q.path)
}

// saveDetached saves the waiting events of an unlinked file when the queue is closed:
// in the store that is now at the path, or in a copy.
func (q *Queue) saveDetached() {
	if _, err := os.Stat(q.path); err == nil {
		for range 3 { // it must not change between two looks
			if q.resume() == nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	if q.writing == nil || q.files.Named() {
		return
	}
	if seqs, err := waiting(q.writing); len(seqs) > 0 || err != nil {
		q.damaged(fmt.Errorf("%w; %s", q.usable(), q.save(q.writing, len(seqs))))
	}
}
