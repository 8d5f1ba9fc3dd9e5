package sqlitequeue

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
	"github.com/scribegate/scribegate/verifier/event"
)

// An unrouted event whose payload cannot be opened does not stop a replay: it is
// skipped, counted and reported.
func TestReplayOfAnUnreadableUnroutedEvent(t *testing.T) {
	t.Parallel()
	reported := make(chan error, 10)
	q := mustOpen(t, Options{
		Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings(), OnDamage: func(err error) { reported <- err },
	})
	for _, id := range []string{"damaged", "whole"} {
		if _, err := q.Store(t.Context(), queue.Item{Event: queuetest.Event(id, time.Now()), State: queue.Unrouted}); err != nil {
			t.Fatal(err)
		}
	}
	err := q.do(t.Context(), func(t *tx) error {
		return t.c.Exec(`UPDATE payload SET sealed = zeroblob(length(sealed)) WHERE id = 'damaged'`)
	})
	if err != nil {
		t.Fatal(err)
	}
	s := queue.ReplaySelection{State: queue.Unrouted, Route: func(*event.Event) []string { return []string{"ehr"} }}
	if got, err := q.Replay(t.Context(), s); err != nil || got != (queue.Replayed{Deliveries: 1, WithoutPayload: 1}) {
		t.Errorf("Replay: %+v, %v", got, err)
	}
	s.State, s.IDs = "", []string{"damaged"}
	if _, err := q.Replay(t.Context(), s); !errors.Is(err, queue.ErrUnreadable) {
		t.Errorf("Replay by id: %v", err)
	}
	if stats, err := q.Stats(); err != nil || stats.Unreadable != 1 || stats.Unrouted != 1 {
		t.Errorf("stats %+v, %v", stats, err)
	}
	if len(reported) != 1 {
		t.Errorf("reported %d times", len(reported))
	}
}
