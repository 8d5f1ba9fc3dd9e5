package forwarder

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/scribegate/scribegate/forwarder/internal/pace"
	"github.com/scribegate/scribegate/forwarder/queue"
)

// probeGrace is how much longer than its timeout a probe may take before another node
// makes one: the node may have ended.
const probeGrace = 5 * time.Second

// key returns the key of an upstream's pause. A URL may hold a password, so the key has
// only its hash.
func (s *settings) key() queue.PauseKey {
	sum := sha256.Sum256([]byte(s.Identity))
	return queue.PauseKey{Upstream: s.Name, Backend: hex.EncodeToString(sum[:8])}
}

// hear makes the pauses of all nodes those of the upstreams.
func (d *Dispatcher) hear(all queue.Pauses) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pauses = all
	for _, r := range d.runners {
		r.follow(all.Of(r.key))
	}
}

// follow makes the pause of all nodes that of the upstream.
func (r *runner) follow(p queue.Pause) {
	if p.Version == 0 {
		return // it is not known
	}
	r.mu.Lock()
	r.pause.Follow(pace.Shared(p), r.dispatcher.node, r.dispatcher.options.Now())
	r.probedByAny = p.Probed
	r.mu.Unlock()
	r.nudge()
}

// share publishes what this node has learnt about the upstream, and reports whether it
// has. Until it can, this node pauses for itself.
func (r *runner) share(now time.Time) bool {
	q := r.dispatcher.sharer
	r.mu.Lock()
	news, any := r.pause.News()
	wait := now.Before(r.shareAt)
	r.mu.Unlock()
	if q == nil || !any || wait {
		return false
	}
	node := r.dispatcher.node
	p, err := q.ChangePause(r.key, func(p queue.Pause) queue.Pause { return queue.Pause(news.Apply(pace.Shared(p), node)) })
	if err != nil {
		r.mu.Lock()
		r.shareAt = now.Add(pace.QueueBackoff)
		r.mu.Unlock()
		r.problem(now, fmt.Errorf("sharing the pause of upstream %q: %w", r.name, err))
		return false
	}
	r.mu.Lock()
	r.pause.Published(news)
	r.mu.Unlock()
	r.follow(p)
	return true
}

// shareLast publishes how the last probe of a retired upstream has ended, so that another
// node goes on.
func (r *runner) shareLast() {
	for r.dispatcher.sharer != nil && r.probes() {
		<-r.signal
	}
	r.share(r.dispatcher.options.Now())
}

// probes reports whether a probe is in flight.
func (r *runner) probes() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pause.UnderWay()
}

// askToProbe asks the other nodes whether this one makes the next probe, if the next
// attempt is one, and reports whether it does. If the queue does not answer, it does.
func (r *runner) askToProbe(now time.Time, id string) (granted bool) {
	r.mu.Lock()
	ask, early, within := r.pause.MustAsk(now), r.pause.Early(), r.settings.Timeout+probeGrace
	r.mu.Unlock()
	if !ask {
		return false
	}
	node := r.dispatcher.node
	p, err := r.dispatcher.sharer.ChangePause(r.key, func(p queue.Pause) queue.Pause {
		var s pace.Shared
		s, granted = pace.Shared(p).Take(node, id, early, now, within)
		return queue.Pause(s)
	})
	granted = granted || err != nil
	if err == nil {
		r.follow(p)
	}
	if granted {
		r.mu.Lock()
		r.pause.Granted(now)
		r.mu.Unlock()
	}
	return granted
}
