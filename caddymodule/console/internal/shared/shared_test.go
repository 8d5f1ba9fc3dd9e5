package shared

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func newCache() *Cache[string, int] {
	return &Cache[string, int]{MaxAge: 2 * time.Second, Stale: 5 * time.Second, Size: 3}
}

// All who ask at the same time get one load's value, and so do those who ask soon after.
func TestOneLoad(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, loads := newCache(), 0
		load := func() int {
			loads++
			time.Sleep(time.Second)
			return loads
		}
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if v, err := c.Get(t.Context(), "a", load); v != 1 || err != nil {
					t.Errorf("%d, %v", v, err)
				}
			})
		}
		all.Wait()
		time.Sleep(time.Second - time.Nanosecond) // a moment before it is 2 s old
		if v, _ := c.Get(t.Context(), "a", load); v != 1 {
			t.Errorf("load %d", v)
		}
		time.Sleep(time.Nanosecond)
		if v, _ := c.Get(t.Context(), "a", load); v != 2 {
			t.Errorf("load %d after 2 s", v)
		}
		if v, _ := c.Get(t.Context(), "b", load); v != 3 {
			t.Errorf("load %d of another key", v)
		}
		time.Sleep(time.Hour)
		if loads != 3 {
			t.Errorf("%d loads: some although nobody asked", loads)
		}
	})
}

// While a value is loaded again, the one from before is returned, as long as it is not too old.
func TestStaleValue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache()
		_, _ = c.Get(t.Context(), "a", func() int { return 1 })
		time.Sleep(3 * time.Second)
		release := make(chan struct{})
		go func() { _, _ = c.Get(t.Context(), "a", func() int { <-release; return 2 }) }()
		synctest.Wait()
		never := func() int { t.Error("a second load"); return 0 }
		if v, err := c.Get(t.Context(), "a", never); v != 1 || err != nil {
			t.Errorf("at 3 s: %d, %v", v, err)
		}
		time.Sleep(2 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Get(ctx, "a", never); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("at 5 s: %v", err)
		}
		got := make(chan int)
		go func() {
			v, _ := c.Get(t.Context(), "a", func() int { return 3 })
			got <- v
		}()
		synctest.Wait()
		close(release)
		if v := <-got; v != 3 { // the load began 3 s ago
			t.Errorf("after the load: %d", v)
		}
	})
}

// A load that panics ends the wait of the others, one of whom loads.
func TestPanic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, release := newCache(), make(chan struct{})
		go func() {
			defer func() { _ = recover() }()
			_, _ = c.Get(t.Context(), "a", func() int { <-release; panic("a defect") })
		}()
		synctest.Wait()
		got := make(chan int)
		go func() {
			v, _ := c.Get(t.Context(), "a", func() int { return 2 })
			got <- v
		}()
		synctest.Wait()
		close(release)
		if v := <-got; v != 2 {
			t.Errorf("%d", v)
		}
	})
}

// The cache holds a few values, and forgets all of them when something has changed.
func TestSize(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCache()
		for i := range 100 {
			if v, err := c.Get(t.Context(), string(rune('a'+i)), func() int { return i }); v != i || err != nil {
				t.Errorf("%d, %v", v, err)
			}
			if len(c.entries) > c.Size {
				t.Fatalf("%d values", len(c.entries))
			}
		}
		c.Forget()
		if v, _ := c.Get(t.Context(), "a", func() int { return -1 }); v != -1 {
			t.Errorf("%d after something has changed", v)
		}
	})
}
