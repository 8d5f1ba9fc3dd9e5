package forwarder

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier/event"
)

func BenchmarkRender(b *testing.B) {
	e := sampleEvent(sampleID)
	o := RenderOptions{Attempt: 1, Now: noon, Version: "1.2.3", Keys: []SigningKey{mustKey(b, vectorSecret)}}
	for _, format := range []Format{Structured, Binary, Raw} {
		b.Run(string(format), func(b *testing.B) {
			b.ReportAllocs()
			o.Format = format
			for b.Loop() {
				Render(e, o)
			}
		})
	}
}

// A countingQueue has so many deliveries of one event, and does nothing else.
type countingQueue struct {
	queue.Queue

	event *event.Event
	done  chan struct{}

	mu      sync.Mutex
	left    int
	pending int
}

func (q *countingQueue) Claim(upstream string, now time.Time, want queue.Want) (queue.Claimed, error) {
	q.mu.Lock()
	n := min(want.First, q.left)
	q.left -= n
	q.mu.Unlock()
	c := queue.Claimed{Deliveries: make([]queue.Delivery, n)}
	for i := range c.Deliveries {
		c.Deliveries[i] = queue.Delivery{EventID: q.event.ID, Upstream: upstream, ReceivedAt: now}
	}
	return c, nil
}

func (q *countingQueue) Load(queue.Delivery) (*event.Event, error) { return q.event, nil }

func (q *countingQueue) Settle(o queue.Outcome) {
	if o.State != queue.Delivered {
		panic("not delivered")
	}
	q.mu.Lock()
	q.pending--
	if q.pending == 0 {
		close(q.done)
	}
	q.mu.Unlock()
}

func (q *countingQueue) Notify(func(string)) {}

func benchmarkDispatch(b *testing.B, s Sender) {
	key := mustKey(b, vectorSecret)
	b.ReportAllocs()
	q := &countingQueue{event: sampleEvent(sampleID), done: make(chan struct{}), left: b.N, pending: b.N}
	d := New(q, Options{Version: "1.2.3"})
	b.ResetTimer()
	d.Apply(Config{Upstreams: []Upstream{{
		Name: "u", Sender: s, SigningKeys: func() []SigningKey { return []SigningKey{key} },
	}}})
	<-q.done
	b.StopTimer()
	if err := d.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkDispatch is what a delivery costs beside the request itself.
func BenchmarkDispatch(b *testing.B) { benchmarkDispatch(b, answering(200)) }

// BenchmarkDispatchHTTP is a whole delivery over loopback, its server included.
func BenchmarkDispatchHTTP(b *testing.B) {
	bodies := map[string][]byte{"no answer body": nil, "small answer body": []byte(`{"ok":true}`)}
	for name, body := range bodies {
		b.Run(name, func(b *testing.B) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }))
			defer server.Close()
			u, err := url.Parse(server.URL)
			if err != nil {
				b.Fatal(err)
			}
			s := NewURLSender(u, DefaultConcurrency)
			defer s.Close()
			benchmarkDispatch(b, s)
		})
	}
}
