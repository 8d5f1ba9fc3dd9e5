package command

import (
	"encoding/base64"
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/salvage"
)

func TestExportMistakes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "queue.db")
	key := base64.StdEncoding.EncodeToString(make([]byte, 32))
	for _, tt := range []struct{ args, want string }{
		{"--state lost", `state "lost" is unknown`},
		{"--state lost --path " + path, `state "lost" is unknown`},
		{"--path " + path, path + ": no such file"},
		{"--path " + path, "copy it with pg_dump"},
		{"--path postgres://clinic:hush@db.example/scribegate", "--path names a file of queue sqlite, and not a database; a queue in PostgreSQL has no file: copy it with pg_dump"},
		{"--path host=db.example", "copy it with pg_dump"},
		{"--path " + dir, dir + ": it is not a regular file"},
		{"--path=", "--path is empty"},
		{"--path " + path + " --address localhost:1", "use one or the other"},
		{"--encryption-key " + key, "--encryption-key needs --path"},
		{"--path " + path + " --encryption-key " + key, "--encryption-key needs --payloads"},
		{"--path " + path + " --payloads --encryption-key short", "--encryption-key: reading an encryption key"},
		{"--path " + path + " --payloads --encryption-key {env.SCRIBEGATE_TEST_UNSET}", "is unset or empty"},
		{"--path " + path + " --payloads --encryption-key {http.request.host}", "--encryption-key:"},
		{"--address " + commandtest.ClosedPort(t), "asking the admin API at"},
		{"--payloads --address " + commandtest.ClosedPort(t), "asking the admin API at"},
	} {
		r := commandtest.Run(t, "", append([]string{"export"}, strings.Fields(tt.args)...)...)
		r.Failed(t, tt.want)
		if strings.Contains(r.ErrOut, "hush") {
			t.Errorf("%s: the error has the password: %s", tt.args, r.ErrOut)
		}
	}
}

// The summary of an export names the missing parts, and a remedy.
func TestExportSummary(t *testing.T) {
	t.Parallel()
	for want, tally := range map[string]salvage.Tally{
		"exported 1 event; 2 payloads cannot be opened: damaged, or sealed with a key that was not given with --encryption-key": {Events: 1, Locked: 2},
		"exported 1,997 events, 2 of them in part: `damaged` in a line names the missing parts":                                 {Events: 1997, Partly: 2},
		"exported 0 events; 1 part of q.db cannot be read, and more events may be missing: a backup may have them":              {Gaps: 1},
		"exported 3 events; q.db-wal is damaged, and the newest changes may be missing":                                         {Events: 3, WALDamaged: true},
	} {
		if got := summary(tally, "q.db"); got != want {
			t.Errorf("%+v: %s, want %s", tally, got, want)
		}
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, syscall.EPIPE }

// An event that could not be printed is not counted.
func TestExportCountsWhatIsPrinted(t *testing.T) {
	t.Parallel()
	x := exporter{out: failingWriter{}}
	if err := x.print(newExportedEvent(salvage.Found{})); !errors.Is(err, syscall.EPIPE) || x.events != 0 {
		t.Errorf("%d events, error %v", x.events, err)
	}
}
