package caddymodule

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue"
)

const (
	reportsDamage = "damage in the queue's file"
	warnsCopy     = "the queue's file is a copy of another queue"
)

// A flipped byte in a payload damages that payload only, and the log, the metric and the status
// report it.
func TestDamageIsReported(t *testing.T) {
	a := &adminSite{site: newSite(t), admin: "127.0.0.1:" + freePort(t), ehr: newBackend(t)}
	path := filepath.Join(a.dir, "queue.db")
	a.run(upstreams("ehr", "http://"+commandtest.ClosedPort(t)), soapnoteTo("ehr"))
	small := accepted(t, a.site, "small")
	large := do(t, a.soapnote("/soapnote", strings.Replace(note("large"), "PATIENT-TEXT", strings.Repeat("x", 400_000), 1))).id(t)
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	flipByte(t, path)

	captured.reset()
	a.run(upstreams("ehr", a.ehr.URL), soapnoteTo("ehr"))
	eventually(t, "the other event to be delivered", func() bool { return a.ehr.gotEvent(small) })
	eventually(t, "the damage to be counted", func() bool {
		return a.metrics()["scribegate_queue_unreadable_events"] == 1 && queued(t).Queue.Unreadable == 1
	})
	lines := captured.with(t, reportsDamage)
	if len(lines) == 0 || lines[0]["level"] != "error" || lines[0]["queue"] != path || lines[0]["error"] == "" {
		t.Errorf("lines %v, want an error that names %s", lines, path)
	}
	if a.ehr.gotEvent(large) {
		t.Error("the damaged event was delivered")
	}
	if r := a.ask(http.MethodGet, "/scribegate/health/ready", ""); r.status != http.StatusOK {
		t.Errorf("ready: %d %s", r.status, r.body)
	}
	id := accepted(t, a.site, "after it")
	eventually(t, "an event that comes later", func() bool { return a.ehr.gotEvent(id) })
}

// If the file is replaced or truncated while the gateway runs, the log and the probe name it, and
// accepting resumes with the restored file.
func TestReadyNamesTheFile(t *testing.T) {
	shorten(t, &storeTimeout, 2*time.Second)
	a := &adminSite{site: newSite(t), admin: "127.0.0.1:" + freePort(t), ehr: newBackend(t)}
	path := filepath.Join(a.dir, "queue.db")
	a.run(upstreams("ehr", a.ehr.URL), soapnoteTo("ehr"))
	accepted(t, a.site, "before")
	captured.reset()
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the probe to name the file", func() bool {
		r := a.ask(http.MethodGet, "/scribegate/health/ready", "")
		return r.status == http.StatusServiceUnavailable && strings.Contains(r.body, path)
	})
	if r := do(t, a.soapnote("/soapnote", note("meanwhile"))); r.status != http.StatusServiceUnavailable {
		t.Errorf("an event while the file is away: %d %s", r.status, r.body)
	}
	if lines := captured.with(t, "the queue cannot be written"); len(lines) == 0 || !strings.Contains(lines[0]["error"].(string), path) {
		t.Errorf("lines %v, want one that names %s", lines, path)
	}

	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the probe to succeed", func() bool {
		return a.ask(http.MethodGet, "/scribegate/health/ready", "").status == http.StatusOK
	})
	id := accepted(t, a.site, "after")
	eventually(t, "its delivery", func() bool { return a.ehr.gotEvent(id) })

	if err := os.Truncate(path, 4096); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the status of a truncated file to be unavailable", func() bool {
		r := a.ask(http.MethodGet, "/scribegate/status", "")
		return r.status == http.StatusServiceUnavailable && strings.Contains(r.body, path)
	})
}

// flipByte changes the byte in the middle of a file.
func flipByte(t *testing.T, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/2] ^= 1
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A queue that is a copy of one in use causes a warning, since both deliver the same events.
func TestWarnsOfACopiedQueue(t *testing.T) {
	s, ehr := newSite(t), newBackend(t)
	original, copied := filepath.Join(s.dir, "queue.db"), filepath.Join(s.dir, "copied.db")
	s.load(upstreams("ehr", ehr.URL), soapnoteTo("ehr"))
	accepted(t, s, "before")
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	copyFile(t, original, copied)
	copyFile(t, original+".key", copied+".key")
	q, err := sqlitequeue.Open(sqlitequeue.Options{Path: original, Settings: queue.DefaultSettings()})
	if err != nil {
		t.Fatal(err)
	}
	captured.reset()
	s.load(strings.Replace(upstreams("ehr", ehr.URL), "QUEUE", "queue sqlite {\n path "+copied+"\n}", 1), soapnoteTo("ehr"))
	lines := captured.with(t, warnsCopy)
	if len(lines) != 1 || lines[0]["level"] != "warn" || lines[0]["queue"] != copied || lines[0]["original"] != original {
		t.Errorf("lines %v, want one warning that names %s and %s", lines, copied, original)
	}

	// The original itself causes none when it is opened again.
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	captured.reset()
	s.load(upstreams("ehr", ehr.URL), soapnoteTo("ehr"))
	if lines := captured.with(t, warnsCopy); len(lines) != 0 {
		t.Errorf("warned without cause: %v", lines)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	source, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(target, source); err != nil {
		t.Fatal(err)
	}
	if err := target.Close(); err != nil {
		t.Fatal(err)
	}
}
