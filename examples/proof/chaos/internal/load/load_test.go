package load

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/ledger"
)

func TestLoadCountsEveryOutcome(t *testing.T) {
	t.Parallel()
	answer := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	tests := map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"acknowledged":      {answer(200, `{"received":true,"id":"a"}`), "200"},
		"duplicate":         {answer(200, `{"received":true,"id":"a","duplicate":true}`), ledger.Duplicate},
		"200 without an id": {answer(200, `{"received":true}`), ledger.WithoutID},
		"503":               {answer(503, `{"error":"temporarily unavailable"}`), "503"},
		"not JSON":          {answer(502, `Bad Gateway`), ledger.Malformed},
		"cut":               {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, ledger.Cut},
		"cut in the body": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, `{"received"`)
		}, ledger.Cut},
		"no answer": {func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // otherwise the server does not notice the end of the connection
			<-r.Context().Done()
		}, ledger.Timeout},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(tt.handler)
			t.Cleanup(server.Close)
			b := ledger.NewBook()
			f := Fleet{URL: server.URL, Senders: 1, Limit: 3, Patience: 5 * time.Second}
			if tt.want == ledger.Timeout {
				f.Limit, f.Patience = 1, 200*time.Millisecond
			}
			f.Start(t.Context(), b).Done()
			if err := b.Only(tt.want); err != nil || b.Count(tt.want) != f.Limit {
				t.Errorf("%d requests with the outcome %q, want %d; %v", b.Count(tt.want), tt.want, f.Limit, err)
			}
			if want := min(1, b.Count("200")+b.Count(ledger.Duplicate)); b.Events() != want {
				t.Errorf("%d events are acknowledged, want %d", b.Events(), want)
			}
		})
	}
}

func TestLoadWithoutAServer(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + listener.Addr().String()
	listener.Close()
	b := ledger.NewBook()
	Fleet{URL: url, Senders: 2, Limit: 4, Patience: time.Second}.Start(t.Context(), b).Done()
	if b.Count(ledger.Refused) != 4 {
		t.Errorf("the other outcomes are %s", b.Others())
	}
}

func TestLoadKeepsItsConnections(t *testing.T) {
	t.Parallel()
	var connections, requests atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"received":true,"id":"%d"}`, requests.Add(1))
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	b := ledger.NewBook()
	Fleet{URL: server.URL, Senders: 3, Limit: 300, Patience: 10 * time.Second}.Start(t.Context(), b).Done()
	if b.Events() != 300 || requests.Load() != 300 {
		t.Errorf("%d events, %d requests, want 300; %s", b.Events(), requests.Load(), b.Others())
	}
	if n := connections.Load(); n > 3 {
		t.Errorf("%d connections, want 3 that are kept", n)
	}
}

// If the gateway closes an idle connection, no request is lost.
func TestConnectionReconnects(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"received":true,"id":"a"}`)
	}))
	t.Cleanup(server.Close)
	f := Fleet{URL: server.URL, Patience: 10 * time.Second}
	c := f.Connect()
	t.Cleanup(c.Close)
	for n := range 3 {
		if answer, outcome := f.Send(t.Context(), c, f.Post("a", true)); !Acknowledged(answer) {
			t.Fatalf("request %d: %s", n+1, outcome)
		}
		server.CloseClientConnections()
	}
}

func TestLoadRetriesUntilAcknowledged(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := make(map[string]int)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body strings.Builder
		if err := r.Write(&body); err != nil {
			t.Error(err)
		}
		_, text, _ := strings.Cut(body.String(), "\r\n\r\n")
		mu.Lock()
		seen[text]++
		n := seen[text]
		mu.Unlock()
		if n < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, `{"error":"temporarily unavailable"}`)
			return
		}
		fmt.Fprintf(w, `{"received":true,"id":"%x"}`, text)
	}))
	t.Cleanup(server.Close)
	b := ledger.NewBook()
	Fleet{URL: server.URL, Senders: 2, Limit: 10, Again: true, Patience: 10 * time.Second}.Start(t.Context(), b).Done()
	if b.Events() != 10 || b.Count("503") != 20 || len(seen) != 10 {
		t.Errorf("%d events of %d bodies; %s", b.Events(), len(seen), b.Others())
	}
}

func TestLoadEnds(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(server.Close)
	f := Fleet{URL: server.URL, Senders: 4, Rate: 100, Again: true, Patience: 10 * time.Second}
	for name, end := range map[string]func(l *Load, cancel func()){
		"by stop":    func(l *Load, _ func()) { l.Stop(); l.Stop() },
		"by context": func(l *Load, cancel func()) { cancel(); l.Done() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			l := f.Start(ctx, ledger.NewBook())
			done := make(chan struct{})
			go func() {
				end(l, cancel)
				close(done)
			}()
			select {
			case <-done:
			case <-time.After(10 * time.Second):
				t.Fatal("the load did not end")
			}
		})
	}
}

// A sender goes to another gateway while its own one acknowledges nothing, and returns.
func TestLoadTriesTheNextGateway(t *testing.T) {
	t.Parallel()
	var down atomic.Bool
	own := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		fmt.Fprint(w, `{"received":true,"id":"own"}`)
	}))
	t.Cleanup(own.Close)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		down.Store(false)
		fmt.Fprint(w, `{"received":true,"id":"other"}`)
	}))
	t.Cleanup(other.Close)
	b := ledger.NewBook()
	pauses := ledger.NewPauses(own.URL, other.URL)
	f := Fleet{URL: own.URL, Others: []string{other.URL}, Pauses: pauses, Senders: 1, Again: true, Patience: 5 * time.Second}
	down.Store(true)
	l := f.Start(t.Context(), b)
	defer l.Stop()
	began := time.Now()
	for end := began.Add(10 * time.Second); !pauses.Last(own.URL).After(pauses.Last(other.URL)); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the sender did not return to its own gateway; outcomes: %s", b.Others())
		}
	}
	if got := b.Count("503"); got != 1 || b.Events() != 2 {
		t.Errorf("%d answers 503 and %d events, want 1 and 2", got, b.Events())
	}
}
