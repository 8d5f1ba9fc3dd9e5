package caddymodule

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

const (
	// unverifiedBudget is how many bytes of bodies that are not yet proved
	// genuine this process holds at most: strangers cannot make it run out of
	// memory.
	unverifiedBudget = 256 << 20

	// smallBody is the size up to which a body counts as small. A body of
	// unknown length is small until it outgrows this.
	smallBody = 64 << 10
)

// A part of a budget. Its bytes are used for nothing else.
type part int

const (
	// smallPart is for small bodies only, so that they never wait for large
	// ones.
	smallPart part = iota
	// commonPart is for all bodies. They take more of it as they arrive.
	commonPart
	// wholePart is for bodies that take at once all that they can ever need.
	// Bodies that hold the common part and wait for more of it would wait for
	// each other for ever; with this part, the one that has waited longest can
	// always be read to its end.
	wholePart
	// outgrownPart is for the first smallBody bytes of bodies that turned out
	// to be large, while they wait: they must not hold the small part.
	outgrownPart

	parts
)

// unverified is the budget of bodies that are not yet proved genuine.
var unverified = newBudget([parts]int64{
	smallPart:    64 << 20,
	commonPart:   unverifiedBudget - (64+32+8)<<20,
	wholePart:    maxMaxBody,
	outgrownPart: 8 << 20,
})

// errNoRoom says that a body found no room in the budget in time.
var errNoRoom = errors.New("too many bodies are being received")

// A budget is shared by bodies that take more of it as they arrive.
type budget struct {
	mu      sync.Mutex
	free    [parts]int64
	waiting []*waiter // in the order in which they came
}

func newBudget(sizes [parts]int64) *budget { return &budget{free: sizes} }

// A room is some bytes of one part.
type room struct {
	part part
	size int64
}

// An allowance is what one body holds of a budget: a room for its buffer, and
// while that is copied into a larger one, both.
type allowance struct {
	budget    *budget
	held, old room
}

// A roomRequest asks for room for a body's next, larger buffer.
type roomRequest struct {
	size  int64 // of the next buffer
	whole int64 // of the largest that the body can ever need
	small bool  // whether the body is small, for all that is known
}

// A waiter is a request that waits.
type waiter struct {
	roomRequest
	granted room          // set once done is closed
	done    chan struct{} // closed once there is room
}

// grow adds a room for a larger buffer and returns its size, which is
// req.size or req.whole. It waits until the given time at most.
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

// settle gives the former buffer's room back.
func (a *allowance) settle() {
	a.budget.put(a.old)
	a.old = room{}
}

// release gives back all that the body holds.
func (a *allowance) release() {
	a.budget.put(a.old, a.held)
	a.old, a.held = room{}, room{}
}

// find takes room that is free now, if there is some. b.mu is held.
func (b *budget) find(req roomRequest) (room, bool) {
	if req.small {
		if found, ok := b.take(smallPart, req.size); ok {
			return found, true
		}
	}
	return b.take(commonPart, req.size)
}

// take takes room from one part. b.mu is held.
func (b *budget) take(from part, size int64) (room, bool) {
	if b.free[from] < size {
		return room{}, false
	}
	b.free[from] -= size
	return room{from, size}, true
}

// enqueue has a body wait for room. b.mu is held.
func (b *budget) enqueue(a *allowance, req roomRequest) (*waiter, error) {
	if !req.small && a.held.part == smallPart && a.held.size > 0 {
		moved, ok := b.take(outgrownPart, a.held.size)
		if !ok {
			return nil, errNoRoom
		}
		b.free[smallPart] += a.held.size
		a.held = moved
	}
	w := &waiter{roomRequest: req, done: make(chan struct{})}
	b.waiting = append(b.waiting, w)
	b.grant()
	return w, nil
}

// await returns once a request that waits has its room.
func (b *budget) await(ctx context.Context, until time.Time, w *waiter) error {
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
	b.grant() // another may be the first now
	return errNoRoom
}

// put gives rooms back, to those that wait first.
func (b *budget) put(rooms ...room) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range rooms {
		b.free[r.part] += r.size
	}
	b.grant()
}

// grant gives room to every request for which there is some, and the part for
// whole bodies to the one that has waited longest. b.mu is held.
func (b *budget) grant() {
	if len(b.waiting) == 0 {
		return
	}
	first := true
	b.waiting = slices.DeleteFunc(b.waiting, func(w *waiter) bool {
		found, ok := b.find(w.roomRequest)
		if !ok && first {
			found, ok = b.take(wholePart, w.whole)
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
