package files

import (
	"errors"
	"os"
	"testing"
)

func TestFlipInWAL(t *testing.T) {
	t.Parallel()
	r, _ := newStore(t, 20)
	for n := range 16 {
		before, err := os.ReadFile(r.WALFile())
		if err != nil {
			t.Fatal(err)
		}
		where, err := flipInWAL(r, n)
		if err != nil || where == "" {
			t.Fatalf("flipInWAL() = %q, %v", where, err)
		}
		after, err := os.ReadFile(r.WALFile())
		if err != nil {
			t.Fatal(err)
		}
		if n := differences(before, after); n != 1 {
			t.Errorf("%s: %d bytes have changed", where, n)
		}
		if err := os.WriteFile(r.WALFile(), before, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Truncate(r.WALFile(), walHeader); err != nil {
		t.Fatal(err)
	}
	if _, err := flipInWAL(r, 0); !errors.Is(err, errFewCommits) {
		t.Errorf("flipInWAL() = %v for a WAL without frames, want %v", err, errFewCommits)
	}
}

func differences(a, b []byte) (n int) {
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return n + len(b) - len(a)
}

func TestWALFrames(t *testing.T) {
	t.Parallel()
	r, _ := newStore(t, 5)
	wal, err := os.ReadFile(r.WALFile())
	if err != nil {
		t.Fatal(err)
	}
	n, size := walFrames(wal)
	if all := (len(wal) - walHeader) / (frameHeader + size); n != all || n < 5 || size != 4096 {
		t.Errorf("walFrames() = %d of %d bytes, want all %d", n, size, all)
	}
	wal[walHeader+3*(frameHeader+size)+frameSalts]++ // the following frames are from an earlier generation
	if n, _ := walFrames(wal); n != 3 {
		t.Errorf("walFrames() = %d, want 3", n)
	}
	if n, _ := walFrames(nil); n != 0 {
		t.Errorf("walFrames() = %d for no WAL", n)
	}
}
