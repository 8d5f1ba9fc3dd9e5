package boltqueue

import (
	"fmt"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// fill stores n events without payload, with deliveries in the states that of
// tells, in few and large transactions.
func fill(t testing.TB, q *Queue, n int, of func(i int) map[string]queue.State) {
	t.Helper()
	const slice = 20_000
	for from := 0; from < n; from += slice {
		if err := q.do(t.Context(), func(t *txn) error {
			for i := from; i < min(n, from+slice); i++ {
				fillOne(t, of(i))
			}
			return t.err
		}); err != nil {
			t.Fatal(err)
		}
	}
}

func fillOne(t *txn, to map[string]queue.State) {
	id := fmt.Sprintf("soapnoteapi-%032d", t.bucket(bucketEvents).Sequence())
	s := storing{record: record{id: id, provider: "soapnoteapi", typ: "note.generated", receivedAt: t.now}}
	for upstream := range to {
		s.record.deliveries = append(s.record.deliveries, delivery{upstream: upstream, state: queue.Pending})
	}
	if err := s.apply(t); err != nil {
		t.fail(err)
	}
	seq := t.bucket(bucketEvents).Sequence()
	r := t.record(seq)
	for upstream, state := range to {
		if state != queue.Pending {
			t.settle(seq, r, r.delivery(upstream), &queue.Outcome{At: at(t.now), Duration: time.Millisecond, State: state, Result: queue.Success, Status: 204, Used: true})
		}
	}
}
