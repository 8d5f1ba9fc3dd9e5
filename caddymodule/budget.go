package caddymodule

import (
	"context"

	"golang.org/x/sync/semaphore"
)

const (
	// unverifiedBudget is how many bytes of bodies that are not yet proved
	// genuine this process holds at most: whoever has no secret can't make it
	// run out of memory.
	unverifiedBudget = 256 << 20

	// unverifiedReserve is the part of it that one body at a time may have.
	unverifiedReserve = 32 << 20
)

// unverified counts those bytes.
var unverified = newBudget(unverifiedBudget, unverifiedReserve)

// A budget is shared by bodies that take more of it as they arrive. Bodies that
// hold all of it and wait for more would wait for each other, so a part is kept
// in reserve, for one of them at a time to be read to its end.
type budget struct {
	shared    *semaphore.Weighted
	reserve   int64
	reserveIn chan struct{} // holds a token while a body has the reserve
}

func newBudget(size, reserve int64) *budget {
	return &budget{
		shared:    semaphore.NewWeighted(size - reserve),
		reserve:   reserve,
		reserveIn: make(chan struct{}, 1),
	}
}

// An allowance is what one body holds of a budget.
type allowance struct {
	budget  *budget
	held    int64 // of the shared part
	reserve bool  // whether it has the reserve
}

// take returns how many bytes the body may have beside those it holds: n, or
// whole, all that it can ever need, where it has got the reserve. It waits until
// ctx ends.
func (a *allowance) take(ctx context.Context, n, whole int64) (int64, error) {
	if a.takeNow(n) {
		return n, nil
	}
	b := a.budget
	if a.held > 0 && whole <= b.reserve {
		return a.takeEither(ctx, n, whole)
	}
	if err := b.shared.Acquire(ctx, n); err != nil {
		return 0, err
	}
	a.held += n
	return n, nil
}

// takeNow takes n bytes, if they can be had without waiting.
func (a *allowance) takeNow(n int64) bool {
	if !a.budget.shared.TryAcquire(n) {
		return false
	}
	a.held += n
	return true
}

// takeEither waits for n bytes or for the reserve, whichever comes first.
func (a *allowance) takeEither(ctx context.Context, n, whole int64) (int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	acquired := make(chan error, 1)
	go func() { acquired <- a.budget.shared.Acquire(ctx, n) }()
	select {
	case err := <-acquired:
		if err != nil {
			return 0, err
		}
		a.held += n
		return n, nil
	case a.budget.reserveIn <- struct{}{}:
		cancel()
		if <-acquired == nil {
			a.budget.shared.Release(n)
		}
		a.reserve = true
		return whole, nil
	}
}

// give returns n of the shared bytes that the body holds.
func (a *allowance) give(n int64) {
	a.budget.shared.Release(n)
	a.held -= n
}

// release returns all that the body holds.
func (a *allowance) release() {
	a.give(a.held)
	if a.reserve {
		a.reserve = false
		<-a.budget.reserveIn
	}
}
