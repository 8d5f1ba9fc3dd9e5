package receive

import (
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// The sizes are those that the documentation promises.
func TestBudgetAddsUp(t *testing.T) {
	t.Parallel()
	total := int64(0)
	for _, n := range UnverifiedParts {
		total += n
	}
	if Unverified.Free() != UnverifiedParts || total != 256<<20 || UnverifiedParts[SmallPart] != 64<<20 || MaxBody != 32<<20 || SmallBody != 64<<10 {
		t.Errorf("%d bytes in all, parts %v", total, UnverifiedParts)
	}
}

// A modelBody requests from a budget what a body requests while it is read.
type modelBody struct {
	want     int64 // its size
	max      int64 // max_body
	declared bool
	next     int64
	allowance
}

func newModelBody(b *Budget, want, most int64, declared bool) *modelBody {
	m := &modelBody{want: want, max: most, declared: declared, allowance: allowance{budget: b}}
	m.next = min(m.whole(), FirstRead)
	return m
}

func (m *modelBody) whole() int64 {
	if m.declared {
		return m.want
	}
	return m.max
}

// step requests the room of the next buffer, and reports whether it is the last.
func (m *modelBody) step(t *testing.T, until time.Time) (last bool, err error) {
	got, err := m.grow(t.Context(), until, roomRequest{
		size: m.next, whole: m.whole(), small: m.next <= SmallBody && (!m.declared || m.want <= SmallBody),
	})
	m.next = min(2*got, m.whole())
	return got >= m.want, err
}

// steps returns the number of requests of the body.
func (m *modelBody) steps() (n int) {
	for size := m.next; ; size = min(2*size, m.whole()) {
		n++
		if size >= m.want {
			return n
		}
	}
}

// Bodies of any number, size and order hold no more than the budget, and all of them find
// room in the end: no two bodies wait for each other.
func TestBodiesNeverWaitForEachOther(t *testing.T) {
	const bodies, rounds = 500, 20
	for round := range rounds {
		synctest.Test(t, func(t *testing.T) {
			b := NewBudget(UnverifiedParts)
			start := b.Free()
			rng := rand.New(rand.NewPCG(uint64(round), 1))
			var mu sync.Mutex
			held, most := int64(0), int64(0)
			hold := func(n int64) {
				mu.Lock()
				defer mu.Unlock()
				held += n
				most = max(most, held)
			}
			var work sync.WaitGroup
			waits := time.Now().Add(time.Hour)
			for i := range bodies {
				size := int64(1) << rng.IntN(26)
				size += rng.Int64N(size)
				size = min(size, MaxBody)
				m := newModelBody(b, size, MaxBody, rng.IntN(2) == 0)
				pauses := make([]time.Duration, m.steps())
				for i := range pauses {
					pauses[i] = time.Duration(rng.IntN(3)) * time.Millisecond
				}
				work.Go(func() {
					defer func() {
						hold(-m.held.size)
						m.release()
					}()
					for _, pause := range pauses {
						time.Sleep(pause)
						before := m.held.size
						last, err := m.step(t, waits)
						if err != nil {
							if !m.declared && before == SmallBody && time.Now().Before(waits) {
								return // too many that outgrew the small part wait already
							}
							t.Errorf("body %d of %d bytes found no room", i, m.want)
							return
						}
						hold(m.held.size)
						time.Sleep(pause)
						hold(-before)
						m.settle()
						if last {
							return
						}
					}
				})
			}
			work.Wait()
			if most > unverifiedSize || most < unverifiedSize/2 {
				t.Errorf("%d bytes were held at once, want at most %d, and at least half of it, so that the test is meaningful", most, unverifiedSize)
			}
			if b.Free() != start || len(b.waiting) > 0 {
				t.Errorf("free are %v of %v, and %d wait", b.Free(), start, len(b.waiting))
			}
		})
	}
}

// Whatever large bodies hold and wait for, small bodies can use all of their part.
func TestSmallBodiesNeverWaitForLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(UnverifiedParts)
		end := time.Now().Add(time.Hour)
		var work sync.WaitGroup
		defer work.Wait()
		done := make(chan struct{}) // the large bodies end
		defer close(done)
		for i := range 3000 {
			m := newModelBody(b, MaxBody, MaxBody, i%3 == 0)
			work.Go(func() {
				defer m.release()
				for {
					last, err := m.step(t, end)
					if err != nil {
						return // it is rejected
					}
					if last {
						<-done
						return
					}
					m.settle()
				}
			})
			synctest.Wait() // it has all that it needs, waits, or was rejected
		}
		left := b.Free()
		if left[CommonPart] >= SmallBody || left[WholePart] > 0 || left[OutgrownPart] > 0 || left[SmallPart] != 64<<20 {
			t.Errorf("free are %v, want only the small part", left)
		}
		before := time.Now()
		receive := func(n int, size int64) {
			for i := range n {
				m := newModelBody(b, size, MaxBody, i%2 == 0)
				for last := false; !last; m.settle() {
					var err error
					if last, err = m.step(t, end); err != nil || !time.Now().Equal(before) {
						t.Fatalf("small body %d of %d waited for %s, %v", i, size, time.Since(before), err)
					}
				}
			}
		}
		receive(1000, SmallBody)
		receive((64<<20-1000*SmallBody)/FirstRead, FirstRead)
		if left := b.Free(); left[SmallPart] != 0 {
			t.Errorf("free are %v", left)
		}
	})
}

// Two bodies of the largest max_body find room at once, at every step of either, and even
// while both are copied.
func TestTwoLargestBodiesNeverWait(t *testing.T) {
	t.Parallel()
	for _, declared := range []bool{true, false} {
		steps := newModelBody(Unverified, MaxBody, MaxBody, declared).steps()
		for i := range steps {
			for j := range steps {
				b := NewBudget(UnverifiedParts)
				for _, n := range []int{i, j} {
					m := newModelBody(b, MaxBody, MaxBody, declared)
					for step := range n + 1 {
						m.settle()
						if _, err := m.step(t, time.Time{}); err != nil {
							t.Fatalf("declared %t: no room for step %d of bodies that come to %d and %d", declared, step, i, j)
						}
					}
				}
			}
		}
	}
}
