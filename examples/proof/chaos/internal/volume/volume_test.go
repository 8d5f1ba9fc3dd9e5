package volume

import (
	"os"
	"strings"
	"testing"
)

// A volume has its size, is full after Fill, and has space again after Clear.
func TestVolume(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	v, err := New(t.Context(), t.TempDir(), size)
	if err != nil {
		if os.Geteuid() != 0 && strings.Contains(err.Error(), "unshare -rm") {
			return // without the right to mount, only the error can be tested
		}
		t.Fatal(err)
	}
	defer func() {
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	}()
	if n, err := v.Fill(); err != nil || n != size {
		t.Errorf("filled %d bytes of %d: %v", n, size, err)
	}
	if err := os.WriteFile(v.QueueFile(), []byte("x"), 0o600); err == nil {
		t.Error("a file was written to a full file system")
	}
	if err := v.Clear(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(v.QueueFile(), []byte("x"), 0o600); err != nil {
		t.Errorf("writing to a file system with space: %v", err)
	}
	if n, err := v.Fill(); err != nil || n != size-4096 {
		t.Errorf("filled %d bytes of the %d that were left: %v", n, size-4096, err)
	}
	if err := v.Enlarge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := v.Fill(); err != nil || n != size-4096+enlargement {
		t.Errorf("filled %d bytes of a volume that has %d more: %v", n, enlargement, err)
	}
	if err := v.Clear(); err != nil {
		t.Fatal(err)
	}
	if err := v.ReadOnly(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(v.QueueFile(), []byte("y"), 0o600); err == nil || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("writing to a read-only file system: %v", err)
	}
}
