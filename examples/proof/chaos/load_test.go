package main

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
		"duplicate":         {answer(200, `{"received":true,"id":"a","duplicate":true}`), duplicate},
		"200 without an id": {answer(200, `{"received":true}`), withoutID},
		"503":               {answer(503, `{"error":"temporarily unavailable"}`), "503"},
		"not JSON":          {answer(502, `Bad Gateway`), malformed},
		"cut":               {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, cut},
		"cut in the body": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, `{"received"`)
		}, cut},
		"no answer": {func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // otherwise the server does not notice the end of the connection
			<-r.Context().Done()
		}, timeout},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(tt.handler)
			t.Cleanup(server.Close)
			b := newBook()
			f := fleet{url: server.URL, senders: 1, limit: 3, patience: 5 * time.Second}
			if tt.want == timeout {
				f.limit, f.patience = 1, 200*time.Millisecond
			}
			f.start(t.Context(), b).done()
			if b.count(tt.want) != f.limit || len(b.outcomes) != 1 {
				t.Errorf("outcomes are %v, want %d of %q", b.outcomes, f.limit, tt.want)
			}
			if want := min(1, b.count("200")+b.count(duplicate)); b.events() != want {
				t.Errorf("%d events are acknowledged, want %d", b.events(), want)
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
	b := newBook()
	fleet{url: url, senders: 2, limit: 4, patience: time.Second}.start(t.Context(), b).done()
	if b.count(refused) != 4 {
		t.Errorf("outcomes are %v", b.outcomes)
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
	b := newBook()
	fleet{url: server.URL, senders: 3, limit: 300, patience: 10 * time.Second}.start(t.Context(), b).done()
	if b.events() != 300 || requests.Load() != 300 {
		t.Errorf("%d events, %d requests, want 300; %v", b.events(), requests.Load(), b.outcomes)
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
	f := fleet{url: server.URL, patience: 10 * time.Second}
	c := f.connect()
	t.Cleanup(c.close)
	for n := range 3 {
		if answer, outcome := f.send(t.Context(), c, f.post("a", true)); !acknowledged(answer) {
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
	b := newBook()
	fleet{url: server.URL, senders: 2, limit: 10, again: true, patience: 10 * time.Second}.start(t.Context(), b).done()
	if b.events() != 10 || b.count("503") != 20 || len(seen) != 10 {
		t.Errorf("%d events of %d bodies; %v", b.events(), len(seen), b.outcomes)
	}
}

func TestLoadEnds(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(server.Close)
	f := fleet{url: server.URL, senders: 4, rate: 100, again: true, patience: 10 * time.Second}
	for name, end := range map[string]func(l *load, cancel func()){
		"by stop":    func(l *load, _ func()) { l.stop(); l.stop() },
		"by context": func(l *load, cancel func()) { cancel(); l.done() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			l := f.start(ctx, newBook())
			done := make(chan time.Time, 1)
			go func() {
				end(l, cancel)
				done <- time.Now()
			}()
			receives(t, "the end of the load", done)
		})
	}
}

// count returns the number of requests with an outcome.
func (b *book) count(outcome string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.outcomes[outcome]
}
