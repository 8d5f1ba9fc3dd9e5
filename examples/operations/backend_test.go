package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// deliver sends a delivery to a backend and returns the status of the answer.
func deliver(b *backend, id, eventType, attempt string) int {
	r := httptest.NewRequest(http.MethodPost, "/events", strings.NewReader(`{"id":"`+id+`","type":"`+eventType+`"}`))
	r.Header.Set("Scribegate-Attempt", attempt)
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	return w.Code
}

func TestBackendFailsAndIsRepaired(t *testing.T) {
	t.Parallel()
	b := &backend{accepted: make(map[string][]string)}
	for _, step := range []struct {
		change          func()
		generated, fail int // the answers to the two types
	}{
		{func() {}, 200, 200},
		{func() { b.fail(400, "note.generated") }, 400, 200},
		{func() { b.fail(500, "") }, 500, 500},
		{b.repair, 200, 200},
	} {
		step.change()
		if got := deliver(b, "a", "note.generated", "1"); got != step.generated {
			t.Errorf("note.generated is answered %d, want %d", got, step.generated)
		}
		if got := deliver(b, "b", "note.failed", "1"); got != step.fail {
			t.Errorf("note.failed is answered %d, want %d", got, step.fail)
		}
	}
	if len(b.accepted["a"]) != 2 || len(b.accepted["b"]) != 3 {
		t.Errorf("accepted = %v, want only events that were answered 200", b.accepted)
	}
	r := httptest.NewRequest(http.MethodPost, "/events", strings.NewReader("no JSON"))
	w := httptest.NewRecorder()
	if b.ServeHTTP(w, r); w.Code == http.StatusOK {
		t.Error("a body that is not an event is accepted")
	}
}

func TestBackendCheck(t *testing.T) {
	t.Parallel()
	b := &backend{accepted: make(map[string][]string)}
	deliver(b, "once", "note.generated", "1")
	deliver(b, "late", "note.generated", "2")
	deliver(b, "twice", "note.generated", "1")
	deliver(b, "twice", "note.generated", "1")
	for id, good := range map[string]bool{"once": true, "late": false, "twice": false, "never": false} {
		if err := b.check([]string{"once", id}, "1"); (err == nil) != good {
			t.Errorf("check(%s) = %v", id, err)
		}
	}
}

func TestBackendLeavesAndComesBack(t *testing.T) {
	t.Parallel()
	b, err := newBackend(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.leave()
	b.leave() // it is down already
	if err := b.arrive(t.Context()); err != nil {
		t.Error(err)
	}
	b.leave()
	b.address = "127.0.0.1:no-port"
	if err := b.arrive(t.Context()); err == nil {
		t.Error("arrive() with an invalid address = nil")
	}
}
