package command

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/command/internal/terminal"
	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
)

// answerBytes answers with a copy, as the admin API does.
func answerBytes(content string, keys ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", admin.BytesType)
		w.Header()[admin.KeyHeader] = keys
		_, _ = w.Write([]byte(content))
	}
}

// namesIn returns the names of the files in a folder.
func namesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestBackupCommand(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		keys []string
		note string
		json string
	}{
		"a key's file": {[]string{"%2Fvar%2Flib%2Fqueue.db.key"}, "keep /var/lib/queue.db.key, but", `,"keys":["/var/lib/queue.db.key"]`},
		"configured":   {[]string{"encryption_key"}, "keep every key of `encryption_key` in the configuration, but", `,"keys":["encryption_key"]`},
		"both":         {[]string{"encryption_key", "%2Fq.db.key"}, "in the configuration and /q.db.key, but", `,"keys":["encryption_key","/q.db.key"]`},
		"not known":    {nil, "keep the queue's key too", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, "copy.db")
			content := strings.Repeat("copy", 1024)
			address := commandtest.FakeServer(t, answerBytes(content, tt.keys...))
			out := commandtest.Run(t, "", "backup", path, "--address", address).Done(t).Out
			if !strings.HasPrefix(out, path+": 4.0 KiB\nthe key is not in the copy") || !strings.Contains(out, tt.note) || strings.Count(out, "\n") != 2 {
				t.Errorf("printed %q", out)
			}
			info, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(path); err != nil || string(got) != content || info.Mode() != 0o600 {
				t.Errorf("the file has %d bytes and the mode %s, %v", len(got), info.Mode(), err)
			}
			if names := namesIn(t, dir); len(names) != 1 {
				t.Errorf("left are %v", names)
			}
			other := filepath.Join(dir, "other.db")
			out = commandtest.Run(t, "", "backup", other, "--json", "--address", address).Done(t).Out
			if got := strings.Join(strings.Fields(out), ""); got != `{"file":"`+other+`","bytes":4096`+tt.json+`}` {
				t.Errorf("printed %s", got)
			}
		})
	}
}

// A backup replaces no file, and requests no copy that it could not keep.
func TestBackupReplacesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, make := range map[string]func(path string) error{
		"a file":            func(path string) error { return os.WriteFile(path, []byte("mine"), 0o600) },
		"a folder":          func(path string) error { return os.Mkdir(path, 0o700) },
		"a link":            func(path string) error { return os.Symlink("a file", path) },
		"a dangling link":   func(path string) error { return os.Symlink(filepath.Join(dir, "nothing"), path) },
		"a link to nowhere": func(path string) error { return os.Symlink("/nowhere/at/all", path) },
	} {
		path := filepath.Join(dir, name)
		if err := make(path); err != nil {
			t.Fatal(err)
		}
	}
	names := namesIn(t, dir)
	var asked atomic.Int32
	address := commandtest.FakeServer(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		answerBytes("copy")(w, r)
	})
	for _, name := range names {
		commandtest.Run(t, "", "backup", filepath.Join(dir, name), "--address", address).Failed(t, "is there already")
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "new") + "/":              "name a file in it",
		filepath.Join(dir, "none", "copy.db"):        "no such file or directory",
		filepath.Join(dir, "a file", "copy.db"):      "not a directory",
		filepath.Join(dir, strings.Repeat("n", 300)): "name too long",
	} {
		commandtest.Run(t, "", "backup", path, "--address", address).Failed(t, want)
	}
	commandtest.Run(t, "", "backup", "--address", address).Failed(t, "name the file to write")
	if n := asked.Load(); n != 0 {
		t.Errorf("the server was asked %d times", n)
	}
	if content, _ := os.ReadFile(filepath.Join(dir, "a file")); string(content) != "mine" || !slices.Equal(namesIn(t, dir), names) {
		t.Errorf("left are %v", namesIn(t, dir))
	}
}

// A file that appears while the copy is written is not replaced either.
func TestBackupReplacesNothingLater(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func(path string) error{
		"file":          func(path string) error { return os.WriteFile(path, []byte("mine"), 0o600) },
		"dangling link": func(path string) error { return os.Symlink("nothing", path) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, "copy.db")
			address := commandtest.FakeServer(t, func(w http.ResponseWriter, r *http.Request) {
				if err := make(path); err != nil {
					t.Error(err)
				}
				answerBytes("copy")(w, r)
			})
			r := commandtest.Run(t, "", "backup", path, "--address", address)
			if r.Failed(t, "is there already"); r.Out != "" {
				t.Errorf("printed %q", r.Out)
			}
			if content, _ := os.ReadFile(path); string(content) == "copy" || len(namesIn(t, dir)) != 1 {
				t.Errorf("left are %v, with %q", namesIn(t, dir), content)
			}
		})
	}
}

// An incomplete copy leaves no file.
func TestBackupFails(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"refused": {func(w http.ResponseWriter, _ *http.Request) {
			commandtest.AnswerJSON(w, 409, []byte(`{"error":"it is already running"}`))
		}, "it is already running: no file is left"},
		"JSON": {func(w http.ResponseWriter, _ *http.Request) { commandtest.AnswerJSON(w, 200, []byte(`{}`)) }, "is not the admin API"},
		"cut off": {func(w http.ResponseWriter, r *http.Request) {
			answerBytes(strings.Repeat("copy", 5000))(w, r)
			panic(http.ErrAbortHandler)
		}, "stopped before the work was done"},
		"cut short": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "5000")
			answerBytes("copy")(w, r)
		}, "stopped before the work was done"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			r := commandtest.Run(t, "", "backup", filepath.Join(dir, "copy.db"), "--address", commandtest.FakeServer(t, tt.answer))
			if r.Failed(t, tt.want); r.Out != "" || len(namesIn(t, dir)) != 0 {
				t.Errorf("printed %q, left %v", r.Out, namesIn(t, dir))
			}
		})
	}
	file, err := newHiddenFile(filepath.Join(t.TempDir(), "copy.db"))
	if err != nil {
		t.Fatal(err)
	}
	file.meter = new(terminal.Meter)
	file.remove()
	if n, err := file.Write([]byte("copy")); n != 0 || err == nil || !strings.Contains(err.Error(), "writing the copy") {
		t.Errorf("a write that fails: %d, %v", n, err)
	}
}
