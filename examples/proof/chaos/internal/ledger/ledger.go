package ledger

import (
	"context"
	"slices"
	"sync"
)

// A Ledger has the backends of a rig. It records the events that each of them has accepted, also
// while the gateway restarts.
type Ledger struct {
	mu       sync.Mutex
	backends []*Backend
	watches  []*Watch
}

// New returns a ledger without backends.
func New() *Ledger { return new(Ledger) }

// Add starts a backend on a free port.
func (l *Ledger) Add(ctx context.Context, name string) (*Backend, error) {
	b := &Backend{Name: name, ledger: l, attempts: make(map[string]int), accepted: make(map[string]int)}
	if err := b.Start(ctx); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.backends = append(l.backends, b)
	return b, nil
}

// Backend returns the backend with this name, or nil.
func (l *Ledger) Backend(name string) *Backend {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.backends, func(b *Backend) bool { return b.Name == name })
	if i < 0 {
		return nil
	}
	return l.backends[i]
}

// Names returns the names of the backends, in the order in which they were added.
func (l *Ledger) Names() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	names := make([]string, len(l.backends))
	for i, b := range l.backends {
		names[i] = b.Name
	}
	return names
}

// Close stops all backends.
func (l *Ledger) Close() {
	for _, name := range l.Names() {
		l.Backend(name).Stop()
	}
}
