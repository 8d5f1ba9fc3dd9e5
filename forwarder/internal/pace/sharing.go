package pace

import (
	"errors"
	"time"
)

const (
	// OverruledWithin is the time in which another node must end two pauses that failures
	// of this node have begun, for the fault to be looked for in this node's own network.
	OverruledWithin = time.Minute

	// ApartFor is how long failures of this node then pause only this node.
	ApartFor = 5 * time.Minute

	// standBack is the inverse of the part of a wait by which the node whose attempt has
	// failed last waits longer, so that another one makes the next probe.
	standBack = 10
)

// ErrElsewhere is the cause of a pause that another node has begun.
var ErrElsewhere = errors.New("another gateway has reported it")

// A Shared is the part of a Pause that is the same on all nodes of a cluster. The zero
// value is a server without a pause.
type Shared struct {
	Version int64 // of two, the one with the greater version is newer

	Hold  time.Time // the server asked for no attempts until then
	Probe time.Time // when the next probe may begin; zero if the server is not paused by failures
	Delay time.Duration

	Prober string // the node that has made the newest probe, or has begun the pause
	Probed string // what it was made with
}

// ready returns when a node may make the next probe.
func (s Shared) ready(node string) time.Time {
	if s.Prober == node {
		return s.Probe.Add(s.Delay / standBack)
	}
	return s.Probe
}

// A News is what a node has learnt about a server, and the others do not know yet.
type News struct {
	kinds newsKind
	count int // of changes, so that two News differ

	hold, probeAt time.Time
	delay         time.Duration
}

type newsKind uint8

const (
	newsHeld    newsKind = 1 << iota // the server asked for no attempts
	newsBegun                        // it has failed too often
	newsProbed                       // a probe has ended, and did not get through
	newsEnded                        // it has answered
	newsCleared                      // an operator has ended the hold
	newsAsked                        // an operator has asked for a probe
)

// add records news, and drops those that they replace.
func (n *News) add(kind, replaced newsKind) {
	n.kinds = n.kinds&^replaced | kind
	n.count++
}

func (n *News) has(kind newsKind) bool { return n.kinds&kind != 0 }

// News returns what the other nodes do not know yet, and whether there is any.
func (p *Pause) News() (News, bool) {
	n := p.news
	n.hold, n.probeAt, n.delay = p.hold, p.probeAt, p.delay
	return n, n.kinds != 0
}

// Published records that the other nodes know the news.
func (p *Pause) Published(n News) {
	if p.news.count == n.count {
		p.news.kinds = 0
	}
}

// Apply returns the shared pause with a node's news. Applied again, they change nothing.
func (n News) Apply(s Shared, node string) Shared {
	if n.has(newsCleared) {
		s.Hold = time.Time{}
	}
	if n.has(newsHeld) && n.hold.After(s.Hold) {
		s.Hold = n.hold
	}
	switch failing := !s.Probe.IsZero(); {
	case n.has(newsEnded):
		return Shared{Version: s.Version, Hold: s.Hold}
	case n.has(newsAsked):
		s.Probe, s.Delay, s.Prober = n.probeAt, n.delay, ""
	case n.has(newsBegun) && !failing, n.has(newsProbed) && failing:
		s.Probe, s.Delay, s.Prober = n.probeAt, n.delay, node
	}
	return s
}

// Follow makes a pause that of the whole cluster. What this node has learnt and not
// published yet stays. The first probe of a node that has just started is due at once.
func (p *Pause) Follow(s Shared, node string, now time.Time) {
	if s.Version < p.version {
		return
	}
	first := p.version == 0
	p.version = s.Version
	local := func(t time.Time) time.Time { // the same time by the monotonic clock
		if t.IsZero() {
			return t
		}
		return now.Add(t.Sub(now))
	}
	switch hold := local(s.Hold); {
	case hold.After(p.hold):
		p.hold, p.cause = hold, ErrElsewhere
	case !p.news.has(newsHeld):
		p.hold = hold
	}
	switch {
	case s.Probe.IsZero():
		if p.shared {
			p.overrule(now)
			p.news.kinds &^= newsBegun | newsProbed
			p.resume()
		}
	case p.news.has(newsEnded):
	default:
		if !p.probing {
			p.probing, p.cause = true, ErrElsewhere
		}
		p.shared = true
		if p.underWay || p.news.has(newsProbed|newsAsked) {
			return
		}
		p.delay, p.probeAt = s.Delay, local(s.ready(node))
		if first {
			p.early, p.probeAt = true, now
		}
	}
}

// overrule records that another node has ended the pause.
func (p *Pause) overrule(now time.Time) {
	if !p.own {
		return
	}
	if !p.overruled.IsZero() && now.Sub(p.overruled) < OverruledWithin {
		p.apart = now.Add(ApartFor)
	}
	p.overruled = now
}

// MustAsk reports whether the next attempt is a probe that the other nodes must agree to:
// the caller asks with Take, and then calls Granted.
func (p *Pause) MustAsk(now time.Time) bool {
	n, _ := p.Room(now)
	return n == 1 && p.shared
}

// Early reports whether this node may make a probe before it is due.
func (p *Pause) Early() bool { return p.early }

// Take returns the shared pause in which a node makes the next probe, and whether it may.
// Until within has passed or the node has published the result, no other node makes one.
func (s Shared) Take(node, probed string, early bool, now time.Time, within time.Duration) (_ Shared, ok bool) {
	if s.Probe.IsZero() || now.Before(s.Hold) || !early && now.Before(s.ready(node)) {
		return s, false
	}
	s.Probe, s.Prober, s.Probed = now.Add(within), node, probed
	return s, true
}

// Granted records that this node makes the next probe, now.
func (p *Pause) Granted(now time.Time) {
	p.early, p.probeAt = false, now
}

// Return records that a probe that was granted is not made.
func (p *Pause) Return() {
	if p.shared {
		p.news.add(newsProbed, newsBegun)
	}
}
