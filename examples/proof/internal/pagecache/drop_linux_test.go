//go:build linux && (amd64 || arm64)

package pagecache

import (
	"os"
	"path/filepath"
	"testing"
)

func TestResidency(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if share, err := residency(f); err != nil || share != 1 {
		t.Errorf("residency() = %v, %v of a file that was just written, want all of it", share, err)
	}
}

func TestDropLeavesTheContents(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("contents"), 0o600); err != nil {
		t.Fatal(err)
	}
	// The share depends on the file system: it is 1 for one in memory.
	if share, err := Drop(path); err != nil || share < 0 || share > 1 {
		t.Errorf("Drop() = %v, %v", share, err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "contents" {
		t.Errorf("the file holds %q, %v", got, err)
	}
}

func TestDropOfNothing(t *testing.T) {
	t.Parallel()
	if _, err := Drop(filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Error("Drop() of a missing file = nil")
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if share, err := Drop(empty); err != nil || share != 0 {
		t.Errorf("Drop() of an empty file = %v, %v, want 0", share, err)
	}
}
