package boltqueue

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// upstreams are those that have pending or dead deliveries, in order.
func (c counts) upstreams() []string {
	names := make(map[string]struct{})
	for k := range c {
		for _, prefix := range []string{countPending, countDead} {
			if name, ok := strings.CutPrefix(k, prefix); ok {
				names[name] = struct{}{}
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// sealed counts the events with payload by the key that sealed it.
func (c counts) sealed() map[fingerprint]int64 {
	out := make(map[fingerprint]int64)
	for k, n := range c {
		if f, ok := strings.CutPrefix(k, countSealed); ok && len(f) == len(fingerprint{}) {
			out[fingerprint([]byte(f))] += n
		}
	}
	return out
}

// Stats implements queue.Queue. It looks up two events for each upstream.
func (q *Queue) Stats() (queue.Stats, error) {
	if q.isClosed() {
		return queue.Stats{}, queue.ErrClosed
	}
	q.catchUp(context.Background())
	c := q.snapshot()
	out := queue.Stats{
		Bytes:       c[countBytes],
		MaxBytes:    q.settings.Load().MaxSize,
		Quarantined: c[countQuarantined],
		SetApart:    c[countApart],
		Upstreams:   make(map[string]queue.UpstreamStats),
	}
	for _, name := range c.upstreams() {
		out.Upstreams[name] = queue.UpstreamStats{Pending: c[countPending+name], Dead: c[countDead+name]}
	}
	for _, l := range q.lanes.all() {
		if u, ok := out.Upstreams[l.name]; ok {
			u.InFlight = int64(l.inFlight()) + q.fresh.lentTo(l.name)
			out.Upstreams[l.name] = u
		}
	}
	err := q.view(func(tx *bbolt.Tx) error {
		for name, u := range out.Upstreams {
			u.OldestPending = oldestPending(tx, name)
			out.Upstreams[name] = u
		}
		return nil
	})
	if err != nil {
		return queue.Stats{}, fmt.Errorf("counting events: %w", err)
	}
	return out, nil
}

// oldestPending tells the receipt of the oldest pending delivery. Were its
// record unreadable, there would be none until it is set apart.
func oldestPending(tx *bbolt.Tx, upstream string) time.Time {
	var oldest []byte
	for _, prefix := range []string{prefixFirst, prefixWaiting} {
		if b := tx.Bucket([]byte(prefix + upstream)); b != nil {
			if k, _ := b.Cursor().First(); k != nil && (oldest == nil || parseSeq(k) < parseSeq(oldest)) {
				oldest = k
			}
		}
	}
	if oldest == nil {
		return time.Time{}
	}
	r, err := decodeRecord(tx.Bucket([]byte(bucketEvents)).Get(oldest))
	if err != nil {
		return time.Time{}
	}
	return at(r.receivedAt)
}
