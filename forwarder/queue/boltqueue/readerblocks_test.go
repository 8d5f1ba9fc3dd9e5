package boltqueue

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// Of a file in which nothing leads to pages any more, no block is taken for a
// part of an event, though there are events in the places whose numbers blocks
// have.
func TestReaderPassesOverBlocks(t *testing.T) {
	t.Parallel()
	o := Options{Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings()}
	q := mustOpen(t, o)
	const sealed = 10
	for i := range sealed {
		store(t, q, fmt.Sprint("note-", i), "ehr")
	}
	fill(t, q, 6*blockSize, func(i int) map[string]queue.State {
		return map[string]queue.State{"ehr": anyState[i%7%3], "audits": queue.Delivered}
	})
	mustClose(t, q)

	r, err := OpenReader(o.Path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	d := r.reading(t.Context())
	d.filter.Payloads = true
	d.gather()
	if err := d.unlock(); err != nil {
		t.Fatal(err)
	}
	told := make(map[string]bool)
	if err := d.tell(func(f Found) error {
		told[f.Record.ID] = true
		if f.RecordLost || f.PayloadLost || (f.Event != nil) != f.Record.HasPayload || f.Record.HasPayload != (len(told) > 6*blockSize) {
			t.Errorf("%+v", f)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(told) != sealed+6*blockSize || len(d.names) > 0 {
		t.Errorf("%d events are told of, and %d have two names; want %d and none", len(told), len(d.names), sealed+6*blockSize)
	}
}
