package caddymodule

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
)

// A ledger is a backend that refuses each event at first, so that there is
// always something to be tried again, and notes what it took in the end.
type ledger struct {
	*httptest.Server

	mu    sync.Mutex
	seen  map[string]bool
	taken map[string]int
}

func newLedger(t *testing.T) *ledger {
	t.Helper()
	l := &ledger{seen: make(map[string]bool), taken: make(map[string]int)}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		id := r.Header.Get("Webhook-Id")
		l.mu.Lock()
		defer l.mu.Unlock()
		if !l.seen[id] {
			l.seen[id] = true
			w.WriteHeader(http.StatusConflict)
			return
		}
		l.taken[id]++
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(l.Close)
	return l
}

// missing returns how many of the ids were not taken yet, and how many
// deliveries there were in all.
func (l *ledger) missing(ids []string) (missing, deliveries int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		if l.taken[id] == 0 {
			missing++
		}
	}
	for _, n := range l.taken {
		deliveries += n
	}
	return missing, deliveries
}

// kill -9 at any moment loses no acknowledged event: this kills the real
// process under load, again and again, on one queue.
func TestKillLosesNothing(t *testing.T) {
	const cycles, senders = 3, 4
	backend := newLedger(t)
	s := &site{t: t, dir: t.TempDir(), port: freePort(t)}
	s.url = "http://127.0.0.1:" + s.port
	config := filepath.Join(s.dir, "Caddyfile")
	app := "\tscribegate {\n\t\tQUEUE\n\t\tupstream ehr " + backend.URL + " {\n\t\t\tretry 100ms 200ms 400ms 1s 1s 1s 1s\n\t\t}\n\t}\n"
	if err := os.WriteFile(config, []byte(s.caddyfile(app, soapnoteTo("ehr"))), 0o600); err != nil {
		t.Fatal(err)
	}
	start := func() (*exec.Cmd, *bytes.Buffer) {
		log := new(bytes.Buffer)
		cmd := commandtest.Process(t, "run", "--config", config, "--adapter", "caddyfile")
		cmd.Stdout, cmd.Stderr = log, log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd, log
	}
	kill := func(cmd *exec.Cmd) {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // its error is the signal
	}

	var acknowledged []string
	for cycle := range cycles {
		began := time.Now()
		waiting, before := backend.missing(acknowledged)
		cmd, log := start()
		eventually(t, "Caddy to listen", func() bool {
			c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", "127.0.0.1:"+s.port)
			if err != nil {
				return false
			}
			return c.Close() == nil
		})
		if waiting > 0 {
			eventually(t, "delivery to go on", func() bool {
				_, now := backend.missing(nil)
				return now > before
			})
			t.Logf("cycle %d: %d events waited; the first was delivered %s after the start", cycle, waiting, time.Since(began).Round(time.Millisecond))
		}
		acknowledged = append(acknowledged, postUntilKilled(t, s, cycle, senders, func() { kill(cmd) })...)
		if bytes.Contains(log.Bytes(), []byte("panic")) {
			t.Fatalf("Caddy panicked:\n%s", log)
		}
	}

	cmd, _ := start()
	defer kill(cmd)
	eventually(t, "every acknowledged event to be delivered", func() bool {
		missing, _ := backend.missing(acknowledged)
		return missing == 0
	})
	_, deliveries := backend.missing(nil)
	t.Logf("%d events acknowledged over %d kills, %d deliveries taken", len(acknowledged), cycles, deliveries)
}

// postUntilKilled posts notes from several senders, has the process killed at a
// random moment, and returns the ids that were acknowledged.
func postUntilKilled(t *testing.T, s *site, cycle, senders int, kill func()) []string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{}, Timeout: commandtest.WaitTimeout}
	defer client.CloseIdleConnections()
	var mu sync.Mutex
	var ids []string
	var work sync.WaitGroup
	for sender := range senders {
		work.Go(func() {
			for n := 0; ; n++ {
				resp, err := client.Do(s.soapnote("/soapnote", note(fmt.Sprintf("%d-%d-%d", cycle, sender, n))))
				if err != nil {
					return // killed
				}
				body, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if err != nil {
					return
				}
				mu.Lock()
				ids = append(ids, reply{status: resp.StatusCode, body: string(body)}.id(t))
				mu.Unlock()
			}
		})
	}
	eventually(t, "events to be acknowledged", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(ids) >= 50
	})
	time.Sleep(rand.N(500 * time.Millisecond)) // the random moment
	kill()
	work.Wait()
	return ids
}
