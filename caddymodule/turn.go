package caddymodule

import (
	"slices"
	"sync"
)

// turns are the configurations that have started and not stopped, oldest first.
// Only the oldest delivers. A configuration that is being loaded therefore
// delivers nothing until the one before it has stopped, which Caddy does only
// once the new one has started whole: one that is rejected, since another of
// its apps fails to start, never gets its turn.
var turns turnList

// A turn is one configuration's at a gateway.
type turn struct {
	app     *App
	gateway *gateway
}

type turnList struct {
	mu      sync.Mutex
	waiting []turn // the first of them is acting
	acting  turn
}

// push lines a configuration up.
func (l *turnList) push(t turn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = append(l.waiting, t)
	l.next()
}

// remove takes a configuration out of the line.
func (l *turnList) remove(a *App) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = slices.DeleteFunc(l.waiting, func(t turn) bool { return t.app == a })
	l.next()
}

// next gives the turn to the oldest configuration, if it has changed.
func (l *turnList) next() {
	var first turn
	if len(l.waiting) > 0 {
		first = l.waiting[0]
	}
	if first.app == l.acting.app {
		return
	}
	if before := l.acting.gateway; before != nil && before != first.gateway {
		before.activate(nil)
	}
	if first.gateway != nil {
		first.gateway.activate(first.app)
	}
	l.acting = first
}
