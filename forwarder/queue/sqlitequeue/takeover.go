package sqlitequeue

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/disk"
)

// saveWait is how long closing waits for a copy of a file without a name.
const saveWait = 3 * time.Second

// selectWaiting returns the events that wait for an upstream, or are set aside.
const selectWaiting = `
	SELECT seq FROM delivery WHERE state < 2
	UNION SELECT seq FROM event WHERE state BETWEEN 3 AND 5
	UNION SELECT seq FROM payload WHERE seq > (SELECT filed FROM meta)`

func waiting(c *conn) (seqs []int64, err error) {
	err = c.query(context.Background(), selectWaiting, func(row []driver.Value) error {
		s := scanner{row: row}
		seqs = append(seqs, s.int())
		return s.err()
	})
	return seqs, err
}

// takeOver stores the events that wait in the file that was open before and are not in
// the one that is open now. Unfiled are those that the file before has without what
// became of them. It returns how many, and how many it could not read.
func (q *Queue) takeOver(old *conn, unfiled map[int64]*record) (taken, unreadable int, err error) {
	names, err := readUpstreams(old)
	if err != nil {
		return 0, 0, err
	}
	seqs, err := waiting(old)
	if err != nil {
		return 0, 0, err
	}
	for some := range slices.Chunk(seqs, step) {
		n, lost := 0, 0
		err := q.do(q.ctx, func(t *tx) error {
			n, lost = 0, 0
			for _, seq := range some {
				stored, err := t.takeOver(old, names, unfiled, seq)
				switch {
				case errors.Is(err, policy.ErrDamaged):
					lost++
				case err != nil:
					return err
				case stored:
					n++
				}
			}
			t.publish(q.rereadAll)
			return nil
		})
		if err != nil {
			return taken, len(seqs) - taken, err
		}
		taken, unreadable = taken+n, unreadable+lost
	}
	return taken, unreadable, nil
}

func (t *tx) takeOver(old *conn, names *upstreams, unfiled map[int64]*record, seq int64) (stored bool, err error) {
	r := unfiled[seq]
	if r == nil {
		r, err = load(context.Background(), old, names, seq)
	}
	if err != nil || r == nil {
		return false, err
	}
	sealed, err := payload(context.Background(), old, seq)
	if err == nil && r.Size > 0 && len(sealed) == 0 {
		err = fmt.Errorf("%w: the payload of event %s is missing", policy.ErrDamaged, r.ID)
	}
	if err != nil {
		return false, err
	}
	return t.putBack(&record{seq: seq, Event: *r.Clone()}, sealed)
}

// putBack stores an event of a file before, with the seq that it had there, and reports
// whether it was missing. All events of the store are filed.
func (t *tx) putBack(r *record, sealed []byte) (stored bool, err error) {
	known, err := t.q.findID(context.Background(), t.c, r.ID)
	if err != nil || known != nil {
		return false, err
	}
	other, err := t.c.number(`SELECT count(*) FROM event WHERE seq = ?`, r.seq)
	if err != nil {
		return false, err
	}
	if other > 0 {
		r.seq = t.lastSeq + 1
	}
	for _, h := range hashes(&r.Event) { // those in memory are read from events that are newer
		if err := t.exec(`INSERT OR IGNORE INTO name (hash, seq) VALUES (?, ?)`, h, r.seq); err != nil {
			return false, err
		}
	}
	filed := max(t.filed, r.seq)
	row, err := payloadRow(r, sealed)
	if err == nil {
		err = t.exec(`INSERT`+intoPayload, row...)
	}
	if err != nil {
		return false, err
	}
	if err := t.fileRecords(r); err != nil {
		return false, err
	}
	t.filed, t.lastSeq = filed, max(t.lastSeq, r.seq)
	t.touched[r.seq] = r
	t.addNames(r)
	t.counts.Add(&r.Event, 1)
	t.publish(func() { t.q.filed = filed })
	return true, nil
}

// restore stores events from memory that are not in the file that has been opened, and
// returns how many.
func (q *Queue) restore(seqs []int64, events []recentEvent) (n int) {
	q.step(func(t *tx) (bool, error) {
		ring := q.ring.Load()
		for i, e := range events {
			sealed, err := sealEvent(ring, e.event)
			if err != nil {
				return false, err
			}
			it := queue.Item{Event: e.event, Upstreams: e.upstreams}
			stored, err := t.putBack(&record{seq: seqs[i], Event: *policy.New(it, ring.Sealer(), int64(len(sealed)), t.now)}, sealed)
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

// saveDetached copies what is in a file without a name to one that has a name, where
// events wait in it.
func (q *Queue) saveDetached() {
	if q.writing == nil || disk.Named(q.files.main) {
		return
	}
	seqs, err := waiting(q.writing)
	if len(seqs) == 0 && err == nil {
		return
	}
	to := q.path + ".saved-" + q.now().UTC().Format("20060102T150405Z")
	ctx, cancel := context.WithTimeout(context.Background(), saveWait)
	defer cancel()
	err = errors.Join(err, q.writing.query(ctx, `VACUUM INTO ?`, func([]driver.Value) error { return nil }, to))
	if err != nil {
		q.damaged(fmt.Errorf("%w; %d events that waited only in it are lost, since they could not be copied: %w", q.usable(), len(seqs), err))
		return
	}
	q.damaged(fmt.Errorf("%w; %d events wait in a copy of it, %s: move that to %s before the next start, or delete it", q.usable(), len(seqs), to, q.path))
}
