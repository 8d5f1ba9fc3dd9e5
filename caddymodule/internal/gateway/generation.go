package gateway

import (
	"slices"
	"sync"
)

// generations are the configurations that have started and not stopped, oldest
// first. Only the oldest is active, and delivers. A configuration that is being loaded
// therefore delivers nothing until the previous one has stopped. Caddy stops that only
// after the whole new configuration has started, so a configuration that is rejected
// because another of its apps fails to start never becomes active.
var generations generationList

// A generation is one configuration and the gateway that it uses.
type generation struct {
	config  *Config
	gateway *Gateway
}

type generationList struct {
	mu     sync.Mutex
	all    []generation // the first of them is active
	active generation
}

// add adds a configuration that has started.
func (l *generationList) add(g generation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, g)
	l.activate()
}

// remove removes a configuration that stops.
func (l *generationList) remove(c *Config) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = slices.DeleteFunc(l.all, func(g generation) bool { return g.config == c })
	l.activate()
}

// activate makes the oldest configuration the active one, if it is not.
func (l *generationList) activate() {
	var oldest generation
	if len(l.all) > 0 {
		oldest = l.all[0]
	}
	if oldest.config == l.active.config {
		return
	}
	if before := l.active.gateway; before != nil && before != oldest.gateway {
		before.activate(nil)
	}
	if oldest.gateway != nil {
		oldest.gateway.activate(oldest.config)
	}
	l.active = oldest
}
