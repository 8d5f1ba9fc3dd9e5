package caddymodule

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue"
)

func TestRemovedAppClosesTheQueue(t *testing.T) {
	s, ehr := newSite(t), newBackend(t)
	s.load(upstreams("ehr", ehr.URL), soapnoteTo("ehr"))
	accepted(t, s, "note-1")
	s.load("", "respond 200")
	if gateway.Current() != nil {
		t.Error("a gateway is left")
	}
	openable(t, filepath.Join(s.dir, "queue.db"))
	s.load(upstreams("ehr", ehr.URL), soapnoteTo("ehr"))
	if r := do(t, s.soapnote("/soapnote", note("note-1"))); !strings.Contains(r.body, `"duplicate":true`) {
		t.Errorf("the event of before, sent again: %d %s", r.status, r.body)
	}
}

// openable fails the test if a process has the queue file open.
func openable(t *testing.T, path string) {
	t.Helper()
	q, err := sqlitequeue.Open(sqlitequeue.Options{Path: path, Settings: queue.DefaultSettings()})
	if err != nil {
		t.Fatalf("the queue file is still in use: %v", err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestStartWithALockedQueue(t *testing.T) {
	s, ehr := newSite(t), newBackend(t)
	path := filepath.Join(s.dir, "queue.db")
	q, err := sqlitequeue.Open(sqlitequeue.Options{Path: path, Settings: queue.DefaultSettings()})
	if err != nil {
		t.Fatal(err)
	}
	err = s.tryLoad(upstreams("ehr", ehr.URL), soapnoteTo("ehr"))
	if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "in use by another process; stop that one") {
		t.Errorf("error %v, want one that names the file and what to do", err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	s.load(upstreams("ehr", ehr.URL), soapnoteTo("ehr"))
	id := accepted(t, s, "note-1")
	eventually(t, "a delivery", func() bool { return ehr.gotEvent(id) })
}

const warnsAbandoned = "the configuration no longer opens a queue"

// A reload that closes a queue in which events wait logs a warning.
func TestReloadThatLeavesEventsBehind(t *testing.T) {
	away := "http://" + commandtest.ClosedPort(t)
	for name, c := range map[string]struct {
		app    string // of the configuration that follows
		events int    // that wait by then
		want   bool   // whether a warning is logged
	}{
		"another path":        {"scribegate {\nqueue sqlite {\npath OTHER\n}\nupstream ehr " + away + "\n}", 2, true},
		"no app":              {"", 2, true},
		"no upstreams":        {"scribegate {\nQUEUE\n}", 2, true},
		"nothing waits":       {"", 0, false},
		"the same path":       {"scribegate {\nQUEUE\nupstream other " + away + "\n}", 2, false},
		"the same, by a link": {"scribegate {\nqueue sqlite {\npath LINK\n}\nupstream ehr " + away + "\n}", 2, false},
		"the same, relative":  {"scribegate {\nqueue sqlite {\npath SAME\n}\nupstream ehr " + away + "\n}", 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.load(upstreams("ehr", away, "warehouse", away), soapnoteTo("ehr warehouse"))
			for i := range c.events {
				accepted(t, s, fmt.Sprint(i))
			}
			if err := os.Symlink(s.dir, s.dir+"/link"); err != nil {
				t.Fatal(err)
			}
			captured.reset()
			app := strings.NewReplacer("OTHER", s.dir+"/other.db", "LINK", s.dir+"/link/queue.db", "SAME", s.dir+"/./queue.db").Replace(c.app)
			s.load(captureLog+app, "respond 200")

			lines := captured.with(t, warnsAbandoned)
			if !c.want {
				if len(lines) > 0 {
					t.Errorf("warned without cause: %v", lines)
				}
				return
			}
			if len(lines) != 1 || lines[0]["level"] != "warn" || lines[0]["queue"] != filepath.Join(s.dir, "queue.db") || lines[0]["events"] != 2.0 {
				t.Errorf("lines %v, want one warning with the file and 2 events", lines)
			}
		})
	}
}

// The end of the process is no reason for that warning.
func TestShutdownWithWaitingEvents(t *testing.T) {
	s := &site{t: t, dir: t.TempDir(), port: freePort(t)}
	s.url = "http://127.0.0.1:" + s.port
	config := filepath.Join(s.dir, "Caddyfile")
	app := "scribegate {\nQUEUE\nupstream ehr http://" + commandtest.ClosedPort(t) + "\n}"
	if err := os.WriteFile(config, []byte(s.caddyfile(app, soapnoteTo("ehr"))), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := commandtest.Process(t, "run", "--config", config, "--adapter", "caddyfile")
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "Caddy to listen", func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+s.port)
		return err == nil && c.Close() == nil
	})
	accepted(t, s, "note-1")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	if strings.Contains(log.String(), warnsAbandoned) || !strings.Contains(log.String(), "shutdown complete") {
		t.Errorf("its log:\n%s", log.String())
	}
}

func TestCleanupOfWhatNeverStarted(t *testing.T) {
	t.Parallel()
	if err := new(App).Cleanup(); err != nil {
		t.Error(err)
	}
	a := &App{lease: gateway.NewLease()}
	for range 2 {
		if err := a.Cleanup(); err != nil {
			t.Error(err)
		}
	}
}
