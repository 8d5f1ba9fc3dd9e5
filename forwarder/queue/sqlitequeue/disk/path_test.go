package disk

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// realTempDir returns t.TempDir with the system's symbolic links resolved.
func realTempDir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func mustNot(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func writeFile(t *testing.T, name, content string) {
	t.Helper()
	mustNot(t, os.WriteFile(name, []byte(content), 0o600))
}

func TestResolvePath(t *testing.T) {
	t.Parallel()
	dir := realTempDir(t)
	mustNot(t, os.MkdirAll(filepath.Join(dir, "volume", "deep"), 0o700))
	mustNot(t, os.Mkdir(filepath.Join(dir, "data"), 0o700))
	writeFile(t, filepath.Join(dir, "volume", "queue.db"), "")
	for name, target := range map[string]string{
		"data/file":     filepath.Join(dir, "volume", "queue.db"),
		"data/relative": "../volume/queue.db",
		"data/chain":    "relative",
		"data/dangling": "../volume/new.db",
		"data/nowhere":  "../missing/dir/new.db",
		"data/twice":    "dangling",
		"data/volume":   "../volume",
		"data/deep":     "../volume/deep",
		"data/loop":     "pool",
		"data/pool":     "loop",
		"data/self":     "self/x",
		"data/slash":    "../volume//./deep/",
	} {
		mustNot(t, os.Symlink(target, filepath.Join(dir, name)))
	}
	for _, c := range []struct{ path, want string }{
		{"volume/queue.db", "volume/queue.db"},
		{"volume/absent.db", "volume/absent.db"},
		{"absent/absent/queue.db", "absent/absent/queue.db"},
		{"data/file", "volume/queue.db"},
		{"data/relative", "volume/queue.db"},
		{"data/chain", "volume/queue.db"},
		{"data/dangling", "volume/new.db"},
		{"data/nowhere", "missing/dir/new.db"},
		{"data/twice", "volume/new.db"},
		{"data/volume/queue.db", "volume/queue.db"},
		{"data/volume/new/queue.db", "volume/new/queue.db"},
		{"data/deep/../queue.db", "volume/queue.db"}, // not data/queue.db: ".." is relative to the link's target
		{"data/slash/queue.db", "volume/deep/queue.db"},
		{"absent/../data//./file", "volume/queue.db"},
	} {
		got, err := ResolvePath(dir + "/" + c.path)
		if want := filepath.Join(dir, c.want); err != nil || got != want {
			t.Errorf("ResolvePath(%s) = %s, %v; want %s", c.path, got, err, want)
		}
	}
	for path, says := range map[string]string{
		"data/loop":         "loop",
		"data/loop/x":       "loop",
		"data/self":         "loop",
		"volume/queue.db/x": "not a directory",
	} {
		if got, err := ResolvePath(filepath.Join(dir, path)); err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), path) {
			t.Errorf("ResolvePath(%s) = %s, %v; want an error with the path and %q", path, got, err, says)
		}
	}
	if got, err := ResolvePath(""); err == nil {
		t.Errorf("the empty path was resolved to %s", got)
	}
}

func TestResolveRelativePath(t *testing.T) {
	dir := realTempDir(t)
	t.Chdir(dir)
	mustNot(t, os.Symlink("volume/queue.db", "link"))
	for path, want := range map[string]string{"queue.db": "queue.db", "./a/../queue.db": "queue.db", "link": "volume/queue.db"} {
		if got, err := ResolvePath(path); err != nil || got != filepath.Join(dir, want) {
			t.Errorf("ResolvePath(%s) = %s, %v", path, got, err)
		}
	}
	if got, err := ResolvePath("../../../../../../../../../../../../queue.db"); err != nil || got != "/queue.db" {
		t.Errorf("above the root: %s, %v", got, err)
	}
}

func TestMakeDir(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b", "c")
	for range 2 {
		mustNot(t, MakeDir(dir))
	}
	for d := dir; filepath.Base(d) != "001"; d = filepath.Dir(d) {
		if info, err := os.Stat(d); err != nil || info.Mode() != fs.ModeDir|0o700 {
			t.Errorf("%s: %v, %v", d, info.Mode(), err)
		}
	}
	writeFile(t, filepath.Join(dir, "file"), "")
	if err := MakeDir(filepath.Join(dir, "file", "x")); err == nil {
		t.Error("MakeDir created a directory below a file")
	}
	if err := SyncDir(filepath.Join(dir, "absent")); err == nil {
		t.Error("SyncDir of a missing directory succeeded")
	}
}
