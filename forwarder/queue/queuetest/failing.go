package queuetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// shortWait is the time limit of a store that must fail: long enough for the engine to
// try it, and to try another store that waits.
const shortWait = 500 * time.Millisecond

var failing = []testCase{
	{name: "full: a store waits for room until its context ends", settings: func(s *queue.Settings) { s.MaxSize = 4000 }, test: func(h *harness) {
		var ids []string
		for i := 0; ; i++ {
			id := fmt.Sprint("e", i)
			if err := h.tryStore(id, shortWait); errors.Is(err, queue.ErrFull) {
				break
			} else if err != nil {
				h.Fatal(err)
			}
			ids = append(ids, id)
		}
		if b := h.stats().Bytes; b > 4000 || len(ids) < 2 {
			h.Fatalf("full at %d bytes with %d events", b, len(ids))
		}
		h.storeAgain(ids[0], "ehr") // a duplicate needs no room

		waiting := make(chan error, 1)
		go func() {
			_, err := h.Store(h.Context(), queue.Item{Event: Event("late", h.Now()), Upstreams: []string{"ehr"}})
			waiting <- err
		}()
		h.wantErr("Store", h.tryStore("refused", shortWait), queue.ErrFull) // now the other store waits
		for _, d := range h.claim("ehr", 100) {
			h.deliver(d)
		}
		if err := <-waiting; err != nil {
			h.Fatalf("the waiting store returned %v", err)
		}
		h.wantIDs(h.claim("ehr", 10), "late")
		h.store("e-after", "ehr")
	}},
	{name: "full: a higher limit makes room", settings: func(s *queue.Settings) { s.MaxSize = 10 }, test: func(h *harness) {
		h.wantErr("Store", h.tryStore("a", shortWait), queue.ErrFull)
		waiting := make(chan error, 1)
		go func() {
			_, err := h.Store(h.Context(), queue.Item{Event: Event("b", h.Now()), Upstreams: []string{"ehr"}})
			waiting <- err
		}()
		h.wantErr("Store", h.tryStore("refused", shortWait), queue.ErrFull) // now the other store waits
		s := h.settings
		s.MaxSize = 0
		h.Configure(s)
		if err := <-waiting; err != nil {
			h.Fatalf("the waiting store returned %v", err)
		}
		h.store("a", "ehr") // the rejected store left nothing
	}},
	{name: "fail: a failed store leaves nothing, and the next succeeds", test: func(h *harness) {
		if !h.has(h.FailWrites != nil, "FailWrites") {
			return
		}
		h.store("before", "ehr")
		h.FailWrites(true)
		if err := h.tryStore("a", shortWait); err == nil {
			h.Fatal("Store succeeded although storage fails")
		}
		h.FailWrites(false)
		h.store("b", "ehr")
		_, err := h.Queue.Event(h.Context(), "a")
		h.wantErr("Event", err, queue.ErrNotFound)
		h.store("a", "ehr")
		h.wantIDs(h.claim("ehr", 10), "before", "b", "a")
	}},
	{name: "fail: a store waits for the end of a failure", test: func(h *harness) {
		if !h.has(h.FailWrites != nil, "FailWrites") {
			return
		}
		h.FailWrites(true)
		done := make(chan error, 1)
		go func() {
			_, err := h.Store(h.Context(), queue.Item{Event: Event("a", h.Now()), Upstreams: []string{"ehr"}})
			done <- err
		}()
		if err := h.tryStore("b", shortWait); err == nil {
			h.Fatal("Store succeeded although storage fails")
		}
		h.FailWrites(false)
		if err := <-done; err != nil {
			h.Fatalf("the waiting store returned %v", err)
		}
		h.wantIDs(h.claim("ehr", 10), "a")
	}},
	{name: "fail: outcomes are kept in memory until they can be written", test: func(h *harness) {
		if !h.has(h.FailWrites != nil, "FailWrites") {
			return
		}
		h.store("a", "ehr")
		h.store("b", "ehr")
		ds := h.claim("ehr", 10)
		h.wantIDs(ds, "a", "b")
		h.FailWrites(true)
		h.Queue.Settle(queue.Outcome{Delivery: ds[0], State: queue.Delivered, Result: queue.Success, Status: 200, Used: true})
		h.Queue.Settle(queue.Outcome{Delivery: ds[1], State: queue.Pending, Result: queue.Failure, Used: true, Next: h.Now()})
		if err := h.tryStore("c", shortWait); err == nil {
			h.Fatal("Store succeeded although storage fails")
		}
		h.wantIDs(h.claim("ehr", 10)) // both are still claimed
		h.FailWrites(false)
		h.Flush()
		if got := delivery(h.record("a"), "ehr").State; got != queue.Delivered {
			h.Fatalf("a is %s, want delivered", got)
		}
		d := h.claimOne("ehr", "b")
		if d.Attempts != 1 {
			h.Fatalf("b has %d attempts, want 1: an outcome counts once, even if the engine tries several times to write it", d.Attempts)
		}
	}},
}
