package boltqueue

import (
	"bytes"
	"context"
	"errors"
	"time"

	"go.etcd.io/bbolt"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// The bounds of a slice that is sealed anew in one transaction: what comes in
// and goes out meanwhile waits for it.
const (
	resealEvents = 128
	resealBytes  = 256 << 10 // of sealed payloads; the last may exceed it
)

const (
	// resealRest is how many times as long as a slice took the resealer rests
	// after it, up to maxResealRest.
	resealRest    = 4
	maxResealRest = 10 * time.Second

	// The waits after a slice that failed, and how many reads in a row may
	// fail. A full disk passes; a page that cannot be read stays as it is.
	minResealBackoff = time.Second
	maxResealBackoff = time.Minute
	maxResealReads   = 5
)

// Resealed is what Options.OnResealed is told.
type Resealed struct {
	Events     int    // that were sealed with an older key and now are with the first
	Unreadable int    // that could not be opened, and still count for an older key
	KeyFile    string // of the automatic key, where nothing needs it any more; else ""
}

// A resealer seals anew what is sealed with another key than the first, so that
// the older keys can go. It keeps nothing but what the file counts by key: a
// pass that is cut short begins again, and finds what is left.
type resealer struct {
	queue *Queue
	told  func(Resealed)
	due   chan struct{} // holds one token when the keys may have changed
	ended chan struct{} // closed when the goroutine has ended
}

func (q *Queue) startResealer(told func(Resealed)) *resealer {
	r := &resealer{queue: q, told: told, due: make(chan struct{}, 1), ended: make(chan struct{})}
	r.look()
	go r.run()
	return r
}

// look has the resealer look whether there is something to do.
func (r *resealer) look() {
	select {
	case r.due <- struct{}{}:
	default:
	}
}

func (r *resealer) run() {
	defer close(r.ended)
	for {
		select {
		case <-r.due:
			r.pass()
		case <-r.queue.closing:
			return
		}
	}
}

// pass seals anew whatever is to be, from the oldest event to the newest. It
// ends early, and tells nobody, where the queue is closed or another key seals.
func (r *resealer) pass() {
	q := r.queue
	p := &resealing{queue: q, ring: q.ring.Load()}
	if p.ring.older(q.snapshot().sealed()) == 0 {
		return
	}
	backoff := minResealBackoff
	for {
		began := time.Now()
		err := p.slice()
		if errors.Is(err, queue.ErrClosed) || errors.Is(err, errSuperseded) {
			return
		}
		if p.over {
			break
		}
		rest := min(resealRest*time.Since(began), maxResealRest)
		if err != nil {
			rest, backoff = backoff, min(2*backoff, maxResealBackoff)
		} else {
			backoff = minResealBackoff
		}
		if !r.rest(rest) {
			return
		}
	}
	if r.told != nil {
		sealed := q.snapshot().sealed()
		r.told(Resealed{Events: p.events, Unreadable: int(p.ring.older(sealed)), KeyFile: p.ring.spareFile(sealed)})
	}
}

// rest waits, and returns false where the queue is closed meanwhile.
func (r *resealer) rest(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.queue.closing:
		return false
	}
}

// errSuperseded says that another key seals than the one that a pass seals with.
var errSuperseded = errors.New("another key seals now")

// A resealing is one pass over the events.
type resealing struct {
	queue  *Queue
	ring   *keyring
	from   uint64 // every event below it has been dealt with
	over   bool
	events int // sealed anew
	unread int // reads that have failed in a row
}

// An outdated payload is sealed with an older key.
type outdated struct {
	seq     uint64
	id      string
	payload []byte // as it is in the file
	anew    []byte // as it is to be
}

// slice deals with the next events. What cannot be opened is passed over. After
// an error it has changed nothing, and can be called again.
func (p *resealing) slice() error {
	found, from, last, err := p.find()
	if err != nil {
		p.unread++
		p.over = p.unread == maxResealReads
		return err
	}
	p.unread = 0
	var whole []outdated
	for _, s := range found {
		if s.anew, err = p.ring.reseal(s.id, s.payload); err == nil {
			whole = append(whole, s)
		}
	}
	if len(whole) > 0 {
		if err := p.replace(whole); err != nil {
			return err
		}
	}
	p.from, p.over = from, last
	return nil
}

// find reads the next payloads that an older key sealed. from is where to go on,
// unless these are the last.
func (p *resealing) find() (found []outdated, from uint64, last bool, err error) {
	err = p.queue.view(func(tx *bbolt.Tx) error {
		payloads := tx.Bucket([]byte(bucketPayloads))
		cur := tx.Bucket([]byte(bucketEvents)).Cursor()
		looked, size := 0, 0
		k, v := cur.Seek(seqKey(p.from))
		for ; k != nil && looked < walkSlice && len(found) < resealEvents && size < resealBytes; k, v = cur.Next() {
			looked++
			from = parseSeq(k) + 1
			r, err := decodeRecord(v)
			if err != nil || !r.payload || r.key == p.ring.sealer {
				continue
			}
			sealed := bytes.Clone(payloads.Get(k))
			size += len(sealed)
			found = append(found, outdated{seq: parseSeq(k), id: r.id, payload: sealed})
		}
		last = k == nil
		return nil
	})
	return found, from, last, err
}

// replace puts payloads in the place of those that they were sealed from, where
// these still are.
func (p *resealing) replace(slice []outdated) error {
	var changed int
	var superseded bool
	err := p.queue.do(context.Background(), func(t *txn) error {
		changed = 0
		if superseded = p.queue.ring.Load().sealer != p.ring.sealer; superseded {
			return nil
		}
		for _, s := range slice {
			r := t.record(s.seq)
			if r == nil || !r.payload || r.id != s.id || !bytes.Equal(t.get(bucketPayloads, seqKey(s.seq)), s.payload) {
				continue // it has been delivered or purged meanwhile
			}
			t.reseal(s.seq, r, s.anew)
			changed++
		}
		return nil
	})
	if err != nil {
		return err
	}
	if superseded {
		return errSuperseded
	}
	p.events += changed
	return nil
}

// reseal puts a payload of the same event in the place of its payload.
func (t *txn) reseal(seq uint64, r *record, sealed []byte) {
	t.add(countBytes, int64(len(sealed))-r.size)
	t.add(countSealed+string(r.key[:]), -1)
	r.size, r.key = int64(len(sealed)), fingerprint(sealed)
	t.add(countSealed+string(r.key[:]), 1)
	t.put(bucketPayloads, seqKey(seq), sealed)
	t.putRecord(seq, r)
}
