package caddymodule

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
)

// A load is a number of senders that post notes one after another.
type load struct {
	stop   chan struct{}
	work   sync.WaitGroup
	client *http.Client

	mu           sync.Mutex
	acknowledged []string
	resets       int // requests without an answer
}

// loadOn starts senders. Every answer must be a 200.
func loadOn(t *testing.T, s *site, senders int) *load {
	t.Helper()
	l := &load{stop: make(chan struct{}), client: &http.Client{Transport: &http.Transport{}, Timeout: commandtest.WaitTimeout}}
	for sender := range senders {
		l.work.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-l.stop:
					return
				default:
					l.post(t, s.soapnote("/soapnote", note(fmt.Sprintf("%d-%d", sender, n))))
				}
			}
		})
	}
	return l
}

func (l *load) post(t *testing.T, r *http.Request) {
	// So that a connection closed while it was idle is not taken for a reset.
	r.Header["Idempotency-Key"] = nil
	resp, err := l.client.Do(r)
	if err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.resets++
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK || err != nil {
		t.Errorf("answer %d %s, %v", resp.StatusCode, body, err)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acknowledged = append(l.acknowledged, reply{body: string(body)}.id(t))
}

// await waits until so many events were acknowledged.
func (l *load) await(t *testing.T, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d acknowledged events", n), func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.acknowledged) >= n
	})
}

// end stops the senders and returns the ids that were acknowledged.
func (l *load) end() []string {
	close(l.stop)
	l.work.Wait()
	l.client.CloseIdleConnections()
	slices.Sort(l.acknowledged)
	return slices.Compact(l.acknowledged)
}
