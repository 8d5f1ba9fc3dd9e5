package caddymodule

import (
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
)

func TestHealth(t *testing.T) {
	a := newAdminSite(t)
	probe := func(t *testing.T, probe string, status int, want string) {
		t.Helper()
		r := a.ask("GET", "/scribegate/health/"+probe, "")
		if r.status != status || !strings.HasPrefix(r.body, want) || r.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s %s, want %d %s", probe, r.status, r.header.Get("Content-Type"), r.body, status, want)
		}
	}
	const ok, unavailable = `{"status":"ok"}`, `{"status":"unavailable","reason":"`
	probe(t, "live", http.StatusOK, ok)
	probe(t, "ready", http.StatusOK, ok)

	t.Run("without a queue to need", func(t *testing.T) {
		a.run("", "scribegate soapnoteapi {\n secret {env.SOAPNOTE_SECRET}\n}\nrespond 204")
		probe(t, "live", http.StatusOK, ok)
		probe(t, "ready", http.StatusOK, ok)
	})
	t.Run("full", func(t *testing.T) {
		small := strings.Replace(upstreams("ehr", a.ehr.URL, "lab", a.lab.URL), "QUEUE",
			"queue gated {\n path "+filepath.Join(a.dir, "small.db")+"\n max_size 16KiB\n}", 1)
		a.run(small, soapnoteTo("ehr lab"))
		probe(t, "ready", http.StatusOK, ok)
		for i := 0; queued(t).Queue.Bytes <= 12<<10; i++ {
			if r := do(t, a.soapnote("/soapnote", note(strings.Repeat("n", i+1)))); r.status != http.StatusOK {
				t.Fatalf("answer %d with %d bytes stored", r.status, queued(t).Queue.Bytes)
			}
		}
		probe(t, "live", http.StatusOK, ok)
		probe(t, "ready", http.StatusServiceUnavailable, unavailable+"the queue is full: ")
		a.object("POST", "/scribegate/purge", `{"dead":true}`)
		probe(t, "ready", http.StatusOK, ok)
	})
	t.Run("a disk that fails", func(t *testing.T) {
		observe := gateway.Current().Queue().(*gated).onFailure
		observe(errors.New("no space left on device"))
		probe(t, "live", http.StatusOK, ok)
		probe(t, "ready", http.StatusServiceUnavailable, unavailable+"events are refused: no space left on device")
		observe(nil)
		probe(t, "ready", http.StatusOK, ok)
	})
	t.Run("closed", func(t *testing.T) {
		if err := gateway.Current().Queue().Close(); err != nil {
			t.Fatal(err)
		}
		probe(t, "live", http.StatusOK, ok)
		probe(t, "ready", http.StatusServiceUnavailable, unavailable+"reading the queue: ")
	})
}
