package boltqueue

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
	"github.com/scribegate/scribegate/verifier/event"
)

// A kept event is one as the queue itself tells it.
type kept struct {
	record queue.Record
	event  *event.Event
}

// A keptFile is a closed queue file with what is in it.
type keptFile struct {
	path string
	keys []Key
	ids  []string // newest first
	all  map[string]kept
	gone map[string]*event.Event // those that were deleted
}

// keepFile makes a queue file with n events in every state, some of which are
// large, from which as many others have been deleted.
func keepFile(t *testing.T, n int) keptFile {
	t.Helper()
	f := keptFile{path: filepath.Join(t.TempDir(), "queue.db"), keys: []Key{keyOf(1)}, all: make(map[string]kept), gone: make(map[string]*event.Event)}
	q := mustOpen(t, Options{Path: f.path, Settings: queue.DefaultSettings(), Keys: f.keys, recent: n})
	began := time.Unix(1773934200, 0).UTC()
	var purge []string
	for i := range 2 * n {
		id := fmt.Sprintf("soapnoteapi-%x", sha256.Sum256([]byte{byte(i), byte(i >> 8)}))[:44]
		e := queuetest.Event(id, began.Add(time.Duration(i)*time.Second))
		if i%23 == 0 {
			e.Body = append(e.Body, strings.Repeat(" ", 20_000)...)
		}
		it := queue.Item{Event: e, Upstreams: []string{"ehr", "warehouse"}, Quarantined: i%10 == 8}
		if _, err := q.Store(t.Context(), it); err != nil {
			t.Fatal(err)
		}
		if i%2 == 1 {
			purge = append(purge, id)
			f.gone[id] = e
		}
	}
	for _, upstream := range []string{"ehr", "warehouse"} {
		for i, d := range claim(t, q, upstream, n) {
			o := queue.Outcome{Delivery: d, At: began, Duration: time.Second, Result: queue.Failure, Status: 500, Used: true}
			switch i % 4 {
			case 0:
				o.State, o.Result, o.Status = queue.Delivered, queue.Success, 204
			case 1:
				o.State = queue.Dead
			case 2:
				o.State, o.Next = queue.Pending, began.Add(time.Hour)
			default:
				q.Release(d)
				continue
			}
			q.Settle(o)
		}
	}
	flush(t, q)
	for range n / 2 { // some ids are taken to the bucket of all
		idle(t, q)
	}
	if _, err := q.Purge(t.Context(), queue.PurgeSelection{IDs: purge, Force: true}); err != nil {
		t.Fatal(err)
	}
	p, err := q.Events(t.Context(), queue.Filter{Limit: 2 * n})
	if err != nil || len(p.Records) != n {
		t.Fatalf("%d events are left, %v; want %d", len(p.Records), err, n)
	}
	for _, r := range p.Records {
		k := kept{record: r}
		if r.HasPayload {
			if k.event, err = q.Payload(t.Context(), r.ID); err != nil {
				t.Fatal(err)
			}
		}
		f.ids, f.all[r.ID] = append(f.ids, r.ID), k
	}
	mustClose(t, q)
	return f
}

// readAllOf reads a file with a bound in time.
func readAllOf(t *testing.T, path string, keys []Key, filter ReadFilter) ([]Found, Tally, error) {
	t.Helper()
	r, err := OpenReader(path, keys)
	if err != nil {
		return nil, Tally{}, err
	}
	defer r.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var all []Found
	tally, err := r.Read(ctx, filter, func(f Found) error {
		all = append(all, f)
		return nil
	})
	return all, tally, err
}

func TestReader(t *testing.T) {
	t.Parallel()
	f := keepFile(t, 200)
	before := snapshot(t, filepath.Dir(f.path))
	for _, state := range []queue.State{"", queue.Pending, queue.Delivered, queue.Dead, queue.Quarantined} {
		for _, payloads := range []bool{false, true} {
			var keys []Key
			if payloads {
				keys = f.keys
			}
			all, tally, err := readAllOf(t, f.path, keys, ReadFilter{State: state, Payloads: payloads})
			if err != nil || tally != (Tally{Events: len(all)}) || !tally.Whole() {
				t.Fatalf("%q: %+v, %v", state, tally, err)
			}
			n := 0
			for _, id := range f.ids {
				want := f.all[id]
				if !told(want.record, state) {
					continue
				}
				if !payloads {
					want.event = nil
				}
				if n >= len(all) || !reflect.DeepEqual(all[n], Found{Record: want.record, Event: want.event}) {
					t.Fatalf("%q: the event at %d is not %s as the queue told it", state, n, id)
				}
				n++
			}
			if n != len(all) || n == 0 {
				t.Errorf("%q: %d events, want %d", state, len(all), n)
			}
		}
	}
	if after := snapshot(t, filepath.Dir(f.path)); !maps.Equal(before, after) {
		t.Errorf("before it was %v and after it is %v", before, after)
	}
}

// told reports whether the queue lists an event under the state.
func told(r queue.Record, state queue.State) bool {
	if state == "" || (state == queue.Quarantined && r.Quarantined) {
		return true
	}
	for _, d := range r.Deliveries {
		if d.State == state {
			return true
		}
	}
	return false
}

// A file as it was left by very many changes has no sign of damage.
func TestReaderOfAWornFile(t *testing.T) {
	t.Parallel()
	s := queue.DefaultSettings()
	path := filepath.Join(t.TempDir(), "queue.db")
	q := mustOpen(t, Options{Path: path, Settings: s})
	n := 0
	for round := range 60 {
		for range 40 {
			n++
			store(t, q, fmt.Sprintf("note-%d", n), "ehr", strings.Repeat("u", n%200+1))
		}
		for i, d := range claim(t, q, "ehr", 30) {
			q.Settle(queue.Outcome{Delivery: d, State: []queue.State{queue.Delivered, queue.Dead}[i%2], Result: queue.Success})
		}
		flush(t, q)
		if round%7 == 0 {
			if _, err := q.Purge(t.Context(), queue.PurgeSelection{Dead: true}); err != nil {
				t.Fatal(err)
			}
		}
	}
	mustClose(t, q)
	all, tally, err := readAllOf(t, path, nil, ReadFilter{Payloads: true})
	if err != nil || tally != (Tally{Events: len(all)}) || len(all) < 1000 {
		t.Errorf("%d events, %+v, %v", len(all), tally, err)
	}
}

// Whatever bit is flipped: nothing crashes or hangs, and it costs the one event
// that it was part of, if any. One in ten thousand is mistaken for what it is
// not; then at least the exit status says that something is wrong.
func TestReaderOfFlippedBits(t *testing.T) {
	t.Parallel()
	f := keepFile(t, 300)
	whole, err := os.ReadFile(f.path)
	if err != nil {
		t.Fatal(err)
	}
	kinds := pageKinds(t, f.path)
	pageSize := len(whole) / len(kinds)
	file, err := os.OpenFile(f.path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	put := func(b byte, at int) {
		if _, err := file.WriteAt([]byte{b}, int64(at)); err != nil {
			t.Fatal(err)
		}
	}

	random := rand.New(rand.NewPCG(1, 2))
	flips, hurt, mistaken := make(map[string]int), make(map[string]int), 0
	for id, kind := range kinds {
		rounds := map[string]int{"meta": 150, "branch": 40, "leaf": 3, "freelist": 3}[kind]
		for range rounds {
			at := id*pageSize + random.IntN(pageSize)
			switch kind {
			case "meta":
				at = id*pageSize + random.IntN(pageHeader+metaSize)
			case "branch": // where there is something
				at = id*pageSize + random.IntN(min(pageSize, 800))
			}
			bit := random.IntN(8)
			put(whole[at]^1<<bit, at)
			flips[kind]++
			all, tally, err := readAllOf(t, f.path, f.keys, ReadFilter{Payloads: true})
			put(whole[at], at)
			if err != nil {
				t.Fatalf("page %d (%s), byte %d, bit %d: %v", id, kind, at%pageSize, bit, err)
			}
			partly, wrong, counted := f.judge(t, all, tally)
			if tally.Uncertain || !counted || partly+wrong+tally.Lost > 1 || (kind != "leaf" && partly+wrong+tally.Lost > 0) {
				t.Logf("page %d (%s), byte %d, bit %d: %+v, %d differ", id, kind, at%pageSize, bit, tally, wrong)
				mistaken++
				if tally.Whole() {
					t.Error("and that is said to be everything")
				}
			}
			if !tally.Whole() {
				hurt[kind]++
			}
		}
	}
	t.Logf("flipped %v bits; of events something was lost by %v of them", flips, hurt)
	if flips["meta"] == 0 || flips["branch"] == 0 || flips["leaf"] == 0 || hurt["leaf"] == 0 {
		t.Error("not every kind of page was damaged")
	}
	if mistaken > 2 {
		t.Errorf("%d flipped bits cost more than one event", mistaken)
	}
}

// judge fails the test where an event is told of that was deleted, or with the
// payload of another. It returns how many are told in part, how many otherwise
// than the queue did, since nothing checks a record's numbers, and whether each
// is told once, or counted as lost.
func (f *keptFile) judge(t *testing.T, all []Found, tally Tally) (partly, wrong int, counted bool) {
	t.Helper()
	seen := make(map[string]bool)
	for _, found := range all {
		id := found.Record.ID
		want, ok := f.all[id]
		if f.gone[id] != nil {
			if !tally.Uncertain { // else the state before the last one is all that is left
				t.Errorf("%s was deleted and comes back", id)
			}
			continue
		}
		if found.Event != nil && (want.event == nil || !reflect.DeepEqual(found.Event, want.event)) {
			t.Errorf("%s has a payload that is not its own", id)
		}
		switch {
		case found.RecordLost || found.PayloadLost:
			partly++
		case ok && found.Displaced:
		case !reflect.DeepEqual(found.Record, want.record) || !reflect.DeepEqual(found.Event, want.event):
			wrong++
		}
		seen[id] = true
	}
	return partly, wrong, len(seen) == len(all) && len(all)+tally.Lost == len(f.all)
}

// pageKinds tells what bbolt takes each page of a file for.
func pageKinds(t *testing.T, path string) []string {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, PreLoadFreelist: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var kinds []string
	if err := db.View(func(tx *bbolt.Tx) error {
		size, rest := tx.Size(), 0
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		for id := range int(info.Size()) / db.Info().PageSize {
			if rest > 0 || id >= int(size)/db.Info().PageSize {
				rest--
				kinds = append(kinds, "overflow")
				continue
			}
			p, err := tx.Page(id)
			if err != nil {
				return err
			}
			if p.Type != "free" { // of those the rest is what they once were
				rest = p.OverflowCount
			}
			kinds = append(kinds, p.Type)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return kinds
}

// Whole pages that are gone, and files that are cut short, cost what was on
// them.
func TestReaderOfLostPages(t *testing.T) {
	t.Parallel()
	f := keepFile(t, 300)
	whole, err := os.ReadFile(f.path)
	if err != nil {
		t.Fatal(err)
	}
	kinds := pageKinds(t, f.path)
	pageSize := len(whole) / len(kinds)
	random := rand.New(rand.NewPCG(3, 4))
	noise := make([]byte, pageSize)
	path := filepath.Join(t.TempDir(), "queue.db")
	read := func(t *testing.T, b []byte) ([]Found, Tally) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		all, tally, err := readAllOf(t, path, f.keys, ReadFilter{Payloads: true})
		if err != nil {
			t.Fatal(err)
		}
		partly, wrong, counted := f.judge(t, all, tally)
		if tally.Whole() && (partly+wrong > 0 || !counted) {
			t.Errorf("%d told in part, %d otherwise than they are, all of them: %t; and it is said to be whole", partly, wrong, counted)
		}
		return all, tally
	}
	for id, kind := range kinds {
		if kind == "free" || kind == "overflow" {
			continue
		}
		for i := range noise {
			noise[i] = byte(random.Uint32() * uint32(id%2)) // zeros every other time
		}
		b := append([]byte(nil), whole...)
		copy(b[id*pageSize:], noise)
		all, tally := read(t, b)
		if lost := len(f.all) - len(all); lost > 60 { // no page holds more
			t.Errorf("without page %d (%s): %d events are missing, %+v", id, kind, lost, tally)
		}
		if len(all) < len(f.all) && tally.Whole() {
			t.Errorf("without page %d (%s): %d of %d events, and they are said to be all", id, kind, len(all), len(f.all))
		}
	}
	used := len(kinds)
	for used > 0 && (kinds[used-1] == "overflow" || kinds[used-1] == "free") {
		used--
	}
	for _, percent := range []int{99, 90, 75, 50, 25, 10, 3} {
		size := used * pageSize * percent / 100
		all, tally := read(t, whole[:size])
		if percent >= 75 && len(all) == 0 {
			t.Errorf("cut at %d %%, nothing is brought out: %+v", percent, tally)
		}
		t.Logf("cut at %d %%: %+v of %d", percent, tally, len(f.all))
	}
}

// Random damage of any size is survived.
func TestReaderOfRandomDamage(t *testing.T) {
	t.Parallel()
	f := keepFile(t, 60)
	whole, err := os.ReadFile(f.path)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(5, 6))
	path := filepath.Join(t.TempDir(), "queue.db")
	for range 120 {
		b := append([]byte(nil), whole...)
		for range 1 << random.IntN(14) {
			at := random.IntN(len(b))
			if random.IntN(2) == 0 {
				at = at &^ 4095 & (len(b) - 1) // where the pages begin
				at = min(at+random.IntN(64), len(b)-1)
			}
			b[at] ^= 1 << random.IntN(8)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		all, tally, err := readAllOf(t, path, f.keys, ReadFilter{Payloads: true})
		if err != nil {
			if !strings.Contains(err.Error(), path) {
				t.Errorf("the error does not name the file: %v", err)
			}
			continue
		}
		for _, found := range all {
			if found.Event == nil {
				continue
			}
			id := found.Event.ID
			if !reflect.DeepEqual(found.Event, f.all[id].event) && (!tally.Uncertain || !reflect.DeepEqual(found.Event, f.gone[id])) {
				t.Fatalf("%s has a payload that is not its own: %+v", id, tally)
			}
		}
	}
}

func TestReaderKeys(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	q := mustOpen(t, Options{Path: path, Settings: queue.DefaultSettings()})
	store(t, q, "a", "ehr")
	mustClose(t, q)
	read := func(keys ...Key) (Tally, error) {
		_, tally, err := readAllOf(t, path, keys, ReadFilter{Payloads: true})
		return tally, err
	}
	if tally, err := read(); err != nil || tally != (Tally{Events: 1}) {
		t.Errorf("with the key beside the file: %+v, %v", tally, err)
	}
	if tally, err := read(keyOf(9)); err != nil || tally != (Tally{Events: 1}) {
		t.Errorf("with another key as well: %+v, %v", tally, err)
	}
	own, err := readKeyFile(keyFile(path))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(keyFile(path)); err != nil {
		t.Fatal(err)
	}
	if tally, err := read(keyOf(9), own); err != nil || tally != (Tally{Events: 1}) {
		t.Errorf("with the key given: %+v, %v", tally, err)
	}
	for want, keys := range map[string][]Key{"no key is given": nil, "not among those given": {keyOf(9)}} {
		if _, err := read(keys...); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("with %d keys: %v, want %q", len(keys), err, want)
		}
	}
	if _, err := os.Stat(keyFile(path)); err == nil {
		t.Error("a key was made")
	}
	if all, tally, err := readAllOf(t, path, nil, ReadFilter{}); err != nil || !tally.Whole() || !all[0].Record.HasPayload {
		t.Errorf("without payloads no key is needed: %+v, %v", tally, err)
	}

	// What one key opens comes out, and the rest is counted.
	q = mustOpen(t, Options{Path: path, Settings: queue.DefaultSettings(), Keys: []Key{own}})
	store(t, q, "b", "ehr")
	other, err := newKeyring([]Key{keyOf(9)})
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := other.seal(queuetest.Event("b", time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	change(t, q, func(t *txn) { t.put(bucketPayloads, seqKey(2), sealed) })
	mustClose(t, q)
	if tally, err := read(own); err != nil || tally != (Tally{Events: 2, Partly: 1, Locked: 1}) {
		t.Errorf("with one of two keys: %+v, %v", tally, err)
	}
	if tally, err := read(own, keyOf(9)); err != nil || tally != (Tally{Events: 2}) {
		t.Errorf("with both: %+v, %v", tally, err)
	}
}

func TestReaderRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := OpenReader(dir, nil); err == nil || !strings.Contains(err.Error(), dir+": it is no file") {
		t.Errorf("a directory: %v", err)
	}
	boltFile := func(t *testing.T, path string, change func(*bbolt.Tx) error) {
		t.Helper()
		db, err := bbolt.Open(path, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(db.Update(change), db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		make func(t *testing.T, path string)
		says string
	}{
		{"no file", func(*testing.T, string) {}, "no such file"},
		{"an empty file", func(t *testing.T, path string) {
			t.Helper()
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "it is empty"},
		{"a text", func(t *testing.T, path string) {
			t.Helper()
			if err := os.WriteFile(path, []byte(strings.Repeat("hello ", 5000)), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "it is no queue file"},
		{"another program's database", func(t *testing.T, path string) {
			t.Helper()
			boltFile(t, path, func(tx *bbolt.Tx) error {
				_, err := tx.CreateBucket([]byte("settings"))
				return err
			})
		}, "it belongs to another program"},
		{"another version", func(t *testing.T, path string) {
			t.Helper()
			boltFile(t, path, func(tx *bbolt.Tx) error {
				b, err := tx.CreateBucket([]byte(bucketMeta))
				if err != nil {
					return err
				}
				return b.Put([]byte(formatKey), []byte(formatName+"7"))
			})
		}, `format "scribegate queue 7"`},
		{"one in use", func(t *testing.T, path string) {
			t.Helper()
			mustOpen(t, Options{Path: path, Settings: queue.DefaultSettings(), segment: -1})
		}, "is in use"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "queue.db")
			c.make(t, path)
			before := snapshot(t, filepath.Dir(path))
			_, err := OpenReader(path, nil)
			if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), path) {
				t.Errorf("%v; want an error that says %q and names the file", err, c.says)
			}
			if after := snapshot(t, filepath.Dir(path)); !maps.Equal(before, after) {
				t.Errorf("before it was %v and after it is %v", before, after)
			}
		})
	}
}

// While a Reader reads, nobody else opens the file; a queue does so after it.
func TestReaderHoldsTheFile(t *testing.T) {
	t.Parallel()
	f := keepFile(t, 5)
	r, err := OpenReader(f.path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Path: f.path, Settings: queue.DefaultSettings(), Keys: f.keys}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("opening the queue beside it: %v", err)
	}
	again, err := OpenReader(f.path, nil)
	if err != nil {
		t.Errorf("a second reader: %v", err)
	} else if err := again.Close(); err != nil {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, Options{Path: f.path, Settings: queue.DefaultSettings(), Keys: f.keys})
}

// An event that was set apart still has its payload.
func TestReaderOfDamagedRecords(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	q := mustOpen(t, Options{Path: path, Settings: queue.DefaultSettings()})
	for _, id := range []string{"soapnoteapi-1", "soapnoteapi-2", "soapnoteapi-3", "soapnoteapi-4"} {
		store(t, q, id, "ehr")
	}
	change(t, q, func(t *txn) {
		t.put(bucketEvents, seqKey(1), []byte("damaged"))
		t.del(bucketEvents, seqKey(2))
		t.put(bucketPayloads, seqKey(3), []byte("damaged, and long enough to be taken for a payload at first"))
	})
	mustClose(t, q)
	all, tally, err := readAllOf(t, path, nil, ReadFilter{Payloads: true})
	if err != nil || tally.Events != 4 || tally.Lost != 0 {
		t.Fatalf("%+v, %v", tally, err)
	}
	for i, id := range []string{"soapnoteapi-4", "soapnoteapi-3", "soapnoteapi-2", "soapnoteapi-1"} {
		got := all[i]
		if got.Record.ID != id || (got.Event == nil) != got.PayloadLost || (got.Event != nil && got.Event.ID != id) {
			t.Errorf("%+v, want %s", got, id)
		}
		// Where an older page still had what was damaged, that is taken.
		if damaged := id <= "soapnoteapi-2"; (got.RecordLost || got.Displaced) != damaged {
			t.Errorf("the record of %s: lost %t, displaced %t", id, got.RecordLost, got.Displaced)
		}
		if got.PayloadLost && id != "soapnoteapi-3" {
			t.Errorf("the payload of %s is lost", id)
		}
		if got.Record.Provider != "soapnoteapi" || got.Record.Type != "note.generated" || got.Record.ReceivedAt.IsZero() {
			t.Errorf("what the payload tells is not told: %+v", got.Record)
		}
	}
}

// The visitor and the context end a reading.
func TestReaderEnds(t *testing.T) {
	t.Parallel()
	f := keepFile(t, 20)
	r, err := OpenReader(f.path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	enough := errors.New("enough")
	n := 0
	if _, err := r.Read(t.Context(), ReadFilter{}, func(Found) error { n++; return enough }); !errors.Is(err, enough) || n != 1 {
		t.Errorf("%d events and %v", n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Read(ctx, ReadFilter{}, func(Found) error { n++; return nil }); !errors.Is(err, context.Canceled) || n != 1 {
		t.Errorf("%d events and %v", n, err)
	}
}
