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

// resealStep is how many events one transaction seals anew.
const resealStep = 50

// Resealed counts the events that older keys had sealed.
type Resealed struct {
	Events     int    // that the first key has sealed now
	Unreadable int    // that cannot be opened with any key
	KeyFile    string // of the automatic key, where it is there and nothing needs it any more; else ""
}

// The pauses before sealing anew is tried again after an error.
const (
	firstResealPause = time.Second
	maxResealPause   = time.Minute
)

// reseal seals anew what older keys have sealed, whenever the keys have changed, until
// the queue is closed.
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
			q.Failed(fmt.Errorf("sealing events with the first key: %w", err))
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

// resealAll seals anew what there is. What it returns beside an error was sealed.
func (q *Queue) resealAll() (out Resealed, err error) {
	if err := q.do(q.ctx, func(*tx) error { return nil }); err != nil { // so that everything is filed
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

// reseal seals events with the key that seals now, and returns how many. Those that
// cannot be opened stay as they are.
func (t *tx) reseal(seqs []int64) (done int, err error) {
	for _, seq := range seqs {
		opened, err := t.resealOne(seq)
		if errors.Is(err, policy.ErrDamaged) {
			t.q.foundUnreadable(seq, fmt.Errorf("sealing an event anew: %w", err))
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
		return true, nil // deleted or sealed anew meanwhile
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
	t.freed = true // the record before may be in the WAL still
	return true, t.update(before, after)
}
