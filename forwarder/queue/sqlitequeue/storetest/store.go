// Package storetest creates stores with events in many states, for tests that damage a
// store and read the rest.
//
// It imports package salvage, and only tests import it.
package storetest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/disk"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/salvage"
	"github.com/scribegate/scribegate/verifier/event"
)

// A Store is a closed store and the events in it.
type Store struct {
	Path   string
	IDs    []string // oldest first
	Want   map[string]queue.Record
	Events map[string]*event.Event
}

// The stages of a third of the events.
var (
	Completion = queue.Completion("soapnoteapi", "https://soapnoteapi.com")
	Cleanup    = queue.Cleanup("soapnoteapi", "https://soapnoteapi.com")
)

// New creates a store of n events in many states, with a queue that open opens.
func New(t testing.TB, n int, open func(path string) queue.Queue) *Store {
	t.Helper()
	s := &Store{Path: filepath.Join(t.TempDir(), "queue.db"), Want: make(map[string]queue.Record), Events: make(map[string]*event.Event)}
	q := open(s.Path)
	for i := range n {
		id := fmt.Sprint("note-", i)
		it := queue.Item{Event: queuetest.Event(id, time.Now()), Upstreams: []string{"ehr", "lab"}}
		if i%10 == 9 {
			it.Event.Body = append(it.Event.Body, make([]byte, 9000)...) // in overflow pages
		}
		if i%7 == 6 {
			it.Upstreams, it.State = nil, queue.Unrouted
		}
		if i%3 == 1 && it.State == "" {
			it.Upstreams = append(it.Upstreams, Completion, Cleanup)
		}
		if _, err := q.Store(t.Context(), it); err != nil {
			t.Fatal(err)
		}
		s.IDs, s.Events[id] = append(s.IDs, id), it.Event
	}
	s.complete(t, q, n)
	for _, name := range []string{"ehr", "lab"} {
		c, err := q.Claim(name, time.Now(), queue.Want{First: n})
		if err != nil {
			t.Fatal(err)
		}
		for i, delivery := range c.Deliveries {
			o := queue.Outcome{Delivery: delivery, At: time.Now(), Result: queue.Success, Status: 200, State: queue.Delivered}
			switch i % 4 {
			case 0:
				q.Settle(o)
			case 1:
				o.State, o.Result, o.Next = queue.Pending, queue.Timeout, time.Now()
				q.Settle(o)
			case 2:
				if name == "lab" {
					o.State = queue.Dead
					q.Settle(o)
				}
			}
		}
	}
	record(t, q)
	for _, id := range s.IDs {
		r, err := q.Event(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		s.Want[id] = r
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	return s
}

// complete completes two thirds of the events that wait for it, and attempts one third.
func (s *Store) complete(t testing.TB, q queue.Queue, n int) {
	t.Helper()
	c, err := q.Claim(Completion, time.Now(), queue.Want{First: n})
	if err != nil {
		t.Fatal(err)
	}
	for i, delivery := range c.Deliveries {
		o := queue.Outcome{Delivery: delivery, At: time.Now(), Result: queue.Success, Status: 200, State: queue.Delivered}
		if i%3 == 2 {
			o.State, o.Result, o.Next = queue.Pending, queue.Timeout, time.Now()
		} else {
			e := *s.Events[delivery.EventID]
			e.Body = append(slices.Clone(e.Body), make([]byte, 2000)...)
			o.Event, s.Events[delivery.EventID] = &e, &e
		}
		q.Settle(o)
	}
	record(t, q)
}

// record records all outcomes.
func record(t testing.TB, q queue.Queue) {
	t.Helper()
	if _, err := q.Purge(t.Context(), queue.PurgeSelection{State: queue.Dead, DryRun: true}); err != nil {
		t.Fatal(err)
	}
}

// Copy returns the path of a copy.
func (s *Store) Copy(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "queue.db")
	for _, side := range []string{"", disk.WAL, disk.Key} {
		b, err := os.ReadFile(s.Path + side)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err := errors.Join(err, os.WriteFile(path+side, b, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// ReadAll reads a store that is not in use.
func ReadAll(t testing.TB, path string) (map[string]salvage.Found, salvage.Tally) {
	t.Helper()
	r, err := salvage.OpenReader(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]salvage.Found)
	tally, err := r.Read(t.Context(), salvage.ReadFilter{Payloads: true}, func(f salvage.Found) error {
		if _, twice := all[f.Record.ID]; twice {
			t.Errorf("%s was found twice", f.Record.ID)
		}
		all[f.Record.ID] = f
		return nil
	})
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	return all, tally
}

// RowsOn returns the maximum number of events that have a row on a page of a database
// file. Losing the page can cost so many events.
func RowsOn(page []byte, number int) int {
	header := page
	if number == 1 {
		header = page[100:]
	}
	switch header[0] {
	case 2, 10, 13: // an index page, or a leaf page of a table
		return max(1, int(binary.BigEndian.Uint16(header[3:])))
	}
	return 1 // an overflow page of a payload
}
