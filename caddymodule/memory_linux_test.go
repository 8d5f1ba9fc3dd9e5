package caddymodule

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue"
	"github.com/scribegate/scribegate/verifier"
)

// A crowd is a backend that holds each request until it is let go, and counts them.
type crowd struct {
	*httptest.Server

	letGo func()
	now   atomic.Int32 // requests that are held
	taken atomic.Int32
}

func newCrowd(t *testing.T) *crowd {
	t.Helper()
	hold := make(chan struct{})
	c := &crowd{letGo: sync.OnceFunc(func() { close(hold) })}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		c.now.Add(1)
		defer c.now.Add(-1)
		select {
		case <-hold:
			c.taken.Add(1)
			w.WriteHeader(http.StatusNoContent)
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(c.Close)
	t.Cleanup(c.letGo)
	return c
}

// anonymousMemory is how many bytes of memory a process has that no file backs.
func anonymousMemory(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(status), "RssAnon:")
	line, _, _ = strings.Cut(line, "kB")
	n, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatalf("the process has ended, or reports nothing of its memory: %v", err)
	}
	return n << 10
}

// storeLarge fills a queue's file with events of 10 MB, as an outage leaves them.
func storeLarge(t *testing.T, path string, events int, upstreams ...string) {
	t.Helper()
	q, err := sqlitequeue.Open(sqlitequeue.Options{Path: path, Settings: queue.DefaultSettings()})
	if err != nil {
		t.Fatal(err)
	}
	var p verifier.SOAPNoteAPI
	for i := range events {
		body := strings.Replace(note(fmt.Sprintf("large-%d", i)), "PATIENT-TEXT", strings.Repeat("x", 10_000_000), 1)
		e, err := p.Event(verifier.Request{Source: p.Defaults().Source, Body: []byte(body), ReceivedAt: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := q.Store(t.Context(), queue.Item{Event: e, Upstreams: upstreams}); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
}

// A backlog of large events takes no more memory than the budget of deliveries,
// however many of them could be under way by the settings.
func TestMemoryOfALargeBacklog(t *testing.T) {
	events, limit := int32(40), 450<<20
	if raceDetector {
		events, limit = 20, 4*limit // it is slow, and has shadow memory
	}
	s := &site{t: t, dir: t.TempDir(), port: freePort(t)}
	path := filepath.Join(s.dir, "queue.db")
	storeLarge(t, path, int(events), "ehr", "lab")
	ehr, lab := newCrowd(t), newCrowd(t)
	app := fmt.Sprintf("scribegate {\nQUEUE\nupstream ehr %s {\ntimeout 5m\nconcurrency 100\n}\nupstream lab {\ntimeout 5m\nroute {\nreverse_proxy %s\n}\n}\n}", ehr.URL, strings.TrimPrefix(lab.URL, "http://"))
	config := filepath.Join(s.dir, "Caddyfile")
	if err := os.WriteFile(config, []byte(s.caddyfile(app, soapnoteTo("ehr lab"))), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := commandtest.Process(t, "run", "--config", config, "--adapter", "caddyfile")
	cmd.Env = append(cmd.Env, "GOMEMLIMIT=off") // or Caddy sets one where the machine limits its memory
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // its error is the signal
	}()

	peak := 0
	watch := func() { peak = max(peak, anonymousMemory(t, cmd.Process.Pid)) }
	var held, steady int32
	eventually(t, "both upstreams to hold what they may", func() bool {
		watch()
		now := ehr.now.Load() + lab.now.Load()
		if now == held && ehr.now.Load() > 0 && lab.now.Load() > 0 {
			steady++
		} else {
			held, steady = now, 0
		}
		return steady == 200
	})
	if held > 25 {
		t.Errorf("%d events of 10 MB are under way, more than 256 MiB", held)
	}
	t.Logf("%d MiB of anonymous memory while %d events are under way", peak>>20, held)
	ehr.letGo()
	lab.letGo()
	eventually(t, "all to be delivered", func() bool {
		watch()
		return ehr.taken.Load() >= events && lab.taken.Load() >= events
	})
	t.Logf("%d MiB at most", peak>>20)
	if peak > limit {
		t.Errorf("%d MiB of anonymous memory, want at most %d", peak>>20, limit>>20)
	}
}
