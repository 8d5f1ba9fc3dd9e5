package boltqueue

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
)

// toReseal returns the options with other keys, and what OnResealed is told.
func toReseal(o Options, keys ...Key) (Options, chan Resealed) {
	told := make(chan Resealed, 100)
	o.Keys = keys
	o.OnResealed = func(r Resealed) { told <- r }
	return o, told
}

// storeMany stores n events, from several goroutines.
func storeMany(t testing.TB, q *Queue, prefix string, n int, upstreams ...string) (ids []string) {
	t.Helper()
	for i := range n {
		ids = append(ids, fmt.Sprint(prefix, i))
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if _, err := q.Store(t.Context(), queue.Item{Event: queuetest.Event(ids[i], time.Now()), Upstreams: upstreams}); err != nil {
					t.Errorf("Store(%s): %v", ids[i], err)
				}
			}
		})
	}
	wg.Wait()
	return ids
}

func wantPayloads(t testing.TB, q *Queue, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if e, err := q.Payload(context.Background(), id); err != nil || e.ID != id {
			t.Fatalf("Payload(%s): %v", id, err)
		}
	}
}

// sealedWith counts the events by the key, as the file tells it.
func sealedWith(q *Queue, k Key) int64 { return q.snapshot().sealed()[k.fingerprint()] }

// filled makes a queue file with events in every state that keeps a payload, all
// sealed with key 1, and returns their ids.
func filled(t testing.TB, path string, n int) (o Options, ids []string) {
	t.Helper()
	o = Options{Path: path, Settings: queue.DefaultSettings(), Keys: []Key{keyOf(1)}}
	o.Settings.KeepDelivered = time.Hour
	q := mustOpen(t, o)
	ids = storeMany(t, q, "e", n, "ehr", "warehouse")
	for i, d := range claim(t, q, "ehr", n/2) {
		out := queue.Outcome{Delivery: d, State: queue.Dead, Result: queue.Failure}
		switch i % 3 {
		case 1:
			out.State, out.Next = queue.Pending, q.now().Add(time.Hour)
		case 2:
			out.State, out.Result = queue.Delivered, queue.Success
		}
		q.Settle(out)
	}
	for _, d := range claim(t, q, "warehouse", n/3) {
		q.Settle(queue.Outcome{Delivery: d, State: queue.Delivered, Result: queue.Success})
	}
	if _, err := q.Store(t.Context(), queue.Item{Event: queuetest.Event("quarantined", time.Now()), Quarantined: true}); err != nil {
		t.Fatal(err)
	}
	flush(t, q)
	mustClose(t, q)
	return o, append(ids, "quarantined")
}

// After a pass the new key alone opens the file; before, it is refused and
// changes nothing.
func TestReseal(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	o, ids := filled(t, path, 700)
	alone := o
	alone.Keys = []Key{keyOf(2)}
	wantRefused(t, alone, path, fmt.Sprint(len(ids), " events"), "encryption_key")
	none := o
	none.Keys = nil
	wantRefused(t, none, path, fmt.Sprint(len(ids), " events"), keyFile(path))

	both, resealed := toReseal(o, keyOf(2), keyOf(1))
	q := mustOpen(t, both)
	if got, want := <-resealed, (Resealed{Events: len(ids)}); got != want {
		t.Errorf("resealed: %+v, want %+v", got, want)
	}
	wantPayloads(t, q, ids...)
	wantSound(t, q)
	if err := q.SetKeys(alone.Keys); err != nil {
		t.Errorf("SetKeys with the new key alone: %v", err)
	}
	mustClose(t, q)

	wantRefused(t, o, path, fmt.Sprint(len(ids), " events"))
	q = mustOpen(t, alone)
	wantPayloads(t, q, ids...)
	if n := len(claim(t, q, "ehr", 1000)); n != 350 {
		t.Errorf("%d deliveries are due, want 350", n)
	}
	mustClose(t, q)

	// With nothing to do nobody is told.
	q = mustOpen(t, both)
	storeMany(t, q, "later", 10, "ehr")
	mustClose(t, q)
	if len(resealed) != 0 {
		t.Errorf("resealed: %+v though nothing was to be", <-resealed)
	}
}

func TestResealAfterSetKeys(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	o, ids := filled(t, path, 300)
	o, resealed := toReseal(o, keyOf(1))
	q := mustOpen(t, o)
	for k := byte(2); k < 5; k++ {
		if err := q.SetKeys([]Key{keyOf(k), keyOf(k - 1)}); err != nil {
			t.Fatal(err)
		}
		if got, want := <-resealed, (Resealed{Events: len(ids)}); got != want {
			t.Errorf("resealed: %+v, want %+v", got, want)
		}
		if err := q.CheckKeys([]Key{keyOf(k)}); err != nil {
			t.Errorf("key %d alone: %v", k, err)
		}
	}
	wantPayloads(t, q, ids...)
	wantSound(t, q)
}

// What cannot be opened is passed over, counted and left alone, and with it the
// key that sealed it.
func TestResealPassesOver(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	o, ids := filled(t, path, 400)
	q := mustOpen(t, o)
	flipped, gone, apart := seqOf(t, q, ids[1]), seqOf(t, q, ids[200]), seqOf(t, q, ids[399])
	change(t, q, func(t *txn) {
		v := bytes.Clone(t.get(bucketPayloads, seqKey(flipped)))
		v[len(v)/2] ^= 1
		t.put(bucketPayloads, seqKey(flipped), v)
		t.del(bucketPayloads, seqKey(gone))
		t.put(bucketEvents, seqKey(apart), []byte("damaged"))
	})
	mustClose(t, q)

	both, resealed := toReseal(o, keyOf(2), keyOf(1))
	for range 2 { // also when it is tried again
		q = mustOpen(t, both)
		if got := <-resealed; got.Unreadable != 3 {
			t.Errorf("resealed: %+v, want 3 that cannot be read", got)
		}
		if n := sealedWith(q, keyOf(1)); n != 3 {
			t.Errorf("%d events count for the old key, want 3", n)
		}
		mustClose(t, q)
	}
	alone := o
	alone.Keys = []Key{keyOf(2)}
	wantRefused(t, alone, "3 events")
	q = mustOpen(t, both)
	for _, id := range ids {
		if id != ids[1] && id != ids[200] && id != ids[399] {
			wantPayloads(t, q, id)
		}
	}
	if _, err := q.Payload(t.Context(), ids[1]); !errors.Is(err, queue.ErrUnreadable) {
		t.Errorf("Payload of a damaged event: %v", err)
	}
	if n, err := q.Purge(t.Context(), queue.PurgeSelection{IDs: []string{ids[1], ids[200]}, Force: true}); n != 2 || err != nil {
		t.Errorf("Purge: %d, %v", n, err)
	}
	if n := sealedWith(q, keyOf(1)); n != 1 {
		t.Errorf("%d events count for the old key, want the one whose record is damaged", n)
	}
}

// A page that cannot be read ends a pass, after some tries.
func TestResealGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "queue.db")
		o, ids := filled(t, path, 600)
		q := mustOpen(t, o)
		damageLeaf(t, q, seqOf(t, q, ids[500]))
		mustClose(t, q)
		o, resealed := toReseal(o, keyOf(2), keyOf(1))
		q = mustOpen(t, o)
		began := time.Now()
		got := <-resealed
		if got.Events == 0 || got.Unreadable == 0 || got.Events+got.Unreadable != len(ids) {
			t.Errorf("resealed: %+v, want some of %d and the rest unreadable", got, len(ids))
		}
		if took := time.Since(began); took < time.Second || took > time.Minute {
			t.Errorf("it was given up after %s", took)
		}
		store(t, q, "goes on", "ehr")
	})
}

// damageLeaf makes the page that holds an event's record unreadable.
func damageLeaf(t *testing.T, q *Queue, seq uint64) {
	t.Helper()
	err := q.view(func(tx *bbolt.Tx) error {
		k, v := tx.Bucket([]byte(bucketEvents)).Cursor().Seek(seqKey(seq))
		whole, err := os.ReadFile(q.file.path)
		if err != nil {
			return err
		}
		at := bytes.Index(whole, append(bytes.Clone(k), v...))
		if at < 0 || bytes.Count(whole, append(bytes.Clone(k), v...)) != 1 {
			return errors.New("the record is not found once in the file")
		}
		_, err = q.file.os.WriteAt(bytes.Repeat([]byte{0xff}, 16), int64(at/q.file.page*q.file.page))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// While nothing can be written a pass waits, and goes on when it can be.
func TestResealWhileStorageFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "queue.db")
		o, ids := filled(t, path, 700)
		o, resealed := toReseal(o, keyOf(2), keyOf(1))
		commits := 0
		o.fault = func(stage string) error {
			if stage == beforeCommit {
				commits++
			}
			if commits == 3 || commits == 6 || commits > 7 && commits < 30 {
				return errors.New("no space left on device")
			}
			return nil
		}
		q := mustOpen(t, o)
		if got, want := <-resealed, (Resealed{Events: len(ids)}); got != want {
			t.Errorf("resealed: %+v, want %+v", got, want)
		}
		if commits < 30 {
			t.Errorf("%d commits", commits)
		}
		wantPayloads(t, q, ids...)
		wantSound(t, q)
	})
}

// Cut off before and after each of its commits, a pass has lost nothing, and
// goes on where it was when the file is opened again. Until it is over, the old
// key is needed, and a start without it changes nothing.
func TestResealCutOff(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "queue.db")
	o, ids := filled(t, path, 500)
	both, resealed := toReseal(o, keyOf(2), keyOf(1))
	var copies []string
	both.fault = func(string) error { // no commit is under way elsewhere
		at := filepath.Join(t.TempDir(), "queue.db")
		copyFile(t, path, at)
		copies = append(copies, at)
		return nil
	}
	mustOpen(t, both)
	<-resealed
	if len(copies) < 8 {
		t.Fatalf("%d copies, want one at each end of at least 4 commits", len(copies))
	}
	both.fault = nil
	left := make(map[int]bool)
	for i, at := range copies {
		both.Path = at
		alone := o
		alone.Path, alone.Keys = at, []Key{keyOf(2)}
		if i < len(copies)-1 {
			wantRefused(t, alone, "encryption_key")
		}
		q := mustOpen(t, both)
		if i < len(copies)-1 {
			got := <-resealed
			left[got.Events] = true
			if got.Unreadable != 0 || got.Events == 0 {
				t.Errorf("copy %d: %+v", i, got)
			}
		}
		wantSound(t, q)
		mustClose(t, q)
		q = mustOpen(t, alone)
		wantPayloads(t, q, ids...)
		mustClose(t, q)
	}
	if len(left) < 4 {
		t.Errorf("what was left was one of %v: the copies were not taken in the middle", left)
	}
}

// resealFile has TestResealKilled, run once more by itself, work on a file until
// it is killed.
const resealFile = "BOLTQUEUE_TEST_RESEAL"

// Killed at any moment, again and again, the process that seals anew loses
// nothing.
func TestResealKilled(t *testing.T) {
	if path := os.Getenv(resealFile); path != "" {
		s := queue.DefaultSettings()
		s.KeepDelivered = time.Hour
		o, resealed := toReseal(Options{Path: path, Settings: s}, keyOf(2), keyOf(1))
		o.OnCommit = func(time.Duration, int) { fmt.Println("slice") }
		mustOpen(t, o)
		<-resealed
		return
	}
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	o, ids := filled(t, path, 3000)
	both, resealed := toReseal(o, keyOf(2), keyOf(1))
	middle := 0
	for range 6 {
		killResealing(t, path, 1+rand.IntN(3))
		look := errors.New("only to be looked at")
		both.fault = func(string) error { return look }
		q := mustOpen(t, both)
		wantPayloads(t, q, ids...)
		err := checkSound(t, q)
		for errors.Is(err, look) { // it was to be made with a slice of resealing
			err = checkSound(t, q)
		}
		if err != nil {
			t.Fatal(err)
		}
		if n := sealedWith(q, keyOf(1)); n > 0 && n < int64(len(ids)) {
			middle++
		}
		_ = q.Close()
	}
	if middle == 0 {
		t.Error("no kill came in the middle")
	}
	both.fault = nil
	q := mustOpen(t, both)
	if sealedWith(q, keyOf(1)) > 0 {
		<-resealed
	}
	wantSound(t, q)
	mustClose(t, q)
	o.Keys = []Key{keyOf(2)}
	wantPayloads(t, mustOpen(t, o), ids...)
}

// killResealing runs that test once more and kills it some time after so many
// commits.
func killResealing(t *testing.T, path string, commits int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestResealKilled$")
	cmd.Env = append(os.Environ(), resealFile+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(out)
	for range commits {
		if line, err := r.ReadString('\n'); err != nil || line != "slice\n" {
			t.Errorf("the child says %q, %v", line, err)
		}
	}
	time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
	_ = cmd.Process.Kill()
	_, _ = io.Copy(io.Discard, r)
	_ = cmd.Wait()
}

// Events come, go, are replayed and purged while the keys change under them.
func TestResealBesideTraffic(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	o, ids := filled(t, path, 700)
	o, resealed := toReseal(o, keyOf(1))
	q := mustOpen(t, o)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var traffic sync.WaitGroup
	var fresh []string
	traffic.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			fresh = append(fresh, storeMany(t, q, fmt.Sprint("fresh", i, "-"), 10, "ehr")...)
			time.Sleep(5 * time.Millisecond)
		}
	})
	traffic.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			for _, d := range claim(t, q, "ehr", 10) {
				if _, err := q.Load(d); err != nil {
					t.Errorf("Load(%s): %v", d.EventID, err)
				}
				out := queue.Outcome{Delivery: d, State: queue.Pending, Result: queue.Failure, Next: q.now()}
				if i%2 == 0 {
					out.State, out.Result = queue.Delivered, queue.Success
				}
				q.Settle(out)
			}
			time.Sleep(time.Millisecond)
		}
	})
	purged := ids[:100]
	traffic.Go(func() {
		for _, id := range purged {
			if _, err := q.Purge(t.Context(), queue.PurgeSelection{IDs: []string{id}, Force: true}); err != nil {
				t.Errorf("Purge(%s): %v", id, err)
			}
			if _, err := q.Replay(t.Context(), queue.ReplaySelection{IDs: ids[500:501]}); err != nil {
				t.Errorf("Replay: %v", err)
			}
		}
	})
	for k := byte(2); k < 6; k++ {
		if err := q.SetKeys([]Key{keyOf(k), keyOf(k - 1)}); err != nil {
			t.Fatal(err)
		}
		if got := <-resealed; got.Unreadable != 0 || got.Events == 0 {
			t.Errorf("resealed: %+v", got)
		}
		// Nothing that is stored later needs the older key.
		if err := q.SetKeys([]Key{keyOf(k)}); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	traffic.Wait()
	flush(t, q)
	wantPayloads(t, q, ids[100:]...)
	wantPayloads(t, q, fresh...)
	wantSound(t, q)
	mustClose(t, q)
	o.Keys = []Key{keyOf(5)}
	q = mustOpen(t, o)
	wantPayloads(t, q, fresh...)
}

// Another change of keys in the middle of a pass takes effect at once.
func TestResealWithKeysThatChangeMeanwhile(t *testing.T) {
	t.Parallel()
	o, ids := filled(t, filepath.Join(t.TempDir(), "queue.db"), 1500)
	o, resealed := toReseal(o, keyOf(1))
	q := mustOpen(t, o)
	for _, keys := range [][]Key{{keyOf(2), keyOf(1)}, {keyOf(3), keyOf(2), keyOf(1)}, {keyOf(1), keyOf(2), keyOf(3)}, {keyOf(2), keyOf(1), keyOf(3)}} {
		if err := q.SetKeys(keys); err != nil {
			t.Fatal(err)
		}
		for sealedWith(q, keys[0]) == 0 { // until some are, or the test runs into its deadline
			idle(t, q)
		}
	}
	for sealedWith(q, keyOf(2)) < int64(len(ids)) {
		if got := <-resealed; got.Unreadable != 0 {
			t.Errorf("resealed: %+v", got)
		}
	}
	wantPayloads(t, q, ids...)
	wantSound(t, q)
}

// Closing does not wait for a pass to end, and the next start goes on with it.
func TestResealStopsAtClose(t *testing.T) {
	t.Parallel()
	o, ids := filled(t, filepath.Join(t.TempDir(), "queue.db"), 3000)
	o, resealed := toReseal(o, keyOf(2), keyOf(1))
	q := mustOpen(t, o)
	for sealedWith(q, keyOf(2)) == 0 {
		idle(t, q)
	}
	began := time.Now()
	mustClose(t, q)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("closing took %s", took)
	}
	n := sealedWith(q, keyOf(2))
	if n == int64(len(ids)) || len(resealed) != 0 {
		t.Fatalf("%d of %d events were sealed anew before it was closed, so that this shows nothing", n, len(ids))
	}
	q = mustOpen(t, o)
	if got, want := <-resealed, (Resealed{Events: len(ids) - int(n)}); got != want {
		t.Errorf("resealed: %+v, want %+v", got, want)
	}
	wantPayloads(t, q, ids...)
}

// Nor does it wait for the end of a rest, which is long while storage fails.
func TestResealStopsAtCloseWhileStorageFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o, _ := filled(t, filepath.Join(t.TempDir(), "queue.db"), 100)
		o, _ = toReseal(o, keyOf(2), keyOf(1))
		o.fault = func(string) error { return errors.New("no space left on device") }
		q := mustOpen(t, o)
		time.Sleep(5 * time.Minute)
		began := time.Now()
		_ = q.Close() // which fails if it comes in the middle of a commit
		if took := time.Since(began); took > time.Second {
			t.Errorf("closing took %s", took)
		}
	})
}

// What has changed between being read and being replaced is left as it is.
func TestResealLeavesWhatHasChanged(t *testing.T) {
	t.Parallel()
	q := mustOpen(t, Options{Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings(), Keys: []Key{keyOf(1)}})
	for _, id := range []string{"delivered", "purged", "other bytes", "same"} {
		store(t, q, id, "ehr")
	}
	ring, err := newKeyring([]Key{keyOf(2), keyOf(1)})
	if err != nil {
		t.Fatal(err)
	}
	p := &resealing{queue: q, ring: ring}
	found, _, last, err := p.find()
	if err != nil || len(found) != 4 || !last {
		t.Fatalf("found %d payloads, %v; want all 4", len(found), err)
	}
	for i := range found {
		if found[i].anew, err = ring.reseal(found[i].id, found[i].payload); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.replace(found); !errors.Is(err, errSuperseded) || sealedWith(q, keyOf(2)) != 0 {
		t.Errorf("with another key than the one that seals: %v", err)
	}

	q.Settle(queue.Outcome{Delivery: claim(t, q, "ehr", 1)[0], State: queue.Delivered, Result: queue.Success})
	flush(t, q)
	if _, err := q.Purge(t.Context(), queue.PurgeSelection{IDs: []string{"purged"}, Force: true}); err != nil {
		t.Fatal(err)
	}
	other, err := q.ring.Load().reseal("other bytes", found[2].payload)
	if err != nil {
		t.Fatal(err)
	}
	change(t, q, func(t *txn) { t.put(bucketPayloads, seqKey(found[2].seq), other) })
	q.ring.Store(ring)
	if err := p.replace(found); err != nil || p.events != 1 {
		t.Errorf("replaced %d, %v; want the one that is the same", p.events, err)
	}
	if n, m := sealedWith(q, keyOf(1)), sealedWith(q, keyOf(2)); n != 1 || m != 1 {
		t.Errorf("%d events by the old key and %d by the new one, want 1 and 1", n, m)
	}
	wantPayloads(t, q, "other bytes", "same")
	wantSound(t, q)
}

// BenchmarkStoreBesideResealing measures how long a store takes while a pass is
// under way and while none is, by turns.
func BenchmarkStoreBesideResealing(b *testing.B) {
	const inStore, turn = 50_000, 2000
	for _, writers := range []int{1, 16, 64} {
		b.Run(fmt.Sprint(writers, " writers"), func(b *testing.B) {
			o, resealed := toReseal(Options{Path: filepath.Join(b.TempDir(), "queue.db"), Settings: queue.DefaultSettings()}, keyOf(1))
			q := mustOpen(b, o)
			var next atomic.Int64
			storeSome := func(n int) (took []time.Duration) {
				var mu sync.Mutex
				var wg sync.WaitGroup
				last := next.Load() + int64(n)
				for range writers {
					wg.Go(func() {
						for i := next.Add(1); i <= last; i = next.Add(1) {
							it := item(int(i))
							began := time.Now()
							if _, err := q.Store(b.Context(), it); err != nil {
								b.Error(err)
							}
							d := time.Since(began)
							mu.Lock()
							took = append(took, d)
							mu.Unlock()
						}
					})
				}
				wg.Wait()
				return took
			}
			for range inStore / turn {
				storeSome(turn)
			}
			old, current := keyOf(1), keyOf(2)
			var quiet, beside []time.Duration
			b.ResetTimer()
			for done := 0; done < b.N; done += 2 * turn {
				quiet = append(quiet, storeSome(turn)...)
				if err := q.SetKeys([]Key{current, old}); err != nil {
					b.Fatal(err)
				}
				beside = append(beside, storeSome(turn)...)
				if len(resealed) > 0 {
					b.Fatal("the pass was over before the stores were")
				}
				<-resealed
				old, current = current, old
			}
			for name, d := range map[string][]time.Duration{"quiet": quiet, "beside": beside} {
				slices.Sort(d)
				b.ReportMetric(float64(d[len(d)/2].Microseconds()), name+"-p50-us")
				b.ReportMetric(float64(d[len(d)*99/100].Microseconds()), name+"-p99-us")
				b.ReportMetric(float64(d[len(d)-1].Microseconds()), name+"-max-us")
			}
		})
	}
}
