package seal

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestKeyFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "queue.db.key")
	if _, err := ReadFile(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("reading a missing file: %v", err)
	}
	made, err := CreateFile(path)
	if err != nil || made == (Key{}) {
		t.Fatalf("CreateFile: %v", err)
	}
	if read, err := ReadFile(path); err != nil || read != made {
		t.Fatalf("ReadFile: the same key: %v, %v", read == made, err)
	}
	info, err := os.Stat(path)
	if err != nil || runtime.GOOS != "windows" && info.Mode() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("files next to the key file: %v, %v", entries, err)
	}

	// An editor or a shell may add white space.
	if err := os.WriteFile(path, []byte("\n "+made.Encode()+"\r\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if read, err := ReadFile(path); err != nil || read != made {
		t.Errorf("with white space around it: the same key: %v, %v", read == made, err)
	}
}

func TestCreateFileReplacesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	made, err := CreateFile(file)
	if err != nil {
		t.Fatal(err)
	}
	// A link to a volume that is not mounted.
	if err := os.Symlink(filepath.Join(dir, "missing"), link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, link} {
		if _, err := CreateFile(path); !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), path) {
			t.Errorf("CreateFile(%s): %v; want fs.ErrExist", path, err)
		}
	}
	if read, err := ReadFile(file); err != nil || read != made {
		t.Errorf("the first key is unchanged: %v, %v", read == made, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("files left: %v, %v", entries, err)
	}
}

func TestCreateFileWithoutDirectory(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "missing", "queue.db.key")
	if _, err := CreateFile(path); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("CreateFile: %v", err)
	}
}

func TestUnusableKeyFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	damaged := filepath.Join(dir, "damaged")
	if err := os.WriteFile(damaged, []byte("SECRET"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{damaged, dir, os.DevNull} {
		k, err := ReadFile(path)
		if err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "SECRET") || k != (Key{}) {
			t.Errorf("ReadFile(%s): %v", path, err)
		}
	}
}
