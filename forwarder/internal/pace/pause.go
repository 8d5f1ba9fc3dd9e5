package pace

import (
	"math"
	"time"
)

const (
	// FailureLimit is how many consecutive failures of the server's own pause it.
	FailureLimit = 5

	// MinProbeDelay is the first wait before a paused server is probed. The wait doubles
	// with each probe that fails.
	MinProbeDelay = time.Second

	// MaxProbeDelay is the longest wait.
	MaxProbeDelay = time.Minute
)

// A Pause decides from a server's answers whether attempts may begin. It is pure data;
// the zero value is a server without failures.
type Pause struct {
	failures int // the server's, in a row
	epoch    int // how many pauses have ended

	probing  bool // paused by failures until a probe succeeds
	underWay bool // whether a probe is in flight
	delay    time.Duration
	probeAt  time.Time

	hold  time.Time // the server asked for no attempts until then
	cause error     // of the newest failure or hold

	// Of a pause that nodes share.
	version   int64     // of the newest Shared; 0 if there was none
	shared    bool      // whether all nodes are paused by failures
	own       bool      // whether failures of this node have paused it
	early     bool      // whether its next probe is due before that of the others
	overruled time.Time // when another node has ended a pause of this one's own
	apart     time.Time // until then, failures pause only this node
	news      News
}

// A Verdict is what the end of an attempt says about the server.
type Verdict struct {
	Fault    bool      // the failure is the server's, and not only that of one request
	Internal bool      // the failure is this program's, and says nothing about the server
	Hold     time.Time // until when the server asks for no attempts; zero if it does not
}

// A Ticket identifies an attempt to the pause.
type Ticket struct {
	epoch int
	Probe bool // whether it tests if the server is back
}

// Room returns how many attempts may begin now. If none may, at is when to ask again;
// it is zero if that is when the probe in flight ends.
func (p *Pause) Room(now time.Time) (n int, at time.Time) {
	if now.Before(p.hold) {
		return 0, p.hold
	}
	if !p.probing {
		return math.MaxInt, time.Time{}
	}
	if p.underWay {
		return 0, time.Time{}
	}
	if now.Before(p.probeAt) {
		return 0, p.probeAt
	}
	return 1, time.Time{}
}

// Begin returns the ticket of an attempt, and whether it may begin.
func (p *Pause) Begin(now time.Time) (Ticket, bool) {
	if n, _ := p.Room(now); n == 0 {
		return Ticket{}, false
	}
	p.underWay = p.probing
	return Ticket{epoch: p.epoch, Probe: p.probing}, true
}

// End records the verdict on an attempt. Any answer that is not a failure of the
// upstream ends the pause, whenever the attempt began. A failure counts only if the
// attempt began in the present state: one that began before a pause neither extends
// the pause nor counts after it. An internal failure changes nothing, and the next
// probe is due at once.
func (p *Pause) End(t Ticket, v Verdict, cause error, now time.Time) {
	p.Abandon(t)
	if v.Internal {
		return
	}
	if v.Hold.After(p.hold) {
		p.hold, p.cause = v.Hold, cause
		p.news.add(newsHeld, 0)
	}
	if !v.Fault {
		if p.probing {
			p.news.add(newsEnded, newsBegun|newsProbed|newsAsked)
		}
		p.resume()
		return
	}
	if t.epoch != p.epoch || p.probing && !t.Probe {
		return
	}
	if t.Probe {
		p.delay = min(2*p.delay, MaxProbeDelay)
		p.probeAt = now.Add(p.delay)
		return
	}
	p.failures++
	if p.failures >= FailureLimit {
		p.probing, p.delay, p.probeAt, p.cause, p.own = true, MinProbeDelay, now.Add(MinProbeDelay), cause, true
		if !now.Before(p.apart) {
			p.news.add(newsBegun, newsEnded)
		}
	}
}

// ProbeNow makes a probe of a paused upstream due at once, also if the upstream asked
// for a pause: an operator knows that it is back. The probe's result decides whether
// the pause ends.
func (p *Pause) ProbeNow(now time.Time) {
	if _, paused := p.Paused(now); !paused {
		return
	}
	p.hold = time.Time{}
	if !p.probing {
		p.probing, p.delay = true, MinProbeDelay
	}
	p.probeAt = now
	p.news.add(newsCleared|newsAsked, newsHeld|newsBegun|newsProbed|newsEnded)
}

// Abandon records that an attempt ended without a verdict on the upstream.
func (p *Pause) Abandon(t Ticket) {
	if t.Probe && t.epoch == p.epoch {
		p.underWay = false
		p.Return()
	}
}

func (p *Pause) resume() {
	p.failures = 0
	if !p.probing {
		return
	}
	p.epoch++
	p.probing, p.underWay, p.delay, p.probeAt = false, false, 0, time.Time{}
	p.shared, p.own, p.early = false, false, false
}

// UnderWay reports whether a probe is in flight.
func (p *Pause) UnderWay() bool { return p.underWay }

// Paused reports whether attempts are paused, and until when at least. until is zero
// if the pause ends when a probe succeeds.
func (p *Pause) Paused(now time.Time) (until time.Time, paused bool) {
	if now.Before(p.hold) {
		return p.hold, true
	}
	return time.Time{}, p.probing
}

// Reason returns why attempts are paused, and until when. If an upstream that is
// probed has also requested a pause, it returns the one that ends later.
func (p *Pause) Reason(now time.Time) (Reason, time.Time) {
	held := now.Before(p.hold)
	switch {
	case p.probing && (!held || !p.hold.After(p.probeAt)):
		return Failures, p.probeAt
	case held:
		return RetryRequested, p.hold
	}
	return "", time.Time{}
}

// HeldUntil returns until when the server asked for no attempts; the time may have
// passed.
func (p *Pause) HeldUntil() time.Time { return p.hold }

// Cause returns why attempts are paused: the error of the newest failure or hold.
func (p *Pause) Cause() error { return p.cause }

// A Reason is why attempts are paused. The set is closed.
type Reason string

// The reasons for a pause.
const (
	Failures       Reason = "failures"    // the server failed repeatedly, and is probed
	RetryRequested Reason = "retry_after" // the server asked for it
)
