package caddymodule

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
)

// A provider gives up after 10 s: the test's clients do after 8.
const patience = 8 * time.Second

// stuckProcess runs Caddy with its standard error in a pipe that nobody reads,
// until unread is read.
func stuckProcess(t *testing.T, s *site, app, block string) (stop func() error, unread *os.File) {
	t.Helper()
	config := filepath.Join(s.dir, "Caddyfile")
	if err := os.WriteFile(config, []byte(s.caddyfile(app, block)), 0o600); err != nil {
		t.Fatal(err)
	}
	unread, stderr, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unread.Close() })
	cmd := commandtest.Process(t, "run", "--config", config, "--adapter", "caddyfile")
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = stderr.Close()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	eventually(t, "Caddy to answer", func() bool {
		resp, err := http.Get(s.url + "/soapnote")
		return err == nil && resp.Body.Close() == nil
	})
	return func() error {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			return err
		}
		select {
		case err := <-ended:
			return err
		case <-time.After(commandtest.WaitTimeout):
			return fmt.Errorf("it did not end within %s", commandtest.WaitTimeout)
		}
	}, unread
}

// send posts notes from several senders, every third with a wrong signature, and
// checks that each is answered in time.
func (s *site) sendMany(clients []*http.Client, each int) {
	s.t.Helper()
	var work sync.WaitGroup
	var slowest atomic.Int64
	for sender, client := range clients {
		work.Go(func() {
			for n := range each {
				r, want := s.soapnote("/soapnote", note(fmt.Sprintf("%d-%d", sender, n))), http.StatusOK
				if n%3 == 2 {
					r.Header.Set("X-SoapNoteAPI-Signature", strings.Repeat("0", 64))
					want = http.StatusUnauthorized
				}
				began := time.Now()
				resp, err := client.Do(r)
				if err != nil {
					s.t.Errorf("request %d of sender %d: %v", n, sender, err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if resp.StatusCode != want {
					s.t.Errorf("request %d of sender %d: status %d, want %d", n, sender, resp.StatusCode, want)
				}
				for took := int64(time.Since(began)); ; {
					if most := slowest.Load(); took <= most || slowest.CompareAndSwap(most, took) {
						break
					}
				}
			}
		})
	}
	work.Wait()
	s.t.Logf("%d requests were answered, the slowest after %s", len(clients)*each, time.Duration(slowest.Load()).Round(time.Millisecond))
}

// A process that is stopped has written all of its lines.
func TestStopLosesNoLine(t *testing.T) {
	b := newBackend(t)
	s := &site{t: t, dir: t.TempDir(), port: freePort(t)}
	s.url = "http://127.0.0.1:" + s.port
	stop, unread := stuckProcess(t, s, oneUpstream+b.URL+"\n\t}", bothProviders)
	all := make(chan string)
	go func() {
		text, _ := io.ReadAll(unread)
		all <- string(text)
	}()
	const senders, each = 4, 300
	clients := make([]*http.Client, senders)
	for i := range clients {
		clients[i] = &http.Client{Transport: &http.Transport{}, Timeout: patience}
	}
	s.sendMany(clients, each)
	if err := stop(); err != nil {
		t.Errorf("the process: %v", err)
	}
	text := <-all
	accepted, delivered := strings.Count(text, `"msg":"accepted"`), strings.Count(text, `"msg":"delivered"`)
	if accepted != senders*each*2/3 || delivered != len(b.deliveries()) || strings.Contains(text, "dropped") {
		t.Errorf("the log has %d events accepted and %d delivered, want %d and %d", accepted, delivered, senders*each*2/3, len(b.deliveries()))
	}
}

// Nobody reads the pipe that the log goes to: every request is answered in time,
// every event is delivered, and once somebody reads it, the log says how many
// lines it lacks. What it does have is whole and in order.
func TestNobodyReadsTheLog(t *testing.T) {
	const senders, each = 8, 900
	b := newBackend(t)
	s := &site{t: t, dir: t.TempDir(), port: freePort(t)}
	s.url = "http://127.0.0.1:" + s.port
	stop, unread := stuckProcess(t, s, oneUpstream+b.URL+"\n\t}", bothProviders)
	clients := make([]*http.Client, senders)
	for i := range clients {
		clients[i] = &http.Client{Transport: &http.Transport{}, Timeout: patience}
	}
	s.sendMany(clients, each)
	b.wait(t, senders*each*2/3)

	lines := make(chan map[string]any, 100_000)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(unread); scanner.Scan(); {
			var line map[string]any
			if err := json.Unmarshal(scanner.Bytes(), &line); err != nil {
				t.Errorf("a line is not JSON: %v: %s", err, scanner.Bytes())
			}
			lines <- line
		}
	}()
	counts, dropped := make(map[string]int), 0
	accounted := func() bool { return counts["accepted"]+counts["delivered"]+dropped >= senders*each*4/3 }
	for deadline := time.After(commandtest.WaitTimeout); !accounted(); {
		select {
		case line := <-lines:
			if line["logger"] != "scribegate.audit" {
				continue
			}
			msg := line["msg"].(string)
			counts[msg]++
			if n, ok := line["dropped"].(float64); ok && msg == "lines_dropped" {
				dropped += int(n)
			}
		case <-deadline:
			t.Fatalf("the trail has %v and says of %d lines that they were dropped, want %d accounted for", counts, dropped, senders*each*4/3)
		}
	}
	if dropped == 0 {
		t.Error("no line was dropped: the test tests nothing")
	}
	t.Logf("the audit trail: %v, %d dropped", counts, dropped)
	if err := stop(); err != nil {
		t.Errorf("the process: %v", err)
	}
}

// Caddy's own access log is written behind the answer. Where it is stuck, a
// request on a new connection is answered all the same.
func TestNobodyReadsTheAccessLog(t *testing.T) {
	b := newBackend(t)
	s := &site{t: t, dir: t.TempDir(), port: freePort(t)}
	s.url = "http://127.0.0.1:" + s.port
	stuckProcess(t, s, oneUpstream+b.URL+"\n\t}", "log\n"+bothProviders)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	s.sendMany([]*http.Client{client, client}, 300)
	b.wait(t, 400)
}

// A process whose log cannot be written is ended by SIGTERM all the same.
func TestProcessEndsAlthoughNobodyReadsTheLog(t *testing.T) {
	b := newBackend(t)
	s := &site{t: t, dir: t.TempDir(), port: freePort(t)}
	s.url = "http://127.0.0.1:" + s.port
	stop, _ := stuckProcess(t, s, oneUpstream+b.URL+"\n\t}", bothProviders)
	s.sendMany([]*http.Client{{Transport: &http.Transport{}, Timeout: patience}}, 1800)
	if _, exited := errors.AsType[*exec.ExitError](stop()); !exited {
		t.Error("the process was not ended for its log")
	}
}

// A process that gets SIGTERM right after its start ends. Caddy may not have registered its
// handler yet.
func TestStopRightAfterTheStart(t *testing.T) {
	b := newBackend(t)
	s := &site{t: t, dir: t.TempDir(), port: freePort(t)}
	s.url = "http://127.0.0.1:" + s.port
	for range 20 {
		stop, unread := stuckProcess(t, s, oneUpstream+b.URL+"\n\t}", bothProviders)
		go func() { _, _ = io.Copy(io.Discard, unread) }()
		if err := stop(); err != nil && strings.Contains(err.Error(), "did not end") {
			t.Fatal(err)
		}
	}
}
