package main

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestBackendBehaviors(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		behavior behavior
		want     []int // the answers to one event, sent again and again
	}{
		"accepts all":           {behavior{}, []int{204, 204}},
		"rejects the first two": {behavior{rejectFirst: 2}, []int{409, 409, 204, 204}},
		"rejects with a status": {behavior{rejectFirst: 1, status: 500}, []int{500, 204}},
		"rejects all":           {behavior{rejectAll: true, status: 410}, []int{410, 410, 410}},
		"accepts after a delay": {behavior{delay: time.Millisecond}, []int{204}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLedger()
			t.Cleanup(l.close)
			b, err := l.add(t.Context(), "ehr")
			if err != nil {
				t.Fatal(err)
			}
			b.behave(tt.behavior)
			taken := 0
			for i, want := range tt.want {
				if got := deliverTo(t.Context(), t, b, "a"); got != want {
					t.Errorf("answer %d is %d, want %d", i+1, got, want)
				}
				if want == http.StatusNoContent {
					taken++
				}
			}
			if b.deliveries() != taken || b.events() != min(taken, 1) || b.rejections() != len(tt.want)-taken || b.has("a") != (taken > 0) {
				t.Errorf("%d deliveries, %d events, %d rejections, has %v", b.deliveries(), b.events(), b.rejections(), b.has("a"))
			}
		})
	}
}

func TestBackendRestartsAtItsAddress(t *testing.T) {
	t.Parallel()
	l := newLedger()
	t.Cleanup(l.close)
	b, err := l.add(t.Context(), "ehr")
	if err != nil {
		t.Fatal(err)
	}
	url := b.url()
	for _, running := range []bool{true, false, true} {
		if running && b.server == nil {
			if err := b.start(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if !running {
			b.stop()
			b.stop() // a second time changes nothing
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err == nil {
			resp.Body.Close()
		}
		if (err == nil) != running {
			t.Errorf("running: %v; sending to it: %v", running, err)
		}
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	l := newLedger()
	t.Cleanup(l.close)
	for _, name := range []string{"ehr", "audit"} {
		if _, err := l.add(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	ehr, audit := l.backend("ehr"), l.backend("audit")
	b := newBook()
	b.acknowledge("both", nil, false, 0)
	b.acknowledge("one", []string{"audit"}, false, 0)
	deliverTo(t.Context(), t, ehr, "both")

	w := l.watch(b)
	defer w.end()
	if w.number != 2 {
		t.Fatalf("%d wait, want 2", w.number)
	}
	deliverTo(t.Context(), t, ehr, "both") // did not wait
	deliverTo(t.Context(), t, audit, "new")
	if len(w.first) > 0 {
		t.Error("first reports a delivery that did not wait")
	}
	deliverTo(t.Context(), t, audit, "both")
	receives(t, "the first delivery", w.first)
	if len(w.last) > 0 || w.left() != 1 {
		t.Errorf("%d left, and last reported: %v", w.left(), len(w.last) > 0)
	}
	deliverTo(t.Context(), t, audit, "both") // twice
	deliverTo(t.Context(), t, audit, "one")
	receives(t, "the last delivery", w.last)
	if w.left() != 0 || len(w.first) > 0 {
		t.Errorf("%d left, and first reported again: %v", w.left(), len(w.first) > 0)
	}
	w.end()
	if len(l.watches) != 0 {
		t.Error("the ledger keeps a watch that has ended")
	}
}
