// Package shared has a cache whose values are loaded once for all that ask at the same time,
// and only when somebody asks.
package shared

import (
	"context"
	"sync"
	"time"
)

// A Cache holds values for a short time. Its zero value needs the fields below.
type Cache[K comparable, V any] struct {
	MaxAge time.Duration // how long a value is returned without being loaded again
	Stale  time.Duration // how old a value may be that is returned while it is loaded again
	Size   int           // the number of values that are held

	mu      sync.Mutex
	entries map[K]*entry[V]
}

// An entry is the value of a key, and its load.
type entry[V any] struct {
	value   V
	at      time.Time     // when the load of the value began; zero if there is none
	loading chan struct{} // closed at the end of the load; nil if none runs
}

// Get returns the value of a key. If it is older than MaxAge, one of the callers loads it; the
// others get the value from before, or wait if that is too old. A caller whose ctx ends while
// it waits gets the error of ctx.
func (c *Cache[K, V]) Get(ctx context.Context, key K, load func() V) (V, error) {
	for {
		c.mu.Lock()
		e, now := c.entry(key), time.Now()
		age := now.Sub(e.at)
		switch {
		case !e.at.IsZero() && (age < c.MaxAge || e.loading != nil && age < c.Stale):
			v := e.value
			c.mu.Unlock()
			return v, nil
		case e.loading == nil:
			done := make(chan struct{})
			e.loading = done
			c.mu.Unlock()
			return c.load(e, now, done, load), nil
		}
		wait := e.loading
		c.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			var none V
			return none, ctx.Err()
		}
	}
}

// entry returns the entry of a key. c.mu is held.
func (c *Cache[K, V]) entry(key K) *entry[V] {
	e := c.entries[key]
	if e != nil {
		return e
	}
	if c.entries == nil {
		c.entries = make(map[K]*entry[V])
	}
	if len(c.entries) >= c.Size {
		for k, old := range c.entries { // those that nobody looks at any more, or else any
			if old.loading == nil && (time.Since(old.at) >= c.MaxAge || len(c.entries) >= c.Size) {
				delete(c.entries, k)
			}
		}
	}
	e = new(entry[V])
	c.entries[key] = e
	return e
}

// load sets the value of an entry, also if the load panics: the callers that wait must go on.
func (c *Cache[K, V]) load(e *entry[V], began time.Time, done chan struct{}, load func() V) V {
	loaded := false
	var v V
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if e.loading == done {
			e.loading = nil
			if loaded {
				e.value, e.at = v, began
			}
		}
		close(done)
	}()
	v = load()
	loaded = true
	return v
}

// Forget makes the next Get of each key load its value: something has changed.
func (c *Cache[K, V]) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries = nil
}
