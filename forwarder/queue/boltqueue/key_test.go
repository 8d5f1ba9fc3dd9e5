package boltqueue

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
)

func keyOf(b byte) Key { return Key(bytes.Repeat([]byte{b}, len(Key{}))) }

func store(t testing.TB, q *Queue, id string, upstreams ...string) {
	t.Helper()
	r, err := q.Store(t.Context(), queue.Item{Event: queuetest.Event(id, time.Unix(1773934200, 0)), Upstreams: upstreams})
	if err != nil || r.Duplicate {
		t.Fatalf("Store(%s): %+v, %v", id, r, err)
	}
	q.catchUp(t.Context())
}

func claim(t testing.TB, q *Queue, upstream string, n int) []queue.Delivery {
	t.Helper()
	q.catchUp(t.Context())
	c, err := q.Claim(upstream, q.now(), queue.Want{First: n, Retry: n})
	if err != nil {
		t.Fatalf("Claim: %v", err)
	}
	return c.Deliveries
}

func TestParseKey(t *testing.T) {
	t.Parallel()
	want := keyOf(7)
	got, err := ParseKey(base64.StdEncoding.EncodeToString(want[:]))
	if err != nil || got != want {
		t.Fatalf("ParseKey: %v", err)
	}
	for name, s := range map[string]string{
		"empty":    "",
		"short":    base64.StdEncoding.EncodeToString(want[:31]),
		"long":     base64.StdEncoding.EncodeToString(append(want[:], 1)),
		"unpadded": base64.RawStdEncoding.EncodeToString(want[:]),
		"no key":   "not base64, but SECRET",
	} {
		_, err := ParseKey(s)
		if err == nil {
			t.Errorf("%s: no error", name)
		} else if s != "" && strings.Contains(err.Error(), s) {
			t.Errorf("%s: the error quotes the key", name)
		}
	}
	for _, verb := range []string{"%v", "%s", "%+v", "%#v"} {
		if s := fmt.Sprintf(verb, want); s != "[key]" {
			t.Errorf("%s prints %s", verb, s)
		}
	}
}

// Nothing of what is sealed may stand in the file or beside it.
func TestSealedAtRest(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "made", "too")
	path := filepath.Join(dir, "queue.db")
	q := mustOpen(t, Options{Path: path, Settings: queue.DefaultSettings()})
	store(t, q, "a", "ehr")
	q.Settle(queue.Outcome{Delivery: claim(t, q, "ehr", 1)[0], State: queue.Dead, Result: queue.Failure})
	_, err := q.Store(t.Context(), queue.Item{Event: queuetest.Event("b", time.Now()), Quarantined: true})
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, q)
	for file, mode := range map[string]os.FileMode{dir: 0o700 | os.ModeDir, path: 0o600, keyFile(path): 0o600} {
		info, err := os.Stat(file)
		if err != nil || info.Mode() != mode {
			t.Errorf("%s: mode %v, %v; want %v", file, info.Mode(), err, mode)
		}
		if info.IsDir() {
			continue
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, planted := range []string{queuetest.PlantedText, "subject-a", "note_id", "X-Soapnoteapi-Signature", "application/json"} {
			if bytes.Contains(b, []byte(planted)) {
				t.Errorf("%s holds %q in clear", filepath.Base(file), planted)
			}
		}
	}
}

func TestAutomaticKey(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	o := Options{Path: path, Settings: queue.DefaultSettings()}
	q := mustOpen(t, o)
	if q.KeyFile() != keyFile(path) {
		t.Fatalf("KeyFile is %q, want %q", q.KeyFile(), keyFile(path))
	}
	store(t, q, "a", "ehr")
	mustClose(t, q)

	// A key that is given later seals; the automatic one goes on opening.
	given, resealed := toReseal(o, keyOf(1))
	q = mustOpen(t, given)
	if q.KeyFile() != "" {
		t.Fatalf("KeyFile is %q though a key is given", q.KeyFile())
	}
	store(t, q, "b", "ehr")
	for _, d := range claim(t, q, "ehr", 2) {
		if _, err := q.Load(d); err != nil {
			t.Errorf("Load(%s): %v", d.EventID, err)
		}
	}
	if got, want := <-resealed, (Resealed{Events: 1, KeyFile: keyFile(path)}); got != want {
		t.Errorf("resealed: %+v, want %+v", got, want)
	}
	mustClose(t, q)

	// The automatic key does not do any more, and nor does a new one take its
	// place where it is lost.
	wantRefused(t, o, "2 events", path)
	if err := os.Remove(keyFile(path)); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, o, "2 events", path, keyFile(path))

	// Nothing needs it.
	given.OnResealed = nil
	q = mustOpen(t, given)
	wantPayloads(t, q, "a", "b")
}

// A key file that is damaged is an error also where keys are given, since events
// may need it.
func TestDamagedKeyFileBesideAKey(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	o := Options{Path: path, Settings: queue.DefaultSettings()}
	q := mustOpen(t, o)
	store(t, q, "a", "ehr")
	mustClose(t, q)
	if err := os.WriteFile(keyFile(path), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, o, keyFile(path))
	o.Keys = []Key{keyOf(1)}
	wantRefused(t, o, keyFile(path))
}

// snapshot tells what is in a directory: every name, mode and content.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]string)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = fmt.Sprintf("%v %x", info.Mode(), sha256.Sum256(b))
	}
	return out
}

// wantRefused checks that opening fails, says what it is to say and changes
// nothing: not the file, not its key, nor what else is beside it.
func wantRefused(t *testing.T, o Options, says ...string) {
	t.Helper()
	before := snapshot(t, filepath.Dir(o.Path))
	_, err := Open(o)
	if err == nil {
		t.Fatal("Open succeeded, want an error")
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("the error is %q and does not say %q", err, s)
		}
	}
	if after := snapshot(t, filepath.Dir(o.Path)); !maps.Equal(before, after) {
		t.Errorf("before it was %v and after it is %v", before, after)
	}
}

func TestWrongKey(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	o := Options{Path: path, Settings: queue.DefaultSettings(), Keys: []Key{keyOf(1)}}
	q := mustOpen(t, o)
	store(t, q, "a", "ehr")
	mustClose(t, q)
	if _, err := os.Stat(keyFile(path)); err == nil {
		t.Fatal("a key was made though one is given")
	}

	wrong := o
	wrong.Keys = []Key{keyOf(2)}
	wantRefused(t, wrong, path, "1 events", "encryption_key")

	rotated := o
	rotated.Keys = []Key{keyOf(2), keyOf(1)}
	q = mustOpen(t, rotated)
	store(t, q, "b", "ehr")
	for _, d := range claim(t, q, "ehr", 2) {
		q.Settle(queue.Outcome{Delivery: d, State: queue.Delivered, Result: queue.Success})
	}
	mustClose(t, q)

	// With the last payload the key that sealed it is no longer needed.
	q = mustOpen(t, wrong)
	store(t, q, "c", "ehr")
}

// A wrong key at start changes nothing either where there is something to tidy
// up: a file that is mostly free, and an unfinished copy beside it.
func TestWrongKeyOfAFileThatIsMostlyFree(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	o := Options{Path: path, Settings: queue.DefaultSettings(), Keys: []Key{keyOf(1)}}
	q := mustOpen(t, o)
	for i := range 20 {
		e := queuetest.Event(fmt.Sprint("e", i), time.Now())
		e.Body = append(e.Body, make([]byte, 4<<20)...)
		if _, err := q.Store(t.Context(), queue.Item{Event: e, Upstreams: []string{"ehr"}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range claim(t, q, "ehr", 100) {
		q.Settle(queue.Outcome{Delivery: d, State: queue.Delivered, Result: queue.Success})
	}
	flush(t, q)
	store(t, q, "kept", "ehr")
	mustClose(t, q)
	if err := os.WriteFile(copyPath(path), []byte("unfinished"), 0o600); err != nil {
		t.Fatal(err)
	}
	wrong := o
	wrong.Keys = []Key{keyOf(2)}
	wantRefused(t, wrong, path, "1 events")
	wrong.Keys = nil
	wantRefused(t, wrong, path, "1 events")
	wantPayloads(t, mustOpen(t, o), "kept")
}

func TestDamagedKeyFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	if err := os.WriteFile(keyFile(path), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Path: path}); err == nil || !strings.Contains(err.Error(), keyFile(path)) {
		t.Fatalf("Open: %v, want an error that names the key file", err)
	}
	if b, err := os.ReadFile(keyFile(path)); err != nil || string(b) != "damaged" {
		t.Fatalf("the key file was replaced: %q, %v", b, err)
	}
}

func TestSetKeys(t *testing.T) {
	t.Parallel()
	q := mustOpen(t, Options{Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings(), Keys: []Key{keyOf(1)}})
	store(t, q, "a", "ehr")
	if err := q.SetKeys([]Key{keyOf(2)}); err == nil || !strings.Contains(err.Error(), "1 events") {
		t.Fatalf("SetKeys without the key that is needed: %v", err)
	}
	for _, keys := range [][]Key{nil, {keyOf(2)}} {
		if err := q.CheckKeys(keys); err == nil || !strings.Contains(err.Error(), "1 events") {
			t.Fatalf("CheckKeys without the key that is needed: %v", err)
		}
	}
	if err := q.CheckKeys([]Key{keyOf(2), keyOf(1)}); err != nil {
		t.Fatalf("CheckKeys: %v", err)
	}
	if err := q.SetKeys(nil); err == nil {
		t.Fatal("SetKeys with none succeeded though an event needs one")
	}
	store(t, q, "b", "ehr") // and the old keys go on sealing
	if err := q.SetKeys([]Key{keyOf(2), keyOf(1)}); err != nil {
		t.Fatal(err)
	}
	store(t, q, "c", "ehr")
	ds := claim(t, q, "ehr", 10)
	for _, d := range ds {
		if _, err := q.Load(d); err != nil {
			t.Errorf("Load(%s): %v", d.EventID, err)
		}
	}
	for _, d := range ds[:2] {
		q.Settle(queue.Outcome{Delivery: d, State: queue.Delivered, Result: queue.Success})
	}
	flush(t, q)
	if err := q.SetKeys([]Key{keyOf(2)}); err != nil {
		t.Fatalf("SetKeys without the key that is no longer needed: %v", err)
	}
}

// A payload that was sealed before its key was replaced must not be stored with
// it: neither where the key was taken away, nor where it is an older one, of
// which it is said soon that nothing needs it.
func TestStoreWithAStaleKey(t *testing.T) {
	t.Parallel()
	for name, keys := range map[string][]Key{"taken away": {keyOf(2)}, "an older one": {keyOf(2), keyOf(1)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storeWithAStaleKey(t, keys)
		})
	}
}

func storeWithAStaleKey(t *testing.T, keys []Key) {
	t.Helper()
	q := mustOpen(t, Options{Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings(), Keys: []Key{keyOf(1)}})
	it := queue.Item{Event: queuetest.Event("a", time.Now()), Upstreams: []string{"ehr"}}
	s, err := q.newStoring(t.Context(), it)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := q.ring.Load().seal(it.Event)
	if err != nil {
		t.Fatal(err)
	}
	s.seal(sealed)
	if err := q.SetKeys(keys); err != nil {
		t.Fatal(err)
	}
	if err := q.intake.store(s, false); err != nil {
		t.Fatal(err)
	}
	if a := <-s.answer; !errors.Is(a.err, errStaleKey) {
		t.Fatalf("the store is answered %v, want that its key is stale", a.err)
	}
	store(t, q, "a", "ehr") // nothing of it was left
	if _, err := q.Load(claim(t, q, "ehr", 1)[0]); err != nil {
		t.Fatal(err)
	}
}
