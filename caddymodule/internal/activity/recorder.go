package activity

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/scribegate/scribegate/verifier"
)

// Process records the activity of this process.
var Process = New()

// A Recorder records activity. Its methods may be called by many goroutines at once.
type Recorder struct {
	mu         sync.Mutex
	upstreams  map[string]*record
	rejections map[rejected]*Rejection
	genuine    map[string]time.Time
}

// New returns a recorder without activity.
func New() *Recorder {
	return &Recorder{
		upstreams:  make(map[string]*record),
		rejections: make(map[rejected]*Rejection),
		genuine:    make(map[string]time.Time),
	}
}

// Attempt records that an attempt at an upstream has ended, and the time from receipt to delivery
// if it delivered the event.
func (r *Recorder) Attempt(upstream string, delivered bool, lag time.Duration, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	u := r.upstreams[upstream]
	if u == nil {
		r.forget(at)
		u = new(record)
		r.upstreams[upstream] = u
	}
	u.advance(at)
	u.add(delivered, lag)
}

// forget removes the upstreams without an attempt for an hour. r.mu is held.
func (r *Recorder) forget(now time.Time) {
	maps.DeleteFunc(r.upstreams, func(_ string, u *record) bool {
		u.advance(now)
		return u.idle()
	})
}

// Upstream returns the last hour of an upstream.
func (r *Recorder) Upstream(name string, now time.Time) Hour {
	r.mu.Lock()
	defer r.mu.Unlock()
	u := r.upstreams[name]
	if u == nil {
		return Hour{}
	}
	u.advance(now)
	return u.hour()
}

// A Rejection is what is known of the requests to one provider's handlers that were rejected for
// one reason.
type Rejection struct {
	Provider string
	Reason   verifier.Reason
	Count    int       // since the process's start
	Last     time.Time // of the newest
	Client   string    // the address of the client that sent the newest
}

// A rejected is the key of a Rejection.
type rejected struct {
	provider string
	reason   verifier.Reason
}

// Rejected records a rejected request.
func (r *Recorder) Rejected(provider string, reason verifier.Reason, client string, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := rejected{provider, reason}
	known := r.rejections[key]
	if known == nil {
		known = &Rejection{Provider: provider, Reason: reason}
		r.rejections[key] = known
	}
	known.Count++
	known.Last, known.Client = at, client
}

// Rejections returns the rejections since the process's start by provider and reason, the newest
// first.
func (r *Recorder) Rejections() []Rejection {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]Rejection, 0, len(r.rejections))
	for _, known := range r.rejections {
		all = append(all, *known)
	}
	slices.SortFunc(all, func(a, b Rejection) int {
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.Provider, b.Provider), cmp.Compare(a.Reason, b.Reason))
	})
	return all
}

// Genuine records that a provider's request was proved genuine, whatever its event's outcome.
func (r *Recorder) Genuine(provider string, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.genuine[provider] = at
}

// BeginProvider records that the configuration has a handler of a provider.
func (r *Recorder) BeginProvider(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.genuine[name]; !known {
		r.genuine[name] = time.Time{}
	}
}

// Providers returns the names of the providers that have, or had, a handler since the process's
// start.
func (r *Recorder) Providers() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.genuine))
}

// LastGenuine returns when the last genuine request of a provider was recorded. It returns false
// if there was none since the process's start.
func (r *Recorder) LastGenuine(provider string) (time.Time, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := r.genuine[provider]
	return at, !at.IsZero()
}
