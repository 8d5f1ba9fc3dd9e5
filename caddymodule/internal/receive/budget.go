package receive

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

const (
	// unverifiedSize is the largest number of bytes that bodies occupy in this process
	// before they are proved genuine.
	unverifiedSize = 256 << 20

	// SmallBody is the largest size of a small body. A body of unknown length counts as
	// small until it outgrows this size.
	SmallBody = 64 << 10
)

// A part of a budget is reserved for one purpose.
type part int

const (
	// SmallPart is for small bodies only, so that they never wait for large bodies.
	SmallPart part = iota
	// CommonPart is for all bodies. They acquire more of it as they arrive.
	CommonPart
	// WholePart is for a body that acquires at once all the room that it can need.
	// Bodies that hold the common part and wait for more of it could wait for each
	// other forever. With this part, the body that has waited longest can always be
	// read to its end.
	WholePart
	// OutgrownPart is for the first SmallBody bytes of waiting bodies that turned out to
	// be large, since these must not occupy the small part.
	OutgrownPart

	// Parts is the number of parts.
	Parts
)

// UnverifiedParts are the sizes of the parts of the budget for bodies that are not yet
// proved genuine.
var UnverifiedParts = [Parts]int64{
	SmallPart:    64 << 20,
	CommonPart:   unverifiedSize - (64+32+8)<<20,
	WholePart:    MaxBody,
	OutgrownPart: 8 << 20,
}

// Unverified is the budget of this process for bodies that are not yet proved genuine.
var Unverified = NewBudget(UnverifiedParts)

// errNoRoom is the error of a body that found no room in the budget in time.
var errNoRoom = errors.New("too many bodies are being received")

// A Budget is shared by bodies that acquire more of it as they arrive.
type Budget struct {
	mu      sync.Mutex
	unused  [Parts]int64
	waiting []*waiter // in the order of their requests
}

// NewBudget returns a budget with parts of these sizes.
func NewBudget(sizes [Parts]int64) *Budget { return &Budget{unused: sizes} }

// A room is a number of bytes of one part.
type room struct {
	part part
	size int64
}

// An allowance is the room that one body holds: that of its buffer, and that of the former
// buffer while it is copied.
type allowance struct {
	budget    *Budget
	held, old room
}

// A roomRequest is a request for the room of a body's next, larger buffer.
type roomRequest struct {
	size  int64 // of the next buffer
	whole int64 // of the largest buffer that the body can need
	small bool  // whether the body is small, as far as is known
}

// A waiter is a request that waits.
type waiter struct {
	roomRequest
	granted room          // set once done is closed
	done    chan struct{} // closed when there is room
}

// grow acquires room for a larger buffer and returns its size, which is req.size or
// req.whole. It waits until the given time at most.
func (a *allowance) grow(ctx context.Context, until time.Time, req roomRequest) (int64, error) {
	b := a.budget
	b.mu.Lock()
	found, ok := b.find(req)
	if ok {
		b.mu.Unlock()
	} else {
		w, err := b.enqueue(a, req)
		b.mu.Unlock()
		if err != nil {
			return 0, err
		}
		if err := b.await(ctx, until, w); err != nil {
			return 0, err
		}
		found = w.granted
	}
	a.old, a.held = a.held, found
	return found.size, nil
}

// settle returns the room of the former buffer.
func (a *allowance) settle() {
	a.budget.put(a.old)
	a.old = room{}
}

// release returns all room of the body.
func (a *allowance) release() {
	a.budget.put(a.old, a.held)
	a.old, a.held = room{}, room{}
}

// find acquires room that is free now, if there is any. b.mu is held.
func (b *Budget) find(req roomRequest) (room, bool) {
	if req.small {
		if found, ok := b.take(SmallPart, req.size); ok {
			return found, true
		}
	}
	return b.take(CommonPart, req.size)
}

// take acquires room in one part. b.mu is held.
func (b *Budget) take(from part, size int64) (room, bool) {
	if b.unused[from] < size {
		return room{}, false
	}
	b.unused[from] -= size
	return room{from, size}, true
}

// enqueue adds a body to those that wait for room. b.mu is held.
func (b *Budget) enqueue(a *allowance, req roomRequest) (*waiter, error) {
	if !req.small && a.held.part == SmallPart && a.held.size > 0 {
		moved, ok := b.take(OutgrownPart, a.held.size)
		if !ok {
			return nil, errNoRoom
		}
		b.unused[SmallPart] += a.held.size
		a.held = moved
	}
	w := &waiter{roomRequest: req, done: make(chan struct{})}
	b.waiting = append(b.waiting, w)
	b.grant()
	return w, nil
}

// await returns when a waiting request has its room.
func (b *Budget) await(ctx context.Context, until time.Time, w *waiter) error {
	patience := time.NewTimer(time.Until(until))
	defer patience.Stop()
	select {
	case <-w.done:
		return nil
	case <-patience.C:
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.waiting, w)
	if i < 0 {
		return nil // granted at the last moment
	}
	b.waiting = slices.Delete(b.waiting, i, i+1)
	b.grant() // another request may be the first now
	return errNoRoom
}

// put returns rooms, and grants them to waiting requests.
func (b *Budget) put(rooms ...room) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range rooms {
		b.unused[r.part] += r.size
	}
	b.grant()
}

// grant grants room to every waiting request for which there is some, and the whole part to
// the request that has waited longest. b.mu is held.
func (b *Budget) grant() {
	if len(b.waiting) == 0 {
		return
	}
	first := true
	b.waiting = slices.DeleteFunc(b.waiting, func(w *waiter) bool {
		found, ok := b.find(w.roomRequest)
		if !ok && first {
			found, ok = b.take(WholePart, w.whole)
		}
		if !ok {
			first = false
			return false
		}
		w.granted = found
		close(w.done)
		return true
	})
}

// Free returns the free bytes of each part.
func (b *Budget) Free() [Parts]int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.unused
}

// Waiting returns the number of bodies that wait.
func (b *Budget) Waiting() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.waiting)
}
