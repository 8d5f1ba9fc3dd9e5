package forwarder

import (
	"math"
	"time"
)

const (
	// failureLimit is how many failures in a row that are the upstream's pause it.
	failureLimit = 5

	// The waits before a paused upstream is probed: the first one, and the
	// longest that doubling leads to.
	minProbeDelay = time.Second
	maxProbeDelay = time.Minute
)

// A pause is what an upstream's answers say about the upstream itself: whether
// attempts may begin. It is pure data; the zero value is an upstream of which
// nothing bad is known.
type pause struct {
	failures int // the upstream's, in a row
	epoch    int // how many pauses have ended

	probing  bool // paused by failures until a probe gets through
	underWay bool // a probe is
	delay    time.Duration
	probeAt  time.Time

	hold  time.Time // the upstream asked for no attempts until then
	cause error     // of the newest failure or hold
}

// A ticket is an attempt as its upstream's pause knows it.
type ticket struct {
	epoch int
	probe bool
}

// room says how many attempts may begin now. Where none may, at is when to ask
// again, and zero where that is after the end of the probe under way.
func (p *pause) room(now time.Time) (n int, at time.Time) {
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

// begin lets an attempt begin, or not.
func (p *pause) begin(now time.Time) (ticket, bool) {
	if n, _ := p.room(now); n == 0 {
		return ticket{}, false
	}
	p.underWay = p.probing
	return ticket{epoch: p.epoch, probe: p.probing}, true
}

// end records how an attempt ended. Any answer that is not the upstream's failure
// shows that the upstream is there, whenever the attempt began. A failure counts only
// where the attempt began in the present state: one that began before a pause neither
// lengthens the pause nor counts after it. An internal failure changes nothing: the
// next probe is due at once.
func (p *pause) end(t ticket, v verdict, cause error, now time.Time) {
	p.abandon(t)
	if v.internal {
		return
	}
	if v.hold.After(p.hold) {
		p.hold, p.cause = v.hold, cause
	}
	if !v.upstreamFault {
		p.resume()
		return
	}
	if t.epoch != p.epoch || p.probing && !t.probe {
		return
	}
	if t.probe {
		p.delay = min(2*p.delay, maxProbeDelay)
		p.probeAt = now.Add(p.delay)
		return
	}
	p.failures++
	if p.failures >= failureLimit {
		p.probing, p.delay, p.probeAt, p.cause = true, minProbeDelay, now.Add(minProbeDelay), cause
	}
}

// probeNow has a probe of a paused upstream due at once, whatever it asked for:
// somebody knows that it is back. What the probe meets decides how it goes on.
func (p *pause) probeNow(now time.Time) {
	if _, paused := p.paused(now); !paused {
		return
	}
	p.hold = time.Time{}
	if !p.probing {
		p.probing, p.delay = true, minProbeDelay
	}
	p.probeAt = now
}

// abandon records that an attempt ended without a verdict on the upstream.
func (p *pause) abandon(t ticket) {
	if t.probe && t.epoch == p.epoch {
		p.underWay = false
	}
}

func (p *pause) resume() {
	p.failures = 0
	if !p.probing {
		return
	}
	p.epoch++
	p.probing, p.underWay, p.delay, p.probeAt = false, false, 0, time.Time{}
}

// paused reports whether attempts are held back, and until when at least. Until is
// zero where that is when a probe gets through.
func (p *pause) paused(now time.Time) (until time.Time, paused bool) {
	if now.Before(p.hold) {
		return p.hold, true
	}
	return time.Time{}, p.probing
}
