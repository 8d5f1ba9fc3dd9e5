package boltqueue

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier/event"
)

// A fresh lends events that are in the journal and not in the file yet, so that
// none waits for the file to be delivered. An outcome that is known before the
// event is taken to the file goes there with it; of one that has been delivered
// by then the file gets the trace only, and never the payload.
//
// Its mutex is taken before a lane's, and no other is taken with it.
type fresh struct {
	lanes *lanes

	mu      sync.Mutex
	last    uint64                // the number of the newest event
	waits   map[string][]*storing // by upstream: those never lent, in the order of their numbers
	retries map[string][]retry    // by upstream: those lent before, in the order in which they are due
	loans   map[loan]*storing
}

// A retry is an event that is due again.
type retry struct {
	due   int64
	event *storing
}

// A loan is of an event to an upstream.
type loan struct {
	upstream string
	number   uint64
}

// A memory is what a fresh knows of an event. All of it is guarded by its mutex.
type memory struct {
	event    *event.Event // nil once the file has it, and where it comes from a journal of before
	number   uint64       // 0 before it was offered
	outcomes []*settling  // of loans that have ended
	seq      uint64       // the place that a transaction gives it in the file; 0 if none does
	with     int          // how many of the outcomes that transaction has
	claimed  []string     // the upstreams that have claimed that place
	stored   bool         // whether the file has it
}

// inMemory marks the Seq of a delivery that a fresh has lent: the rest of it is
// the event's number there. No place in a file is as high.
const inMemory = 1 << 63

// loanOf returns the loan that a delivery is, if it is one.
func loanOf(d queue.Delivery) (l loan, ok bool) {
	return loan{d.Upstream, d.Seq &^ inMemory}, d.Seq&inMemory != 0
}

func newFresh(ls *lanes) *fresh {
	return &fresh{lanes: ls, waits: make(map[string][]*storing), retries: make(map[string][]retry), loans: make(map[loan]*storing)}
}

// offer takes in events that are in the journal now, and returns the upstreams
// that they are for.
func (f *fresh) offer(events []*storing) (upstreams []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range events {
		f.last++
		s.memory.number = f.last
		for i := range s.record.deliveries {
			u := s.record.deliveries[i].upstream
			f.await(s, u)
			if !slices.Contains(upstreams, u) {
				upstreams = append(upstreams, u)
			}
		}
	}
	return upstreams
}

// await has an event wait to be lent to an upstream, if it is to be.
func (f *fresh) await(s *storing, upstream string) {
	if s.memory.number == 0 || s.memory.seq != 0 || s.memory.stored || f.lent(s, upstream) {
		return // it is not in the journal yet, or in the file in a moment, or there, or lent
	}
	switch d := s.standing(upstream); {
	case d.state != queue.Pending:
	case d.attempts == 0:
		i, _ := f.find(s, upstream)
		f.waits[upstream] = slices.Insert(f.waits[upstream], i, s)
	default:
		again := f.retries[upstream]
		i, _ := slices.BinarySearchFunc(again, d.next, func(r retry, due int64) int { return cmp.Compare(r.due, due) })
		f.retries[upstream] = slices.Insert(again, i, retry{d.next, s})
	}
}

// standing is where a delivery of an event in memory stands, without its history.
func (s *storing) standing(upstream string) delivery {
	d := *s.record.delivery(upstream)
	d.history = nil
	for _, o := range s.memory.outcomes {
		if o.outcome.Delivery.Upstream == upstream {
			d.settle(&o.outcome)
		}
	}
	return d
}

// withdraw has an event wait no more.
func (f *fresh) withdraw(s *storing) {
	for i := range s.record.deliveries {
		u := s.record.deliveries[i].upstream
		switch i, waits := f.find(s, u); {
		case !waits:
			f.retries[u] = slices.DeleteFunc(f.retries[u], func(r retry) bool { return r.event == s })
		case i == 0: // as most often, since events come to the file in the order of the journal
			f.waits[u][0], f.waits[u] = nil, f.waits[u][1:]
		default:
			f.waits[u] = slices.Delete(f.waits[u], i, i+1)
		}
	}
}

// find returns where an event waits for an upstream, or would.
func (f *fresh) find(s *storing, upstream string) (i int, waits bool) {
	return slices.BinarySearchFunc(f.waits[upstream], s, func(a, b *storing) int {
		return cmp.Compare(a.memory.number, b.memory.number)
	})
}

// lend lends events to an upstream, and tells when the first retry that is not due
// yet will be; 0 if there is none.
func (f *fresh) lend(upstream string, want queue.Want, now int64) (lent []queue.Delivery, next int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	waits, retries := f.waits[upstream], f.retries[upstream]
	for ; len(waits) > 0 && want.First > 0; want.First-- {
		lent = append(lent, f.lendOne(waits[0], upstream))
		waits[0], waits = nil, waits[1:]
	}
	for ; len(retries) > 0 && retries[0].due <= now && want.Retry > 0; want.Retry-- {
		lent = append(lent, f.lendOne(retries[0].event, upstream))
		retries = slices.Delete(retries, 0, 1)
	}
	f.waits[upstream], f.retries[upstream] = waits, retries
	for _, r := range retries {
		if r.due > now {
			return lent, r.due
		}
	}
	return lent, 0
}

func (f *fresh) lendOne(s *storing, upstream string) queue.Delivery {
	f.loans[loan{upstream, s.memory.number}] = s
	d := s.standing(upstream)
	return queue.Delivery{
		Seq:        s.memory.number | inMemory,
		EventID:    s.record.id,
		Provider:   s.record.provider,
		Type:       s.record.typ,
		Upstream:   upstream,
		Size:       s.record.size,
		ReceivedAt: at(s.record.receivedAt),
		Attempts:   d.attempts,
		Used:       d.used,
		LastEnded:  d.lastEnded(),
	}
}

// lentTo counts an upstream's loans of events that have no place in the file.
func (f *fresh) lentTo(upstream string) (n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for l, s := range f.loans {
		if l.upstream == upstream && s.memory.seq == 0 {
			n++
		}
	}
	return n
}

// load returns an event that is lent, or what is sealed of it, or its place in the
// file if it is there by now.
func (f *fresh) load(l loan) (e *event.Event, sealed []byte, seq uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.loans[l]
	switch {
	case s == nil:
		return nil, nil, 0
	case s.memory.stored:
		return nil, nil, s.memory.seq
	}
	return s.memory.event, s.sealed, 0
}

// settle ends a loan with its outcome. It returns whether there was one, and
// whether the outcome is for the file; else it goes there with the event.
func (f *fresh) settle(l loan, o *settling) (was, forFile bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.loans[l]
	if s == nil {
		return false, false
	}
	delete(f.loans, l)
	o.outcome.Delivery.Seq = 0
	if !s.memory.stored {
		s.memory.outcomes = append(s.memory.outcomes, o)
		f.await(s, l.upstream)
		return true, false
	}
	o.outcome.Delivery.Seq = s.memory.seq
	return true, true
}

// release ends a loan as if it had not been.
func (f *fresh) release(l loan) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.loans[l]
	if s == nil {
		return
	}
	delete(f.loans, l)
	if s.memory.seq != 0 {
		f.lanes.of(l.upstream).release(s.memory.seq)
	}
	f.await(s, l.upstream)
}

// take has an event lent no more, since a transaction gives it a place in the
// file, where whoever has it now claims it. It returns the outcomes so far, which
// belong into that transaction.
func (f *fresh) take(s *storing, seq uint64) []*settling {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.withdraw(s)
	m := &s.memory
	m.seq, m.with, m.claimed = seq, len(m.outcomes), nil
	for i := range s.record.deliveries {
		if u := s.record.deliveries[i].upstream; f.lent(s, u) {
			f.lanes.of(u).claim(seq)
			m.claimed = append(m.claimed, u)
		}
	}
	return m.outcomes[:m.with:m.with]
}

func (f *fresh) lent(s *storing, upstream string) bool {
	return f.loans[loan{upstream, s.memory.number}] == s
}

// failed lends again the events of a transaction of which nothing remains.
func (f *fresh) failed(ops []op) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for s := range stores(ops) {
		if s.memory.seq == 0 {
			continue
		}
		for _, u := range s.memory.claimed { // whether or not it is lent still
			f.lanes.of(u).settle(s.memory.seq)
		}
		s.memory.seq, s.memory.with = 0, 0
		for i := range s.record.deliveries {
			f.await(s, s.record.deliveries[i].upstream)
		}
	}
}

// committed notes that the events of a transaction are in the file. It returns
// the outcomes that came too late to go there with them.
func (f *fresh) committed(ops []op) (late []*settling) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for s := range stores(ops) {
		m := &s.memory
		if m.seq == 0 && !s.duplicate {
			continue
		}
		if m.seq == 0 { // it was there already
			f.withdraw(s)
		}
		m.stored = true
		for _, o := range m.outcomes[m.with:] {
			o.outcome.Delivery.Seq = m.seq
			late = append(late, o)
		}
		m.outcomes, m.event = nil, nil
	}
	return late
}

// loadFresh reads the event of a loan.
func (q *Queue) loadFresh(l loan, d queue.Delivery) (*event.Event, error) {
	e, sealed, seq := q.fresh.load(l)
	switch {
	case e != nil:
		return e, nil
	case sealed != nil:
		return q.ring.Load().open(d.EventID, sealed)
	case seq != 0:
		d.Seq = seq
		return q.loadStored(d)
	}
	return nil, fmt.Errorf("loading event %s: %w: it is not lent", d.EventID, queue.ErrNotFound)
}
