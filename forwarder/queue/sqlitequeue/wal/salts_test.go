package wal

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
)

// CheckSalts finds a frame of another generation, a hole, the end of the file and a
// wrong header, if they are within the checked frames.
func TestCheckSalts(t *testing.T) {
	t.Parallel()
	const size, frames = 512, 10
	log := make([]byte, headerSize)
	binary.BigEndian.PutUint32(log, magicNumber|1)
	copy(log[16:], "thesalts")
	for range frames {
		f := make([]byte, frameHeader+size)
		copy(f[8:], "thesalts")
		log = append(log, f...)
	}
	at := func(frame int) int { return int(frameOffset(size, frame)) }
	for name, c := range map[string]struct {
		change func(b []byte) []byte
		from   int64
		every  int64
		bad    int64
		failed bool
	}{
		"unchanged":             {func(b []byte) []byte { return b }, 0, 1, -1, false},
		"another generation":    {func(b []byte) []byte { b[at(4)+8] ^= 1; return b }, 0, 1, 4, false},
		"not among the checked": {func(b []byte) []byte { b[at(4)+8] ^= 1; return b }, 0, 3, -1, false},
		"after the range":       {func(b []byte) []byte { b[at(4)+8] ^= 1; return b }, 5, 1, -1, false},
		"a hole":                {func(b []byte) []byte { clear(b[at(2):at(8)]); return b }, 0, 3, 3, false},
		"truncated":             {func(b []byte) []byte { return b[:at(7)] }, 0, 1, 7, true},
		"empty":                 {func([]byte) []byte { return nil }, 0, 1, 0, true},
		"another header":        {func(b []byte) []byte { b[0] = 0; return b }, 0, 1, 0, false},
		"another salt":          {func(b []byte) []byte { b[16] = 0; return b }, 0, 1, 0, false},
	} {
		path := filepath.Join(t.TempDir(), "wal")
		if err := os.WriteFile(path, c.change(append([]byte(nil), log...)), 0o600); err != nil {
			t.Fatal(err)
		}
		if bad, err := CheckSalts(path, size, c.from, frames, c.every); bad != c.bad || (err != nil) != c.failed {
			t.Errorf("%s: %d, %v", name, bad, err)
		}
	}
	if bad, err := CheckSalts(filepath.Join(t.TempDir(), "missing"), size, 0, frames, 1); bad != -1 || err == nil {
		t.Errorf("missing: %d, %v", bad, err)
	}
}
