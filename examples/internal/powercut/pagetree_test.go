package powercut

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
)

// database makes a database with branches, long values, and buckets with a page
// and without. It returns the file.
func database(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "db")
	db, err := bbolt.Open(file, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range []string{"small", "large"} {
			b, err := tx.CreateBucket([]byte(name))
			if err != nil {
				return err
			}
			if err := b.Put([]byte("key"), []byte("value")); err != nil {
				return err
			}
			for n := 0; name == "large" && n < 400; n++ {
				if err := b.Put([]byte(strconv.Itoa(n)), make([]byte, 50*n)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return file
}

// branch is where a branch's first element names its page.
func branch(t *testing.T, b []byte) (page, at int) {
	t.Helper()
	size := int(binary.NativeEndian.Uint32(b[metaSize:]))
	for page := 2; (page+1)*size <= len(b); page++ {
		if p := b[page*size:]; binary.NativeEndian.Uint64(p) == uint64(page) && binary.NativeEndian.Uint16(p[8:]) == branchPage {
			return page, page*size + pageHeader + 8
		}
	}
	t.Fatal("the database has no branch")
	return 0, 0
}

func TestWalkPages(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		damage func(t *testing.T, b []byte) []byte
		says   string // "" is nothing, "-" that there is no database
	}{
		"nothing": {func(_ *testing.T, b []byte) []byte { return b }, ""},
		"a page that points to one above it": {func(t *testing.T, b []byte) []byte {
			page, at := branch(t, b)
			binary.NativeEndian.PutUint64(b[at:], uint64(page))
			return b
		}, "is used twice"},
		"a page that is not there": {func(t *testing.T, b []byte) []byte {
			_, at := branch(t, b)
			binary.NativeEndian.PutUint64(b[at:], 1<<40)
			return b
		}, "and the database has"},
		"a page that was not written": {func(t *testing.T, b []byte) []byte {
			page, _ := branch(t, b)
			clear(b[page*pageSize : (page+1)*pageSize])
			return b
		}, "says it is page 0"},
		"a page of another kind": {func(t *testing.T, b []byte) []byte {
			page, _ := branch(t, b)
			binary.NativeEndian.PutUint16(b[page*pageSize+8:], 0x10)
			return b
		}, "of kind 0x10"},
		"more elements than fit": {func(t *testing.T, b []byte) []byte {
			page, _ := branch(t, b)
			binary.NativeEndian.PutUint16(b[page*pageSize+10:], 60_000)
			return b
		}, "more elements"},
		"a key that is elsewhere": {func(t *testing.T, b []byte) []byte {
			_, at := branch(t, b)
			binary.NativeEndian.PutUint32(b[at-8:], 1<<30)
			return b
		}, "not within it"},
		"one meta page torn": {func(_ *testing.T, b []byte) []byte { clear(b[:sectorSize]); return b }, "-or"},
		"both meta pages torn": {func(_ *testing.T, b []byte) []byte {
			clear(b[:2*pageSize])
			return b
		}, "-"},
		"cut short": {func(_ *testing.T, b []byte) []byte { return b[:len(b)/4] }, "and its file"},
		"empty":     {func(_ *testing.T, b []byte) []byte { return b[:0] }, "-"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := database(t)
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if size := binary.NativeEndian.Uint32(b[metaSize:]); size != pageSize {
				t.Fatalf("pages have %d bytes here, and this test knows those of %d", size, pageSize)
			}
			if err := os.WriteFile(file, tt.damage(t, b), 0o600); err != nil {
				t.Fatal(err)
			}
			err = sound(file)
			switch tt.says {
			case "":
				if err != nil {
					t.Errorf("sound() = %v", err)
				}
			case "-":
				if !errors.Is(err, errNoDatabase) {
					t.Errorf("sound() = %v, want that there is no database", err)
				}
			case "-or": // what the other one says may be older, and is whole
				if errors.Is(err, errNoDatabase) {
					t.Errorf("sound() = %v, though one is whole", err)
				}
			default:
				if err == nil || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("sound() = %v, want an error that says %q", err, tt.says)
				}
			}
		})
	}
}
