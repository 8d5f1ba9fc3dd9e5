package load

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/scribegate/scribegate/examples/proof/bench/internal/certificate"
)

func startResponder(t *testing.T, hangs bool) *Responder {
	t.Helper()
	r, err := NewResponder(t.Context(), "0")
	if err != nil {
		t.Fatal(err)
	}
	r.Hangs = hangs
	return r.Start()
}

func deliver(t *testing.T, r *Responder, id string) error {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+r.Address()+"/events", strings.NewReader(strings.Repeat("x", 100_000)))
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
	case <-r.First:
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
	<-r.First
	r.Close()
	if r.Received.Load() != 21 {
		t.Errorf("%d taken, want 21", r.Received.Load())
	}
	// The id 0 looks like none.
	if err := EachOnce(r.Deliveries(), 19); err != nil {
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
			if err := EachOnce(tt.ids, tt.events); (err == nil) != tt.good {
				t.Errorf("EachOnce() = %v", err)
			}
		})
	}
}

func TestResponderHangs(t *testing.T) {
	t.Parallel()
	r := startResponder(t, true)
	answered := make(chan error, 1)
	go func() { answered <- deliver(t, r, "") }()
	<-r.First
	r.Close()
	if err := <-answered; err == nil || r.Received.Load() != 0 {
		t.Errorf("at its end the delivery is %v, %d taken; want an error and none", err, r.Received.Load())
	}
}

func TestResponderPort(t *testing.T) {
	t.Parallel()
	r := startResponder(t, false)
	defer r.Close()
	port := r.Address()[strings.LastIndex(r.Address(), ":")+1:]
	if other, err := NewResponder(t.Context(), port); err == nil {
		other.Close()
		t.Error("two responders listen on one port")
	}
}

func TestFramesResponder(t *testing.T) {
	t.Parallel()
	cert, err := certificate.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewFramesResponder(t.Context(), cert.Server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Start().Close)
	to := Target{Address: r.listener.Addr().String(), TLS: cert.Client}
	for _, size := range []int{126, 256_000} { // the second many times what it allows at once
		got, err := connect(t, to, 3).Run(t.Context(), Phase{Batch: prepare(t, to, size, 100)})
		if err != nil || got.Answered() != 100 || got.Only(200) != nil {
			t.Errorf("%d bytes: %v, %v", size, got.statuses, err)
		}
	}
}
