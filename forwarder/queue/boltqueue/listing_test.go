package boltqueue

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
)

var everyFilter = func() (all []queue.Filter) {
	for _, state := range []queue.State{"", queue.Pending, queue.Delivered, queue.Dead, queue.Quarantined} {
		for _, upstream := range []string{"", "ehr", "audit", "rare", "nobody"} {
			all = append(all, queue.Filter{State: state, Upstream: upstream})
		}
	}
	return all
}()

// An arrived is an event and its place.
type arrived struct {
	*record

	seq uint64
}

// everyRecord reads all events, the newest first.
func everyRecord(t *testing.T, q *Queue) (all []arrived) {
	t.Helper()
	if err := q.view(func(tx *bbolt.Tx) error {
		for c, k, v := first(tx.Bucket([]byte(bucketEvents))); k != nil; k, v = c.Next() {
			r, err := decodeRecord(v)
			if err != nil {
				return err
			}
			all = append(all, arrived{seq: parseSeq(k), record: r})
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	slices.Reverse(all)
	return all
}

// isOf reports whether an event is one that a filter asks for.
func isOf(r *record, f queue.Filter) bool {
	switch {
	case f.State == "" && f.Upstream == "":
		return true
	case f.State == queue.Quarantined:
		return r.quarantined && f.Upstream == ""
	}
	return slices.ContainsFunc(r.deliveries, func(d delivery) bool {
		return (f.State == "" || d.state == f.State) && (f.Upstream == "" || d.upstream == f.Upstream)
	})
}

// wantListings compares every listing with what reading all events finds: from
// the newest event and from any place, in pages of any size.
func wantListings(t *testing.T, q *Queue, seed uint64) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 1))
	all := everyRecord(t, q)
	for _, f := range everyFilter {
		want := slices.DeleteFunc(slices.Clone(all), func(a arrived) bool { return !isOf(a.record, f) })
		wantPages(t, q, f, want, random)
		if len(all) == 0 {
			continue
		}
		from := random.Uint64N(all[0].seq + 2)
		f.Cursor = strconv.FormatUint(from, 10)
		want = slices.DeleteFunc(want, func(a arrived) bool { return a.seq >= from })
		wantPages(t, q, f, want, random)
	}
}

// wantPages reads a listing to its end, or at least some pages of it.
func wantPages(t *testing.T, q *Queue, f queue.Filter, want []arrived, random *rand.Rand) {
	t.Helper()
	for range 3 {
		f.Limit = 1 + random.IntN(1+random.IntN(500))
		p, err := q.Events(t.Context(), f)
		if err != nil {
			t.Fatalf("Events(%+v): %v", f, err)
		}
		n := min(f.Limit, len(want))
		if len(p.Records) != n || (p.Next != "") != (n < len(want)) {
			t.Fatalf("Events(%+v): %d records and cursor %q, want %d of %d", f, len(p.Records), p.Next, n, len(want))
		}
		for i, r := range p.Records {
			if r.ID != want[i].id {
				t.Fatalf("Events(%+v): at %d %s, want %s", f, i, r.ID, want[i].id)
			}
		}
		if p.Next == "" {
			return
		}
		f.Cursor, want = p.Next, want[n:]
	}
}

// Whatever happens to thousands of events, their listings and the blocks say
// what their records say.
func TestListings(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			m := &many{T: t, random: rand.New(rand.NewPCG(seed, 0)), options: Options{
				Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings(), copyBytes: 16 << 10,
			}}
			m.q = mustOpen(t, m.options)
			m.store()
			for i := range uint64(30) {
				ops := []func(){m.store, m.store, m.settle, m.settle, m.settle, m.replay, m.purge, m.purgeDead, m.setApart, m.compact, m.reopen}
				ops[m.random.IntN(len(ops))]()
				wantListings(t, m.q, i)
				if err := m.q.view(soundBlocks); err != nil {
					t.Fatal(err)
				}
			}
			t.Logf("%d events have been stored, %d are there", m.stored, len(everyRecord(t, m.q)))
		})
	}
}

// many does things to many events at once.
type many struct {
	*testing.T

	q       *Queue
	options Options
	random  *rand.Rand
	stored  int
}

var anyState = []queue.State{queue.Pending, queue.Delivered, queue.Dead}

func (m *many) store() {
	n := m.random.IntN(1500)
	change(m.T, m.q, func(t *txn) {
		for range n {
			to := make(map[string]queue.State)
			for upstream, one := range map[string]int{"ehr": 1, "audit": 3, "rare": 500} {
				if m.random.IntN(one) == 0 {
					to[upstream] = anyState[m.random.IntN(3)]
				}
			}
			fillOne(t, to)
			m.stored++
		}
	})
}

// each calls do with some events.
func (m *many) each(n int, do func(t *txn, seq uint64, r *record)) {
	change(m.T, m.q, func(t *txn) {
		for range n {
			seq := 1 + m.random.Uint64N(t.bucket(bucketEvents).Sequence())
			if r := t.record(seq); r != nil {
				do(t, seq, r)
			}
		}
	})
}

func (m *many) settle() {
	m.each(400, func(t *txn, seq uint64, r *record) {
		for i := range r.deliveries {
			if d := &r.deliveries[i]; d.state == queue.Pending {
				t.settle(seq, r, d, &queue.Outcome{State: anyState[m.random.IntN(3)], Result: queue.Failure, Next: at(t.now)})
				return
			}
		}
	})
}

func (m *many) replay() {
	m.each(100, func(t *txn, seq uint64, r *record) {
		t.replay(seq, r, queue.ReplaySelection{Upstreams: [][]string{nil, {"ehr"}}[m.random.IntN(2)]})
	})
}

// purge deletes all events of some places that follow each other.
func (m *many) purge() {
	from := m.random.Uint64N(uint64(m.stored) + 1)
	removeFrom(m.T, m.q, from, from+m.random.Uint64N(2000))
}

func (m *many) purgeDead() {
	if m.random.IntN(3) > 0 {
		return // else few would be left
	}
	if _, err := m.q.Purge(m.Context(), queue.PurgeSelection{Dead: true}); err != nil {
		m.Fatal(err)
	}
}

// setApart damages records that are pending, and has them set apart.
func (m *many) setApart() {
	m.each(5, func(t *txn, seq uint64, r *record) {
		if d := r.delivery("ehr"); d != nil && d.state == queue.Pending && d.next == 0 {
			t.put(bucketEvents, seqKey(seq), []byte("damaged"))
			s := settingApart{queue: m.q, lane: m.q.lanes.of("ehr"), entry: entry{index: prefixFirst + "ehr", key: seqKey(seq), seq: seq}}
			if err := s.apply(t); err != nil {
				t.fail(err)
			}
		}
	})
}

func (m *many) compact() {
	if _, err := m.q.Compact(m.Context(), nil); err != nil {
		m.Fatal(err)
	}
}

func (m *many) reopen() {
	mustClose(m.T, m.q)
	m.q = mustOpen(m.T, m.options)
}

// No more events are read than are listed.
func TestListingReadsWhatItLists(t *testing.T) {
	t.Parallel()
	q := mustOpen(t, Options{Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings()})
	fill(t, q, 5000, func(i int) map[string]queue.State {
		to := map[string]queue.State{"ehr": anyState[i/100%3]}
		if i%1000 == 0 {
			to["rare"] = queue.Delivered
		}
		return to
	})
	if _, err := q.Store(t.Context(), queue.Item{Event: queuetest.Event("quarantined", time.Now()), Quarantined: true}); err != nil {
		t.Fatal(err)
	}
	q.catchUp(t.Context())
	all := everyRecord(t, q)
	for _, f := range everyFilter {
		want, read := 0, 0
		for _, a := range all {
			if isOf(a.record, f) {
				want++
			}
		}
		if err := q.scan(q.indexes(f.State, f.Upstream), newest, func(uint64, *record) bool { read++; return true }); err != nil {
			t.Fatal(err)
		}
		if read != want {
			t.Errorf("%+v: %d events are read, and %d are listed", f, read, want)
		}
	}
}

// A cursor that no page has had is the place that it says.
func TestCursors(t *testing.T) {
	t.Parallel()
	q := mustOpen(t, Options{Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings()})
	fill(t, q, 10, func(i int) map[string]queue.State { return map[string]queue.State{"ehr": anyState[i%2]} })
	for cursor, want := range map[string]int{"0": 0, "1": 0, "2": 1, "10": 9, "11": 10, "1024": 10, "18446744073709551615": 10} {
		for _, f := range []queue.Filter{{}, {Upstream: "ehr"}} {
			f.Cursor, f.Limit = cursor, 100
			if p, err := q.Events(t.Context(), f); err != nil || len(p.Records) != want {
				t.Errorf("Events(%+v): %d records, %v; want %d", f, len(p.Records), err, want)
			}
		}
	}
}
