package forwarder

import (
	"time"

	"github.com/scribegate/scribegate/forwarder/internal/pace"
	"github.com/scribegate/scribegate/forwarder/queue"
)

// start begins an attempt at each delivery that there is room for, and returns how
// many. The first without room is kept, to be the next that begins, and those behind
// it are released to the queue. So are those that may not begin, since the upstream
// was paused or retired meanwhile.
func (r *runner) start(now time.Time, deliveries []queue.Delivery) (started int) {
	for i, d := range deliveries {
		if !r.room.acquire(footprint(d.Size)) {
			r.kept = &deliveries[i]
			for _, d := range deliveries[i+1:] {
				r.dispatcher.queue.Release(d)
			}
			break
		}
		if r.begin(now, d) {
			started++
		}
	}
	return started
}

// startKept is start for the delivery that is kept. It returns false if there is
// no room for it yet.
func (r *runner) startKept(now time.Time) bool {
	d := *r.kept
	if !r.room.acquire(footprint(d.Size)) {
		return false
	}
	r.kept = nil
	r.begin(now, d)
	return true
}

// releaseKept releases the delivery that is kept to the queue.
func (r *runner) releaseKept() {
	if r.kept != nil {
		r.dispatcher.queue.Release(*r.kept)
		r.kept = nil
	}
}

// begin begins an attempt at a delivery, for which room has been acquired.
func (r *runner) begin(now time.Time, d queue.Delivery) bool {
	granted := r.askToProbe(now, d.EventID)
	r.mu.Lock()
	var t pace.Ticket
	ok := !r.retired
	if ok {
		t, ok = r.pause.Begin(now)
	}
	if granted && !ok {
		r.pause.Return()
	}
	if ok {
		r.inFlight++
		r.limiter.AllowN(now, 1)
	}
	a := &attempt{runner: r, settings: r.settings, delivery: d, ticket: t}
	r.mu.Unlock()

	if !ok {
		r.room.release(footprint(d.Size))
		r.dispatcher.queue.Release(d)
		return false
	}
	r.slots++
	r.probed = ""
	if t.Probe {
		r.probed = d.EventID
	}
	r.dispatcher.work.Add(1)
	r.dispatcher.workers.Go(func() {
		defer r.dispatcher.work.Done()
		a.run()
	})
	return true
}
