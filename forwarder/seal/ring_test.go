package seal

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func ringOf(t *testing.T, keys ...Key) *Ring {
	t.Helper()
	r, err := NewRing(keys)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func sealed(t *testing.T, r *Ring, id, plaintext string) []byte {
	t.Helper()
	buf := append(make([]byte, Header, Header+len(plaintext)+Overhead), plaintext...)
	out, err := r.Seal(id, buf)
	if err != nil {
		t.Fatal(err)
	}
	if &out[0] != &buf[0] || len(out) != Header+len(plaintext)+Overhead {
		t.Fatalf("sealed into %d bytes, in place: %v", len(out), &out[0] == &buf[0])
	}
	return out
}

func wantOpen(t *testing.T, r *Ring, id string, record []byte, want string) {
	t.Helper()
	before := bytes.Clone(record)
	if got, err := r.Open(id, record); err != nil || string(got) != want {
		t.Errorf("Open(%s): %q, %v; want %q", id, got, err, want)
	}
	if !bytes.Equal(before, record) {
		t.Error("Open changed the record")
	}
}

func wantError(t *testing.T, r *Ring, id string, record []byte, want error) {
	t.Helper()
	plain, err := r.Open(id, record)
	if !errors.Is(err, want) || plain != nil || !strings.Contains(err.Error(), "opening event "+id) {
		t.Errorf("Open(%s): %q, %v; want %v", id, plain, err, want)
	}
	if again, err := r.Reseal(id, record); !errors.Is(err, want) || again != nil {
		t.Errorf("Reseal(%s): %v; want %v", id, err, want)
	}
}

func TestRing(t *testing.T) {
	t.Parallel()
	older, newer := keyOf(1), keyOf(2)
	before, after := ringOf(t, older), ringOf(t, newer, older)
	if after.Sealer() != newer.Fingerprint() {
		t.Error("the first key does not seal")
	}
	if !after.Opens(older.Fingerprint()) || !after.Opens(newer.Fingerprint()) || after.Opens(keyOf(3).Fingerprint()) {
		t.Error("Opens is wrong about the keys")
	}
	for _, text := range []string{"", "a note"} {
		record := sealed(t, before, "a", text)
		if f, ok := KeyOf(record); !ok || f != older.Fingerprint() {
			t.Errorf("KeyOf: %x, %v", f, ok)
		}
		wantOpen(t, before, "a", record, text)
		wantOpen(t, after, "a", record, text)
		wantError(t, ringOf(t, newer), "a", record, ErrUnknownKey)
		wantError(t, after, "b", record, ErrChanged)
		if bytes.Equal(record, sealed(t, before, "a", text)) {
			t.Error("two records have the same nonce")
		}

		again, err := after.Reseal("a", record)
		if err != nil {
			t.Fatal(err)
		}
		wantOpen(t, ringOf(t, newer), "a", again, text)
		wantOpen(t, before, "a", record, text) // the old record is unchanged
	}
}

func TestRingWithoutKey(t *testing.T) {
	t.Parallel()
	if _, err := NewRing(nil); err == nil {
		t.Error("NewRing without a key returned no error")
	}
}

func TestSealWithoutRoomForTheHeader(t *testing.T) {
	t.Parallel()
	if _, err := ringOf(t, keyOf(1)).Seal("a", make([]byte, Header-1)); err == nil {
		t.Error("Seal without room for the header returned no error")
	}
}

func TestSealWithoutCapacity(t *testing.T) {
	t.Parallel()
	r := ringOf(t, keyOf(1))
	record, err := r.Seal("a", append(make([]byte, Header), "a note"...)[:Header+6:Header+6])
	if err != nil {
		t.Fatal(err)
	}
	wantOpen(t, r, "a", record, "a note")
}

func TestChangedRecord(t *testing.T) {
	t.Parallel()
	r := ringOf(t, keyOf(1))
	record := sealed(t, r, "a", "a note")
	for i := range record {
		changed := bytes.Clone(record)
		changed[i] ^= 1
		want := ErrChanged
		if i < len(Fingerprint{}) {
			want = ErrUnknownKey
		}
		wantError(t, r, "a", changed, want)
	}
	for i := range record {
		want := ErrChanged
		if i < Header+Overhead {
			want = ErrCutShort
			if _, ok := KeyOf(record[:i]); ok {
				t.Errorf("KeyOf has a key for %d bytes", i)
			}
		}
		wantError(t, r, "a", record[:i], want)
	}
}
