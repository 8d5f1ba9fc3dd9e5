package sqlitequeue

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/disk"
	"github.com/scribegate/scribegate/forwarder/seal"
)

func keyOf(b byte) seal.Key { return seal.Key(bytes.Repeat([]byte{b}, len(seal.Key{}))) }

// optionsOf returns the options of a new store with the keys.
func optionsOf(t *testing.T, keys ...seal.Key) Options {
	t.Helper()
	return Options{Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings(), Keys: keys}
}

// withKeys returns the options with other keys, and a channel of the values that
// OnResealed is called with.
func withKeys(o Options, keys ...seal.Key) (Options, chan Resealed) {
	resealed := make(chan Resealed, 100)
	o.Keys, o.OnResealed = keys, func(r Resealed) { resealed <- r }
	return o, resealed
}

func wantResealed(t *testing.T, resealed chan Resealed, want Resealed) {
	t.Helper()
	select {
	case got := <-resealed:
		if got != want {
			t.Errorf("resealed: %+v, want %+v", got, want)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("nothing was resealed")
	}
}

func wantPayloads(t *testing.T, q *Queue, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if e, err := q.Payload(t.Context(), id); err != nil || e.ID != id {
			t.Fatalf("Payload(%s): %v", id, err)
		}
	}
}

// snapshot returns the mode and the content of every file in a directory, except the
// lock, the reserve, the shared-memory file and an empty WAL.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || slices.Contains([]string{".lock", ".reserve", ".db" + disk.SHM}, filepath.Ext(path)) {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Size() == 0 && strings.HasSuffix(path, disk.WAL) {
			return nil
		}
		b, err := os.ReadFile(path)
		out[path] = fmt.Sprintf("%v %x", info.Mode(), sha256.Sum256(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// wantRefused checks that Open fails with an error that contains the words, and changes
// nothing.
func wantRefused(t *testing.T, o Options, words ...string) {
	t.Helper()
	before := snapshot(t, filepath.Dir(o.Path))
	q, err := Open(o)
	if err == nil {
		_ = q.Close()
		t.Fatal("Open succeeded")
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the error is %q, which does not contain %q", err, w)
		}
	}
	if after := snapshot(t, filepath.Dir(o.Path)); !maps.Equal(before, after) {
		t.Errorf("Open changed the files from %v to %v", before, after)
	}
}

// No file contains sealed data in clear text, and no other user can read a file.
func TestSealedAtRest(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "made", "too")
	o := optionsOf(t)
	o.Path = filepath.Join(dir, "queue.db")
	q := mustOpen(t, o)
	put(t, q, "a", "ehr")
	q.Settle(outcomeOf(q, take(t, q, "ehr", 1)[0], queue.Dead))
	putItem(t, q, queue.Item{Event: queuetest.Event("b", time.Now()), State: queue.Quarantined, Reason: "it is empty"})
	flush(t, q)
	look := func() {
		t.Helper()
		for _, name := range []string{"", "-wal", "-shm", ".key"} {
			path := o.Path + name
			info, err := os.Stat(path)
			if errors.Is(err, fs.ErrNotExist) && name != "" && name != ".key" {
				continue
			}
			if err != nil || info.Mode() != 0o600 {
				t.Errorf("%s: mode %v, %v", path, info.Mode(), err)
			}
			for _, planted := range []string{queuetest.PlantedText, "note_id", "X-Soapnoteapi-Signature", "application/json"} {
				if bytes.Contains(readFile(t, path), []byte(planted)) {
					t.Errorf("%s contains %q in clear text", path, planted)
				}
			}
		}
	}
	look()
	mustClose(t, q)
	look()
	if info, err := os.Stat(dir); err != nil || info.Mode() != 0o700|os.ModeDir {
		t.Errorf("the directory has mode %v, %v", info.Mode(), err)
	}
}

func TestAutomaticKey(t *testing.T) {
	t.Parallel()
	o := optionsOf(t)
	q := mustOpen(t, o)
	if q.KeyFile() != q.path+disk.Key {
		t.Fatalf("KeyFile is %q", q.KeyFile())
	}
	put(t, q, "a", "ehr")
	mustClose(t, q)

	// A later configured key seals; the automatic key still opens.
	given, resealed := withKeys(o, keyOf(1))
	q = mustOpen(t, given)
	if q.KeyFile() != "" {
		t.Fatalf("KeyFile is %q although a key is given", q.KeyFile())
	}
	put(t, q, "b", "ehr")
	wantPayloads(t, q, "a", "b")
	wantResealed(t, resealed, Resealed{Events: 1, KeyFile: q.path + disk.Key})
	mustClose(t, q)

	// Now the automatic key is not enough, and if it is lost no new one is created.
	wantRefused(t, o, "2 events", o.Path)
	if err := os.Remove(o.Path + disk.Key); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, o, "2 events", o.Path, o.Path+disk.Key)
	wantPayloads(t, mustOpen(t, given), "a", "b")
}

// A damaged key file is an error even if keys are given, since events may need it.
func TestDamagedKeyFile(t *testing.T) {
	t.Parallel()
	o := optionsOf(t)
	q := mustOpen(t, o)
	put(t, q, "a", "ehr")
	mustClose(t, q)
	writeFile(t, o.Path+disk.Key, []byte("damaged"))
	wantRefused(t, o, o.Path+disk.Key)
	o.Keys = []seal.Key{keyOf(1)}
	wantRefused(t, o, o.Path+disk.Key)
}

func TestWrongKey(t *testing.T) {
	t.Parallel()
	o := optionsOf(t, keyOf(1))
	q := mustOpen(t, o)
	put(t, q, "a", "ehr")
	mustClose(t, q)
	if _, err := os.Stat(o.Path + disk.Key); err == nil {
		t.Fatal("a key was created although one is given")
	}
	wrong := o
	wrong.Keys = []seal.Key{keyOf(2)}
	wantRefused(t, wrong, o.Path, "1 events", "encryption_key")
	wrong.Keys = nil
	wantRefused(t, wrong, o.Path, "1 events", o.Path+disk.Key)

	q = mustOpen(t, o)
	q.Settle(outcomeOf(q, take(t, q, "ehr", 1)[0], queue.Delivered))
	mustClose(t, q)
	wrong.Keys = []seal.Key{keyOf(2)}
	put(t, mustOpen(t, wrong), "b", "ehr") // no payload needs the first key any more
}

func TestSetKeys(t *testing.T) {
	t.Parallel()
	q := mustOpen(t, optionsOf(t, keyOf(1)))
	put(t, q, "a", "ehr")
	for _, keys := range [][]seal.Key{nil, {keyOf(2)}} {
		for name, set := range map[string]func([]seal.Key) error{"CheckKeys": q.CheckKeys, "SetKeys": q.SetKeys} {
			if err := set(keys); err == nil || !strings.Contains(err.Error(), "1 events") {
				t.Errorf("%s without the key that is needed: %v", name, err)
			}
		}
	}
	put(t, q, "b", "ehr") // the older keys still seal
	both := []seal.Key{keyOf(2), keyOf(1)}
	if err := errors.Join(q.CheckKeys(both), q.SetKeys(both)); err != nil {
		t.Fatal(err)
	}
	put(t, q, "c", "ehr")
	ds := take(t, q, "ehr", 10)
	for _, d := range ds {
		if _, err := q.Load(d); err != nil {
			t.Errorf("Load(%s): %v", d.EventID, err)
		}
	}
	eventually(t, "all events are resealed", func() bool { return q.SetKeys([]seal.Key{keyOf(2)}) == nil })
	q.recent.Clear()
	for _, d := range ds {
		if _, err := q.Load(d); err != nil {
			t.Errorf("Load(%s) with the new key: %v", d.EventID, err)
		}
	}
	mustClose(t, q)
	if err := q.SetKeys(both); !errors.Is(err, queue.ErrClosed) {
		t.Errorf("SetKeys of a closed queue: %v", err)
	}
}

// An event that was sealed before its key was replaced is stored with the new key.
func TestStoreSealedWithAnOlderKey(t *testing.T) {
	t.Parallel()
	for name, keys := range map[string][]seal.Key{"removed": {keyOf(2)}, "an older one": {keyOf(2), keyOf(1)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := mustOpen(t, optionsOf(t, keyOf(1)))
			s, err := q.newStore(queue.Item{Event: queuetest.Event("a", time.Now()), Upstreams: []string{"ehr"}})
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(q.SetKeys(keys), q.writer.Store(t.Context(), s)); err != nil {
				t.Fatal(err)
			}
			if got := q.counts().Keys(); len(got) != 1 || got[keyOf(2).Fingerprint()] != 1 {
				t.Errorf("sealed by %v", got)
			}
			q.recent.Clear()
			wantPayloads(t, q, "a")
			mustClose(t, q)
			o := q.options
			o.Keys = []seal.Key{keyOf(2)}
			wantPayloads(t, mustOpen(t, o), "a")
		})
	}
}
