package pages

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier/event"
)

// stored is the number of events of BenchmarkPages.
const stored = 1_000_000

// BenchmarkPages measures the pages beside a million events, each with nothing cached.
func BenchmarkPages(b *testing.B) {
	s := newSite(b, nil)
	s.fill(b)
	config := s.gateway.Config()
	config.Upstreams = []forwarder.Upstream{{Name: "ehr"}, {Name: "lab"}} // not those of the dispatcher, which must not deliver
	address := func(page, text string) string { return s.link(s.page(page), text) }
	older := s.link(s.page("events?upstream=ehr&state=delivered"), "Older")
	for name, address := range map[string]string{
		"overview":                  "",
		"events":                    "events",
		"events/older":              older,
		"events/subject":            "events?q=subject-of-500000",
		"events/no-such-subject":    "events?q=nobody",
		"events/dead":               "events?state=dead",
		"events/dead-upstream":      "events?state=dead&upstream=lab&since=7d",
		"events/rare-type":          "events?type=note.failed",
		"events/absent-type":        "events?type=transcription.completed",
		"events/absent-dead-type":   "events?type=note.failed&state=dead",
		"event":                     "event?id=note-0000500000",
		"dead":                      "dead",
		"quarantined":               "quarantined",
		"unrouted":                  "unrouted",
		"preview/replay-dead":       address("dead", "Replay all of this cause…"),
		"preview/purge-dead":        address("dead", "Purge all of this cause…"),
		"preview/replay-unrouted":   address("unrouted", "Replay all of this cause…"),
		"preview/purge-quarantined": address("quarantined", "Purge all of this cause…"),
	} {
		b.Run(name, func(b *testing.B) {
			var worst time.Duration
			size := 0
			for b.Loop() {
				snapshots.Forget()
				searches.Forget()
				began := time.Now()
				w := httptest.NewRecorder()
				s.pages.Serve(w, httptest.NewRequest(http.MethodGet, "/"+address, nil), s.visitor)
				worst, size = max(worst, time.Since(began)), w.Body.Len()
				if w.Code != http.StatusOK {
					b.Fatalf("status %d", w.Code)
				}
			}
			b.ReportMetric(float64(worst.Microseconds())/1000, "worst-ms")
			b.ReportMetric(float64(size)/1024, "KiB")
		})
	}
}

// fill stores the events: half are delivered, a fifth is dead, a tenth waits, and the others are
// set aside.
func (s *site) fill(b *testing.B) {
	b.Helper()
	q := s.gateway.Queue()
	var next atomic.Int64
	var writers sync.WaitGroup
	for range 256 {
		writers.Go(func() {
			for {
				i := next.Add(1)
				if i > stored {
					return
				}
				if _, err := q.Store(context.Background(), manyth(i)); err != nil {
					b.Error(err)
				}
			}
		})
	}
	writers.Wait()
	ends := map[string]queue.Outcome{
		"ehr": {State: queue.Delivered, Result: queue.Success, Status: 204}, "lab": {State: queue.Dead, Result: queue.Failure, Status: 422},
	}
	for name, end := range ends {
		for {
			c, err := q.Claim(name, time.Now(), queue.Want{First: 1000})
			if err != nil {
				b.Fatal(err)
			}
			if len(c.Deliveries) == 0 && s.pendingOf(b, name) == 0 {
				break
			}
			for _, d := range c.Deliveries {
				o := end
				o.Delivery, o.At, o.Used = d, time.Now(), true
				q.Settle(o)
			}
		}
	}
}

// manyth returns one of very many events.
func manyth(i int64) queue.Item {
	it := queue.Item{Event: &event.Event{
		ID: fmt.Sprintf("note-%010d", i), Provider: "soapnoteapi", Kind: event.KindNote, Source: "https://soapnoteapi.com", Type: "com.soapnoteapi.note.generated",
		Subject: fmt.Sprint("subject-of-", i), ReceivedAt: time.Now(), Body: []byte(`{"note":"` + planted + `"}`),
	}}
	switch i % 10 {
	case 0, 1, 2, 3, 4:
		it.Upstreams = []string{"ehr"}
	case 5, 6:
		it.Upstreams = []string{"lab"}
	case 7:
		it.Upstreams = []string{"away"}
	case 8:
		it.State = queue.Unrouted
	default:
		it.State, it.Reason = queue.Quarantined, "created_at is missing"
	}
	return it
}

// pendingOf returns how many deliveries wait for an upstream.
func (s *site) pendingOf(b *testing.B, name string) int64 {
	b.Helper()
	stats, err := s.gateway.Stats()
	if err != nil {
		b.Fatal(err)
	}
	return stats.Upstreams[name].Pending
}
