package files

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// Every tampering can be undone.
func TestTamperings(t *testing.T) {
	t.Parallel()
	for _, how := range tamperings {
		if how.undo == nil {
			continue
		}
		t.Run(how.name, func(t *testing.T) {
			t.Parallel()
			r, db := newStore(t, 20)
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			s, err := r.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			tampered := &tampered{Rig: r, other: []byte("SQLite format 3"), saved: s}
			if err := how.do(t.Context(), tampered); err != nil {
				t.Fatal(err)
			}
			if now, err := r.Snapshot(); err == nil && string(now.Main) == string(s.Main) {
				t.Error("the file has not changed")
			}
			if err := how.undo(tampered); err != nil {
				t.Fatal(err)
			}
			now, err := r.Snapshot()
			if err != nil || string(now.Main) != string(s.Main) {
				t.Errorf("the file is not restored: %v", err)
			}
			if _, err := os.Stat(filepath.Join(r.Dir, "away")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("a file is left: %v", err)
			}
		})
	}
}
