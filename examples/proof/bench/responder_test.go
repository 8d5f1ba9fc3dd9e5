package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

func startResponder(t *testing.T, hangs bool) *responder {
	t.Helper()
	r, err := newResponder(t.Context(), "0")
	if err != nil {
		t.Fatal(err)
	}
	r.hangs = hangs
	return r.start()
}

func deliver(t *testing.T, r *responder, id string) error {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+r.address()+"/events", strings.NewReader(strings.Repeat("x", 100_000)))
	if err != nil {
		t.Fatal(err)
	}
	if id != "" {
		request.Header["webhook-id"] = []string{id}
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || len(body) > 0 || resp.StatusCode != http.StatusOK {
		t.Errorf("it answers %s with %q, %v", resp.Status, body, err)
	}
	return nil
}

func TestResponderCountsDeliveries(t *testing.T) {
	t.Parallel()
	r := startResponder(t, false)
	select {
	case <-r.first:
		t.Error("first is closed before the first request")
	default:
	}
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			if err := deliver(t, r, fmt.Sprintf("soapnoteapi-%032x", i)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if err := deliver(t, r, ""); err != nil { // not Scribegate's
		t.Error(err)
	}
	<-r.first
	r.close()
	if r.received.Load() != 21 {
		t.Errorf("%d taken, want 21", r.received.Load())
	}
	// The id 0 looks like none.
	if err := eachOnce(r.deliveries(), 19); err != nil {
		t.Error(err)
	}
}

func TestEachOnce(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		ids    []uint64
		events int
		good   bool
	}{
		"each":              {[]uint64{3, 1, 2}, 3, true},
		"nothing":           {nil, 0, true},
		"one is missing":    {[]uint64{3, 1}, 3, false},
		"one came twice":    {[]uint64{3, 1, 2, 1}, 3, false},
		"twice for missing": {[]uint64{3, 1, 1}, 3, false},
		"an unknown event":  {[]uint64{3, 1, 2, 4}, 3, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := eachOnce(tt.ids, tt.events); (err == nil) != tt.good {
				t.Errorf("eachOnce() = %v", err)
			}
		})
	}
}

func TestResponderHangs(t *testing.T) {
	t.Parallel()
	r := startResponder(t, true)
	answered := make(chan error, 1)
	go func() { answered <- deliver(t, r, "") }()
	<-r.first
	r.close()
	if err := <-answered; err == nil || r.received.Load() != 0 {
		t.Errorf("at its end the delivery is %v, %d taken; want an error and none", err, r.received.Load())
	}
}

func TestResponderPort(t *testing.T) {
	t.Parallel()
	r := startResponder(t, false)
	defer r.close()
	port := r.address()[strings.LastIndex(r.address(), ":")+1:]
	if other, err := newResponder(t.Context(), port); err == nil {
		other.close()
		t.Error("two responders listen on one port")
	}
}

func TestFramesResponder(t *testing.T) {
	t.Parallel()
	cert, err := newCertificate(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r, err := newFramesResponder(t.Context(), cert.server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.start().close)
	to := target{address: r.listener.Addr().String(), tls: cert.client}
	for _, size := range []int{126, 256_000} { // the second many times what it allows at once
		got, err := connect(t, to, 3).run(t.Context(), phase{batch: prepare(t, to, size, 100)})
		if err != nil || got.answered() != 100 || got.only(200) != nil {
			t.Errorf("%d bytes: %v, %v", size, got.statuses, err)
		}
	}
}

func TestCeiling(t *testing.T) {
	t.Parallel()
	r := startResponder(t, false)
	t.Cleanup(r.close)
	s, err := ceiling(t.Context(), target{address: r.address()}, spec{path: "/", secret: testSecret, body: noteBody(126)}, 2, 100*time.Millisecond)
	if err != nil || s.rate <= 0 || s.p50 <= 0 || s.own <= 0 {
		t.Errorf("ceiling() = %+v, %v", s, err)
	}
}
