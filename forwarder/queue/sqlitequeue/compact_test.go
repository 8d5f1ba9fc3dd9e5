package sqlitequeue

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
)

// Compact and its progress count the whole storage in bytes.
func TestCompactCountsBytes(t *testing.T) {
	t.Parallel()
	q := mustOpen(t, Options{Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings()})
	compact := func() (out queue.Compacted, done, total int64) {
		t.Helper()
		out, err := q.Compact(t.Context(), func(d, of int64) { done, total = d, of })
		if err != nil || out.After > out.Before {
			t.Fatalf("Compact: %+v, %v", out, err)
		}
		return out, done, total
	}
	for i := range 300 {
		it := queue.Item{Event: queuetest.Event(fmt.Sprint("e", i), time.Now()), Upstreams: []string{"old"}}
		if _, err := q.Store(t.Context(), it); err != nil {
			t.Fatal(err)
		}
	}
	compact() // before, most of it is in the WAL; afterwards, in the main file
	if _, err := q.Purge(t.Context(), queue.PurgeSelection{Upstream: "old"}); err != nil {
		t.Fatal(err)
	}
	const page = tables.PageSize
	if out, done, total := compact(); out.After == out.Before || done != total || total%page != 0 || total < out.Before/2 || total > out.Before {
		t.Errorf("compacted %+v, %d of %d bytes", out, done, total)
	}
}
