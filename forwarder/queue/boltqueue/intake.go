package boltqueue

import (
	"iter"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// The bounds of one transaction, so that none takes long, and of what may wait
// for one.
const (
	batchOutcomes = 256
	batchStores   = 256
	batchTasks    = 16
	batchBytes    = 16 << 20 // of sealed payloads
	maxOutcomes   = 4096     // waiting; with more nothing is claimed
)

// An op is a change that waits for a transaction.
type op interface {
	// apply makes the change. After a failure elsewhere it is called again
	// with another transaction, and nothing of the first is left.
	apply(t *txn) error

	// done is called once when the change is durable, or with the error for
	// which it was given up.
	done(err error)
}

// stores are those of the ops that store an event.
func stores[T op](ops []T) iter.Seq[*storing] {
	return func(yield func(*storing) bool) {
		for _, o := range ops {
			if s, ok := op(o).(*storing); ok && !yield(s) {
				return
			}
		}
	}
}

// An intake holds what waits for the committing goroutine.
type intake struct {
	ready chan struct{} // holds one token when something may wait

	mu       sync.Mutex
	closed   bool
	outcomes []*settling
	tasks    []op
	stores   []*storing
	parked   []*storing          // stores that wait for room
	stuck    []*storing          // those in the journal that fail; for the next sweep
	starved  map[string]struct{} // upstreams that Claim gave nothing since too many outcomes wait

	ids     map[string]underWay // by the event's id
	bytes   int64               // of sealed payloads in those that wait
	pressed atomic.Bool         // whether somebody waits for the next commit
	hurry   chan struct{}       // holds one token when that is to be looked at
	journal *journal
	room    func() int64 // how many bytes may be stored now
}

// underWay counts the stores of an event: those that are under way, and those
// that were since there was none.
type underWay struct {
	now, ever int
}

func newIntake(j *journal, room func() int64) *intake {
	return &intake{
		ready: make(chan struct{}, 1), starved: make(map[string]struct{}),
		ids: make(map[string]underWay), hurry: make(chan struct{}, 1), journal: j, room: room,
	}
}

// note counts a store that is under way, and reports whether it is the only one
// of its event.
func (in *intake) note(s *storing) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	u := in.ids[s.record.id]
	u.now, u.ever = u.now+1, u.ever+1
	in.ids[s.record.id] = u
	return u.now == 1
}

// forget takes back what note, and store, have counted.
func (in *intake) forget(s *storing) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.leave(s)
}

func (in *intake) leave(s *storing) {
	u := in.ids[s.record.id]
	if u.now--; u.now <= 0 {
		delete(in.ids, s.record.id)
	} else {
		in.ids[s.record.id] = u
	}
	if s.counted {
		in.bytes -= s.record.size
		s.counted = false
	}
}

func (in *intake) signal() {
	select {
	case in.ready <- struct{}{}:
	default:
	}
}

// store adds a store. One that is the only one of its event goes to the journal as
// well, where that takes it.
func (in *intake) store(s *storing, only bool) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed {
		return queue.ErrClosed
	}
	in.add(s)
	only = only && in.ids[s.record.id].ever == 1 // or another of it may have come before it, and is what is kept
	if only && in.bytes <= in.room() && in.journal.takes(len(s.sealed)) {
		s.journaled.Store(true)
		in.journal.add(s)
	} else {
		in.press()
	}
	in.signal()
	if in.worth() {
		in.prompt()
	}
	return nil
}

// settle adds an outcome, unless the queue is closed.
func (in *intake) settle(s *settling) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed {
		return false
	}
	in.outcomes = append(in.outcomes, s)
	in.signal()
	if in.worth() {
		in.prompt()
	}
	return true
}

// late adds outcomes of events that have just come to the file, also while the
// queue is being closed.
func (in *intake) late(outcomes []*settling) {
	if len(outcomes) == 0 {
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.outcomes = append(in.outcomes, outcomes...)
	in.signal()
}

// do adds a task.
func (in *intake) do(k op) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed {
		return queue.ErrClosed
	}
	in.tasks = append(in.tasks, k)
	in.press()
	in.signal()
	return nil
}

// take takes the ops of the next transaction: outcomes and tasks first, since
// they free space.
func (in *intake) take() []op {
	in.mu.Lock()
	defer in.mu.Unlock()
	var ops []op
	in.pressed.Store(false)
	in.outcomes = takeFront(in.outcomes, min(len(in.outcomes), batchOutcomes), &ops)
	in.tasks = takeFront(in.tasks, min(len(in.tasks), batchTasks), &ops)

	// Whoever waited for a store whose context has ended has gone.
	in.stores = slices.DeleteFunc(in.stores, in.withdraw)
	in.parked = slices.DeleteFunc(in.parked, in.withdraw)
	n, size := 0, 0
	for n < min(len(in.stores), batchStores) && (n == 0 || size+len(in.stores[n].sealed) <= batchBytes) {
		size += len(in.stores[n].sealed)
		n++
	}
	in.stores = takeFront(in.stores, n, &ops)
	return ops
}

// withdraw reports whether whoever waits for a store has gone.
func (in *intake) withdraw(s *storing) bool {
	if !s.withdrawn() {
		return false
	}
	in.leave(s)
	return true
}

func takeFront[T op](from []T, n int, to *[]op) []T {
	for _, o := range from[:n] {
		*to = append(*to, o)
	}
	return slices.Delete(from, 0, n)
}

// back puts ops that could not be committed back to the front, and gives up
// tasks, whose callers can ask again.
func (in *intake) back(ops []op, cause error) {
	var outcomes []*settling
	var stores []*storing
	var tasks []op
	for _, o := range ops {
		switch o := o.(type) {
		case *settling:
			outcomes = append(outcomes, o)
		case *storing:
			stores = append(stores, o)
		case probing: // the next sweep has another
		default:
			tasks = append(tasks, o)
		}
	}
	in.mu.Lock()
	in.outcomes = slices.Insert(in.outcomes, 0, outcomes...)
	in.stores = slices.Insert(in.stores, 0, stores...)
	for _, s := range in.stores { // those that were not tried wait for the same
		s.cause = cause
	}
	in.mu.Unlock()
	for _, k := range tasks {
		k.done(cause)
	}
}

// park keeps a store until there is room.
func (in *intake) park(s *storing) {
	in.mu.Lock()
	defer in.mu.Unlock()
	s.cause = queue.ErrFull
	in.parked = append(in.parked, s)
}

// unpark tries the parked stores again.
func (in *intake) unpark() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.parked) == 0 {
		return
	}
	in.stores = append(in.parked, in.stores...)
	in.parked = nil
	in.press()
	in.signal()
}

// cause tells why a store that is still waiting has not been made.
func (in *intake) cause(s *storing) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	return s.cause
}

// crowded reports whether so many outcomes wait that nothing may be claimed,
// and notes the upstream to be woken when that is over.
func (in *intake) crowded(upstream string) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.outcomes) < maxOutcomes {
		return false
	}
	in.starved[upstream] = struct{}{}
	return true
}

// relieved returns the upstreams to wake since few outcomes wait now.
func (in *intake) relieved() []string {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.starved) == 0 || len(in.outcomes) > maxOutcomes/2 {
		return nil
	}
	var names []string
	for name := range in.starved {
		names = append(names, name)
	}
	clear(in.starved)
	return names
}

// unknowns are the stores that wait and have not been looked at by themselves.
func (in *intake) unknowns() []*storing {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(in.stores), func(s *storing) bool { return s.unknown || s.journaled.Load() })
}

// add adds a store to those that wait. in.mu is held, or nobody has the intake
// yet.
func (in *intake) add(s *storing) {
	in.bytes += s.record.size
	s.counted = true
	in.stores = append(in.stores, s)
}

// stick keeps a store that fails although it is in the journal.
func (in *intake) stick(s *storing) {
	in.mu.Lock()
	defer in.mu.Unlock()
	s.alone.Store(false) // others of its event may now come before it
	in.stuck = append(in.stuck, s)
}

// unstick tries those again.
func (in *intake) unstick() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.stores = append(in.stuck, in.stores...)
	in.stuck = nil
}

// drop takes stores out of those that wait, and returns those that were there.
func (in *intake) drop(these []*storing) (dropped []*storing) {
	if len(these) == 0 {
		return nil
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.stores = slices.DeleteFunc(in.stores, func(s *storing) bool {
		is := slices.Contains(these, s)
		if is {
			dropped = append(dropped, s)
		}
		return is
	})
	return dropped
}

// close lets nothing more in.
func (in *intake) close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed = true
}

// abandon gives up what waits in a queue that is being closed and cannot be
// committed.
func (in *intake) abandon(cause error) {
	for _, o := range in.rest() {
		o.done(cause)
	}
}

// rest takes whatever is left, parked stores included.
func (in *intake) rest() []op {
	in.mu.Lock()
	defer in.mu.Unlock()
	var ops []op
	in.outcomes = takeFront(in.outcomes, len(in.outcomes), &ops)
	in.tasks = takeFront(in.tasks, len(in.tasks), &ops)
	in.stores = takeFront(in.stores, len(in.stores), &ops)
	in.parked = takeFront(in.parked, len(in.parked), &ops)
	in.stuck = takeFront(in.stuck, len(in.stuck), &ops)
	return ops
}
