package postgresqueue

import (
	"context"
	"encoding/hex"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Nodes notify each other with their id and the name of an upstream or a stage that has free
// first deliveries. Other nodes find them by polling too, somewhat later. No upstream and no
// stage has a name that begins with an exclamation mark.
const (
	everything = "!all"    // all of them
	purged     = "!purged" // events were deleted, which nodes may have in memory
	paused     = "!paused" // a pause has changed
	newsEvery  = 50 * time.Millisecond
	maxNews    = 7000 // bytes; a notification has less than 8000
)

// news are the names that other nodes are to hear of.
type news struct {
	wake chan struct{} // holds one token if there are any

	mu    sync.Mutex
	names map[string]bool
}

// channel returns the channel of the schema. A channel is a name of at most 63 bytes.
func (q *Queue) channel() string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(q.options.Schema)) // never fails
	return "scribegate_" + hex.EncodeToString(h.Sum(nil))
}

// announceTo makes the other nodes hear of the names soon.
func (q *Queue) announceTo(names ...string) {
	if len(names) == 0 {
		return
	}
	q.news.mu.Lock()
	defer q.news.mu.Unlock()
	for _, name := range names {
		q.news.names[name] = true
	}
	select {
	case q.news.wake <- struct{}{}:
	default:
	}
}

// announce sends the news until the queue is closed. It does so in a transaction of its
// own, since NOTIFY makes commits of all nodes wait for each other.
func (q *Queue) announce() {
	for {
		select {
		case <-q.ctx.Done():
			return
		case <-q.news.wake:
		}
		q.news.mu.Lock()
		names := slices.Sorted(maps.Keys(q.news.names))
		clear(q.news.names)
		q.news.mu.Unlock()
		ctx, cancel := context.WithTimeout(q.ctx, claimTimeout)
		for i, name := range names {
			if len(name) > maxNews {
				names[i] = everything
			}
		}
		_, _ = q.pool.Exec(ctx, `SELECT pg_notify($1, $2::bigint || ' ' || n) FROM unnest($3::text[]) n`, q.channel(), q.node.Load(), names) // polling finds them too
		cancel()
		select {
		case <-q.ctx.Done():
		case <-time.After(newsEvery):
		}
	}
}

// hear handles a notification, and reports whether to poll now.
func (q *Queue) hear(text string) (poll bool) {
	node, name, _ := strings.Cut(text, " ")
	if node == strconv.FormatInt(q.node.Load(), 10) {
		return false // its own
	}
	switch name {
	case purged, paused:
		return true
	case everything:
		q.reread()
	default:
		q.leases.Of(name).Forget(false)
		q.wakeUp(name)
	}
	return false
}

// reread makes all next Claims read the tables.
func (q *Queue) reread() {
	for _, l := range q.leases.All() {
		l.Forget(false)
		q.wakeUp(l.Upstream)
	}
}
