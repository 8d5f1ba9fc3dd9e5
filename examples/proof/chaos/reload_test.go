package main

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestLeftBehind(t *testing.T) {
	t.Parallel()
	before := footprint{memory: 20 << 20, handles: 20, goroutines: 30}
	tests := []struct {
		name string
		now  footprint
		want string // "" is nothing
	}{
		{"the same", before, ""},
		{"less", footprint{}, ""},
		{"a little more", footprint{memory: 25 << 20, handles: 22, goroutines: 33}, ""},
		{"goroutines", footprint{memory: 20 << 20, handles: 20, goroutines: 60}, "30 goroutines"},
		{"handles", footprint{memory: 20 << 20, handles: 60, goroutines: 30}, "40 handles"},
		{"memory", footprint{memory: 80 << 20, handles: 20, goroutines: 30}, "60.0 MiB of memory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := leftBehind(before, tt.now)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

// only reports an unexpected outcome.
func TestOnly(t *testing.T) {
	t.Parallel()
	b := newBook()
	b.acknowledge("one", nil, false, 0)
	b.record(cut)
	if err := b.only("200", cut); err != nil {
		t.Error(err)
	}
	if err := b.only("200"); err == nil || !strings.Contains(err.Error(), cut) {
		t.Errorf("error %v, want one with %q", err, cut)
	}
}

// A proxy reports two deliveries of one event at once, and only these.
func TestProxy(t *testing.T) {
	t.Parallel()
	l := newLedger()
	defer l.close()
	b, err := l.add(t.Context(), "ehr")
	if err != nil {
		t.Fatal(err)
	}
	w, err := newProxy(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	if got, want := w.insert("upstream ehr "+b.url()), "upstream ehr http://"+w.address+"/events"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	send := func(id string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+w.address+"/events", strings.NewReader("{}"))
		if err != nil {
			t.Error(err)
			return
		}
		r.Header.Set("Webhook-Id", id)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Error(err)
			return
		}
		_ = resp.Body.Close()
	}
	together := func(ids ...string) {
		done := make(chan struct{})
		for _, id := range ids {
			go func() { send(id); done <- struct{}{} }()
		}
		for range ids {
			<-done
		}
	}
	send("one")
	send("one")
	b.behave(behavior{delay: 300 * time.Millisecond})
	together("two", "three")
	if n := w.overlapping(); n != 0 {
		t.Errorf("%d deliveries overlap, want none", n)
	}
	together("four", "four")
	if n := w.overlapping(); n != 1 {
		t.Errorf("%d deliveries overlap, want 1", n)
	}
	if _, ok := w.cameAt("one"); !ok || b.deliveries() != 6 {
		t.Errorf("the proxy has seen the event: %v; the backend has %d deliveries, want 6", ok, b.deliveries())
	}
}
