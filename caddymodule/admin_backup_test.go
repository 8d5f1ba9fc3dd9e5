package caddymodule

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/scribegate/scribegate/caddymodule/internal/audit"
	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/forwarder/queue"
)

// Backup implements queue.Backuper.
func (compactly) Backup(ctx context.Context, w io.Writer, _ queue.Progress) error {
	return (*madeUpBackup.Load())(ctx, w)
}

// madeUpBackup is the backup of queues that are opened from now on.
var madeUpBackup atomic.Pointer[backup]

// A backup is one that a test makes up.
type backup func(context.Context, io.Writer) error

// newBackupSite runs with a backup that the test makes up.
func newBackupSite(t *testing.T, b backup) *adminSite {
	t.Helper()
	madeUpBackup.Store(&b)
	t.Cleanup(func() { madeUpBackup.Store(nil) })
	return newCompactSite(t, func(context.Context, queue.Progress) (queue.Compacted, error) { return queue.Compacted{}, nil })
}

// The real engine answers with a copy that is a database, and says which key it needs.
func TestAdminBackup(t *testing.T) {
	captured.reset()
	a := newAdminSite(t)
	a.settledNote("note-1")
	for _, body := range []string{"", "{}"} {
		r := a.ask("POST", "/scribegate/backup", body)
		if r.status != http.StatusOK || r.header.Get("Content-Type") != "application/octet-stream" || !strings.HasPrefix(r.body, "SQLite format 3\x00") {
			t.Fatalf("%d %v %.20q", r.status, r.header, r.body)
		}
		if key, err := url.PathUnescape(r.header.Get("Scribegate-Key")); err != nil || key != filepath.Join(a.dir, "queue.db.key") {
			t.Errorf("the key is %q, %v", key, err)
		}
		if strings.Contains(r.body, "PATIENT-TEXT") {
			t.Error("the copy has a payload that is not sealed")
		}
	}
	if lines := captured.with(t, "queue backed up"); len(lines) != 2 {
		t.Errorf("%d lines in the log, want one for each", len(lines))
	}
	lines := captured.with(t, string(audit.BackedUp))
	if len(lines) != 2 || lines[0]["bytes"].(float64) < 4096 || lines[0]["by"] == "" || lines[0]["unfinished"] != nil {
		t.Errorf("in the audit trail: %v", lines)
	}
	for _, body := range []string{"anything", `{"to":"/tmp/x"}`} {
		if r := a.ask("POST", "/scribegate/backup", body); r.status != http.StatusBadRequest || !strings.Contains(r.body, "leave it out") {
			t.Errorf("%q: %d %s", body, r.status, r.body)
		}
	}

	t.Setenv("SCRIBEGATE_TEST_KEY", testKey)
	a.run(strings.Replace(upstreams("ehr", a.ehr.URL, "lab", a.lab.URL), "QUEUE",
		"queue sqlite {\n\t\t\tpath "+a.dir+"/sealed.db\n\t\t\tencryption_key {env.SCRIBEGATE_TEST_KEY}\n\t\t}", 1), soapnoteTo("ehr lab"))
	if r := a.ask("POST", "/scribegate/backup", ""); strings.Join(r.header.Values("Scribegate-Key"), " ") != "encryption_key" {
		t.Errorf("the keys are %q", r.header.Values("Scribegate-Key"))
	}
}

func TestAdminBackupErrors(t *testing.T) {
	captured.reset()
	var fails error
	a := newBackupSite(t, func(context.Context, io.Writer) error { return fails })
	a.mustFail(t, "/scribegate/backup", &fails)
	if lines := captured.with(t, string(audit.BackedUp)); len(lines) != 0 {
		t.Errorf("in the audit trail, although no byte was sent: %v", lines)
	}
	conn, err := net.Dial("tcp", a.admin)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "POST /scribegate/backup HTTP/1.0\r\nHost: "+a.admin+"\r\nContent-Length: 0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(conn); err != nil || !strings.Contains(string(answer), " 505 ") || !strings.Contains(string(answer), "use HTTP/1.1") {
		t.Errorf("HTTP/1.0: %q, %v", answer, err)
	}
}

func TestAdminBackupOfAnotherEngine(t *testing.T) {
	a := newCompactSite(t, nil)
	r := a.ask("POST", "/scribegate/backup", "")
	if r.status != http.StatusNotImplemented || strings.TrimSpace(r.body) != `{"error":"the engine compactly has no backup"}` {
		t.Errorf("%d %s", r.status, r.body)
	}
	path := filepath.Join(t.TempDir(), "copy.db")
	a.command("backup", path).Failed(t, "has no backup")
	if _, err := os.Lstat(path); err == nil {
		t.Error("a file is left")
	}
}

// A backup that fails on the way cuts the connection: a client cannot take a part of
// the copy for all of it.
func TestAdminBackupFailsOnTheWay(t *testing.T) {
	captured.reset()
	a := newBackupSite(t, func(_ context.Context, w io.Writer) error {
		if _, err := w.Write(make([]byte, 100_000)); err != nil {
			return err
		}
		return errors.New("the disk fails")
	})
	resp := a.work("/scribegate/backup", "")
	if _, err := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%d, and the answer ends with %v", resp.StatusCode, err)
	}
	eventually(t, "the error in the log", func() bool {
		lines := captured.with(t, "a backup failed")
		return len(lines) == 1 && lines[0]["error"] == "the disk fails"
	})
	lines := captured.with(t, string(audit.BackedUp))
	if len(lines) != 1 || lines[0]["unfinished"] != true || lines[0]["bytes"] != 100_000.0 {
		t.Errorf("in the audit trail: %v", lines)
	}
	a.object("GET", "/scribegate/status", "")
}

// A client that closes the connection ends the backup.
func TestAdminBackupIsCancelled(t *testing.T) {
	captured.reset()
	ended := make(chan error, 1)
	a := newBackupSite(t, func(ctx context.Context, w io.Writer) error {
		for ctx.Err() == nil {
			if _, err := w.Write(make([]byte, 100_000)); err != nil {
				ended <- nil
				return err
			}
		}
		ended <- ctx.Err()
		return ctx.Err()
	})
	conn, err := net.Dial("tcp", a.admin)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "POST /scribegate/backup HTTP/1.1\r\nHost: "+a.admin+"\r\nContent-Length: 0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
		t.Error(err)
	}
	_ = conn.Close()
	select {
	case err := <-ended:
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("the backup ended with %v", err)
		}
	case <-time.After(commandtest.WaitTimeout):
		t.Error("the backup goes on")
	}
	eventually(t, "a line in the log", func() bool { return len(captured.with(t, "a backup was cancelled")) == 1 })
}

// A copy and its key are a complete queue in another data directory: everything that
// waits in it arrives once. Afterwards nothing of it is missing in an export either.
func TestBackupIsRestoredElsewhere(t *testing.T) {
	a := newAdminSite(t)
	a.run(upstreams("ehr", "http://"+commandtest.ClosedPort(t)), soapnoteTo("ehr"))
	want := make(map[string]bool)
	for subject := range strings.FieldsSeq("a b c d e f g h i j") {
		want[accepted(t, a.site, "note-"+subject)] = true
	}
	elsewhere := t.TempDir()
	path := filepath.Join(elsewhere, "queue.db")
	a.command("backup", path).Done(t)
	accepted(t, a.site, "after the backup")
	key, err := os.ReadFile(filepath.Join(a.dir, "queue.db.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".key", key, 0o600); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	exported := commandtest.Run(t, "", "export", "--payloads", "--path", path).Done(t)
	if got := exported.Lines(t); len(got) != len(want) || strings.Count(exported.Out, "PATIENT-TEXT") != len(want) {
		t.Errorf("exported %s", exported.Out)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the export changed the copy, or %v", err)
	}

	a.run(strings.Replace(upstreams("ehr", a.ehr.URL), "QUEUE", "queue sqlite {\n\t\t\tpath "+path+"\n\t\t}", 1), soapnoteTo("ehr"))
	a.settle()
	got := a.ehr.deliveries()
	for _, d := range got {
		if id := d.header.Get("Webhook-Id"); !want[id] {
			t.Errorf("%s arrived, and should not, or twice", id)
		} else {
			delete(want, id)
		}
	}
	if len(want) > 0 {
		t.Errorf("%v did not arrive", want)
	}
}
