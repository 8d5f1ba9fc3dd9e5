package boltqueue

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
)

// childFile has the test binary work on a queue file until it is killed.
const childFile = "BOLTQUEUE_TEST_CHILD"

func TestMain(m *testing.M) {
	if path := os.Getenv(childFile); path != "" {
		if err := child(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// child stores events from several goroutines, prints the id of each that is
// acknowledged, and settles their deliveries one way or the other. It returns
// on an error only.
func child(path string) error {
	q, err := Open(Options{Path: path, Settings: queue.DefaultSettings(), recent: 20}) // so that ids are always under way
	if err != nil {
		return err
	}
	var mu sync.Mutex
	failed := make(chan error, 9)
	for w := range 8 {
		go func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d-%d", os.Getpid(), w, i)
				if _, err := q.Store(context.Background(), queue.Item{Event: queuetest.Event(id, time.Now()), Upstreams: []string{"ehr"}}); err != nil {
					failed <- err
					return
				}
				mu.Lock()
				fmt.Println(id)
				mu.Unlock()
			}
		}()
	}
	go func() {
		for i := 0; ; i++ {
			c, err := q.Claim("ehr", time.Now(), queue.Want{First: 3, Retry: 1})
			if err != nil {
				failed <- err
				return
			}
			for _, d := range c.Deliveries {
				o := queue.Outcome{Delivery: d, At: time.Now(), State: queue.Pending, Next: time.Now(), Result: queue.Timeout, Used: true}
				if i%2 == 0 {
					o.State, o.Result = queue.Delivered, queue.Success
				}
				q.Settle(o)
			}
		}
	}()
	return <-failed
}

// Killed at any moment, a process loses nothing that it acknowledged, and
// leaves nothing stuck.
func TestKilled(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	acknowledged := make(map[string]bool)
	for range 4 {
		for id := range killed(t, path, 50+rand.IntN(2000)) {
			acknowledged[id] = true
		}
		q := mustOpen(t, Options{Path: path, Settings: queue.DefaultSettings()})
		wantSound(t, q)
		pending := make(map[string]bool)
		for _, d := range claim(t, q, "ehr", 1<<20) {
			pending[d.EventID] = true
			e, err := q.Load(d)
			if err != nil || e.ID != d.EventID {
				t.Fatalf("Load(%s): %v", d.EventID, err)
			}
		}
		for id := range acknowledged {
			r, err := q.Event(t.Context(), id)
			if err != nil {
				t.Fatalf("%s was acknowledged and is lost: %v", id, err)
			}
			if r.Deliveries[0].State != queue.Delivered && !pending[id] {
				t.Fatalf("%s is stuck: it is %s and cannot be claimed", id, r.Deliveries[0].State)
			}
			again, err := q.Store(t.Context(), queue.Item{Event: queuetest.Event(id, time.Now()), Upstreams: []string{"ehr"}})
			if err != nil || !again.Duplicate {
				t.Fatalf("%s is stored again: %+v, %v", id, again, err)
			}
		}
		mustClose(t, q)
	}
}

// killed runs a child, kills it after it has acknowledged so many events, and
// returns all that it acknowledged.
func killed(t *testing.T, path string, after int) map[string]bool {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childFile+"="+path)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ids := make(map[string]bool)
	r := bufio.NewReader(out)
	for {
		line, err := r.ReadString('\n')
		if err != nil { // the end, maybe within a line
			break
		}
		ids[strings.TrimSpace(line)] = true
		if len(ids) == after {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() || len(ids) < after {
		t.Fatalf("the child ended by itself after %d events: %v: %s", len(ids), err, stderr.String())
	}
	return ids
}
