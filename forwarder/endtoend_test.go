package forwarder

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier/event/eventtest"
)

// Over real connections: an upstream that hangs, one that streams for ever, one
// that redirects and one that is not there stand beside a healthy one, which gets
// every event, signed.
func TestDeliveryOverHTTP(t *testing.T) {
	t.Parallel()
	const count = 200
	official, err := standardwebhooks.NewWebhook(vectorSecret)
	if err != nil {
		t.Fatal(err)
	}
	key := mustKey(t, vectorSecret)
	keys := func() []SigningKey { return []SigningKey{key} }

	done := make(chan struct{}, 2*count)
	healthy := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if err := official.Verify(body, r.Header); err != nil {
			t.Errorf("the signature does not verify: %v", err)
		}
		eventtest.Validate(t, body)
		_, _ = io.WriteString(w, `{"ok":true}`)
		done <- struct{}{}
	})
	hangs := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	redirects := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, healthy.URL, http.StatusPermanentRedirect)
	})
	streams, _ := streaming(t, false, true)
	gone := listen(t)
	_ = gone.Close()

	q := newMemQueue()
	obs := &recorder{}
	d := New(q, Options{Version: "1.2.3"})
	up := func(name, url string) Upstream {
		return Upstream{Name: name, Sender: newSender(t, url, 8), Concurrency: 8, SigningKeys: keys}
	}
	d.Apply(Config{Observer: obs, Upstreams: []Upstream{
		up("healthy", healthy.URL+"/events"), up("hangs", hangs.URL), up("redirects", redirects.URL),
		up("streams", streams.URL), up("refuses", "http://"+gone.Addr().String()),
	}})
	for range 10 {
		for _, name := range []string{"hangs", "redirects", "streams", "refuses"} {
			q.add(name, false)
		}
	}
	for range count {
		q.add("healthy", false)
	}
	for range count {
		await(t, done, "the healthy upstream to have every event")
	}
	until(t, "every answer of the healthy upstream to be recorded", func() bool { return q.count("healthy", queue.Delivered) == count })
	until(t, "10 events delivered to the upstream that streams", func() bool { return q.count("streams", queue.Delivered) == 10 })
	until(t, "10 attempts at the upstream that redirects", func() bool { return obs.results()[queue.Failure] >= 10 })
	until(t, "the absent upstream to be paused", func() bool {
		p := obs.pauses()
		return len(p) == 1 && p[0] == "paused refuses"
	})

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := d.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if q.inFlight() != 0 {
		t.Errorf("%d claims are left", q.inFlight())
	}
	for upstream, want := range map[string]int{"healthy": count, "hangs": 0, "redirects": 0, "refuses": 0} {
		if n := q.count(upstream, queue.Delivered); n != want {
			t.Errorf("%d events delivered to the upstream that %s, want %d", n, upstream, want)
		}
		if n := q.count(upstream, queue.Dead); n != 0 {
			t.Errorf("%d events dead at the upstream that %s", n, upstream)
		}
	}
	if len(done) > 0 {
		t.Errorf("a redirect was followed, or an event sent twice: %d more than %d", len(done), count)
	}
	results := obs.results()
	if results[queue.ConnectError] == 0 || results[queue.Timeout] != 0 || results[queue.Gone] != 0 {
		t.Errorf("results = %v", results)
	}
}

// until waits for what other goroutines bring about.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("waited in vain for " + what)
		}
	}
}
