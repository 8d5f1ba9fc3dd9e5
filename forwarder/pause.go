package forwarder

import (
	"math"
	"time"
)

const (
	// failureLimit is how many consecutive failures of the upstream's own pause it.
	failureLimit = 5

	// The first and the longest wait before a paused upstream is probed. The wait
	// doubles with each probe that fails.
	minProbeDelay = time.Second
	maxProbeDelay = time.Minute
)

// A pause decides from an upstream's answers whether attempts may begin. It is pure
// data; the zero value is an upstream without failures.
type pause struct {
	failures int // the upstream's, in a row
	epoch    int // how many pauses have ended

	probing  bool // paused by failures until a probe succeeds
	underWay bool // whether a probe is in flight
	delay    time.Duration
	probeAt  time.Time

	hold  time.Time // the upstream asked for no attempts until then
	cause error     // of the newest failure or hold
}

// A ticket identifies an attempt to its upstream's pause.
type ticket struct {
	epoch int
	probe bool
}

// room returns how many attempts may begin now. If none may, at is when to ask again;
// it is zero if that is when the probe in flight ends.
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

// begin returns the ticket of an attempt, and whether it may begin.
func (p *pause) begin(now time.Time) (ticket, bool) {
	if n, _ := p.room(now); n == 0 {
		return ticket{}, false
	}
	p.underWay = p.probing
	return ticket{epoch: p.epoch, probe: p.probing}, true
}

// end records the verdict on an attempt. Any answer that is not a failure of the
// upstream ends the pause, whenever the attempt began. A failure counts only if the
// attempt began in the present state: one that began before a pause neither extends
// the pause nor counts after it. An internal failure changes nothing, and the next
// probe is due at once.
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

// probeNow makes a probe of a paused upstream due at once, also if the upstream asked
// for a pause: an operator knows that it is back. The probe's result decides whether
// the pause ends.
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

// paused reports whether attempts are paused, and until when at least. until is zero
// if the pause ends when a probe succeeds.
func (p *pause) paused(now time.Time) (until time.Time, paused bool) {
	if now.Before(p.hold) {
		return p.hold, true
	}
	return time.Time{}, p.probing
}
