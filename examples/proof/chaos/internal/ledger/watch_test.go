package ledger

import (
	"testing"
	"time"
)

func receives(t *testing.T, what string, c <-chan time.Time) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(10 * time.Second):
		t.Fatalf("%s did not come", what)
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	l := New()
	t.Cleanup(l.Close)
	for _, name := range []string{"ehr", "audit"} {
		if _, err := l.Add(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	ehr, audit := l.Backend("ehr"), l.Backend("audit")
	b := NewBook()
	b.Acknowledge("both", nil, false, 0)
	b.Acknowledge("one", []string{"audit"}, false, 0)
	deliverTo(t.Context(), t, ehr, "both")

	w := l.Watch(b)
	defer w.End()
	if w.Number != 2 {
		t.Fatalf("%d wait, want 2", w.Number)
	}
	deliverTo(t.Context(), t, ehr, "both") // did not wait
	deliverTo(t.Context(), t, audit, "new")
	if len(w.First) > 0 {
		t.Error("first reports a delivery that did not wait")
	}
	deliverTo(t.Context(), t, audit, "both")
	receives(t, "the first delivery", w.First)
	if len(w.last) > 0 || w.Left() != 1 {
		t.Errorf("%d left, and last reported: %v", w.Left(), len(w.last) > 0)
	}
	deliverTo(t.Context(), t, audit, "both") // twice
	deliverTo(t.Context(), t, audit, "one")
	receives(t, "the last delivery", w.last)
	if w.Left() != 0 || len(w.First) > 0 {
		t.Errorf("%d left, and first reported again: %v", w.Left(), len(w.First) > 0)
	}
	w.End()
	if len(l.watches) != 0 {
		t.Error("the ledger keeps a watch that has ended")
	}
}
