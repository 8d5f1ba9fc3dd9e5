package ledger

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// A proxy reports two deliveries of one event at once, and only these.
func TestProxy(t *testing.T) {
	t.Parallel()
	l := New()
	defer l.Close()
	b, err := l.Add(t.Context(), "ehr")
	if err != nil {
		t.Fatal(err)
	}
	w, err := NewProxy(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if got, want := w.Insert("upstream ehr "+b.URL()), "upstream ehr http://"+w.Address+"/events"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	send := func(id string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+w.Address+"/events", strings.NewReader("{}"))
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
	b.Behave(Behavior{Delay: 300 * time.Millisecond})
	together("two", "three")
	if n := w.Overlapping(); n != 0 {
		t.Errorf("%d deliveries overlap, want none", n)
	}
	together("four", "four")
	if n := w.Overlapping(); n != 1 {
		t.Errorf("%d deliveries overlap, want 1", n)
	}
	if _, ok := w.CameAt("one"); !ok || b.Deliveries() != 6 {
		t.Errorf("the proxy has seen the event: %v; the backend has %d deliveries, want 6", ok, b.Deliveries())
	}
}
