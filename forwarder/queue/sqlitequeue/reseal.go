package sqlitequeue

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/disk"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// resealStep is the number of events that one transaction reseals.
const resealStep = 50

// Resealed counts the events that older keys had sealed.
type Resealed struct {
	Events     int    // resealed with the first key
	Unreadable int    // cannot be opened with any key
	KeyFile    string // of the automatic key, if it exists and is no longer needed; else ""
}

// The pauses before a failed reseal is retried.
const (
	firstResealPause = time.Second
	maxResealPause   = time.Minute
)

// reseal reseals events whenever the keys have changed, until the queue is closed.
func (q *Queue) reseal() {
	events, pause := 0, firstResealPause
	var again <-chan time.Time
	for {
		select {
		case <-q.ctx.Done():
			return
		case <-q.resealing:
		case <-again:
		}
		again = nil
		if total(q.counts().Keys()) == q.counts().Keys()[q.ring.Load().Sealer()] {
			continue
		}
		r, err := q.resealAll()
		if q.ctx.Err() != nil {
			return
		}
		events += r.Events
		if err != nil {
			q.repairIfDamaged(err)
			q.Failed(fmt.Errorf("resealing events with the first key: %w", err))
			again = time.After(pause)
			pause = min(2*pause, maxResealPause)
			continue
		}
		r.Events, events, pause = events, 0, firstResealPause
		if q.options.OnResealed != nil {
			q.options.OnResealed(r)
		}
	}
}

// resealAll reseals all events that an older key sealed. After an error, out counts the
// events resealed so far.
func (q *Queue) resealAll() (out Resealed, err error) {
	if err := q.do(q.ctx, func(*tx) error { return nil }); err != nil { // so that all events are filed
		return out, err
	}
	for last := int64(0); ; {
		sealer := tables.KeyNumber(q.ring.Load().Sealer())
		var seqs []int64
		err := q.readers.With(q.ctx, func(c *tables.Conn) (err error) {
			seqs, err = c.Numbers(q.ctx, `SELECT seq FROM event WHERE seq > ? AND size > 0 AND key <> ? ORDER BY seq LIMIT ?`, last, sealer, int64(resealStep))
			return err
		})
		if err != nil {
			return out, err
		}
		if len(seqs) == 0 {
			break
		}
		done := 0
		if err := q.do(q.ctx, func(t *tx) (err error) {
			done, err = t.reseal(seqs)
			return err
		}); err != nil {
			return out, err
		}
		out.Events += done
		out.Unreadable += len(seqs) - done
		last = seqs[len(seqs)-1]
	}
	if key, err := seal.ReadFile(q.path + disk.Key); err == nil && q.KeyFile() == "" && q.counts().Keys()[key.Fingerprint()] == 0 {
		out.KeyFile = q.path + disk.Key
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return out, err
	}
	return out, nil
}

// reseal reseals events with the current key, and returns how many. Events that cannot
// be opened stay unchanged.
func (t *tx) reseal(seqs []int64) (done int, err error) {
	for _, seq := range seqs {
		opened, err := t.resealOne(seq)
		if errors.Is(err, policy.ErrDamaged) {
			t.q.foundUnreadable(seq, fmt.Errorf("resealing an event: %w", err))
		} else if err != nil {
			return done, err
		}
		if opened {
			done++
		}
	}
	return done, nil
}

func (t *tx) resealOne(seq int64) (opened bool, err error) {
	ring := t.q.ring.Load()
	before, err := t.load(seq)
	if err != nil {
		return false, err
	}
	if before == nil || before.Size == 0 || before.Key == ring.Sealer() {
		return true, nil // deleted or resealed meanwhile
	}
	sealed, err := tables.LoadPayload(context.Background(), t.c, seq)
	if err != nil {
		return false, err
	}
	if sealed, err = ring.Reseal(before.ID, sealed); err != nil {
		return false, fmt.Errorf("%w: %w", policy.ErrDamaged, err)
	}
	if err := t.exec(`UPDATE payload SET sealed = ? WHERE seq = ?`, sealed, seq); err != nil {
		return false, err
	}
	after := &tables.Record{Seq: seq, Event: *before.Clone()}
	after.Key, after.Size = ring.Sealer(), int64(len(sealed))
	t.freed = true // the previous record may still be in the WAL
	return true, t.update(before, after)
}
