package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// A measurement is done once in each round.
type measurement struct {
	name string
	text string
	bare bool // without Scribegate
	run  func(ctx context.Context, b *bench) (sample, error)
}

const (
	usualBody        = 1500 // bytes
	usualConnections = 32
)

// measurements are those of the rounds. What needs a large backlog is in large.go.
var measurements = []measurement{
	{"respond", "bare `respond`", true, func(ctx context.Context, b *bench) (sample, error) {
		return b.run(ctx, bare(), trial{name: "respond", order: b.notes(usualBody), connections: usualConnections})
	}},
	{"respond-1", "bare `respond`, 1 connection", true, func(ctx context.Context, b *bench) (sample, error) {
		return b.run(ctx, bare(), trial{order: b.notes(usualBody), connections: 1})
	}},
	{"respond-soniox", "bare `respond`, Soniox", true, func(ctx context.Context, b *bench) (sample, error) {
		return b.run(ctx, bare(), trial{order: b.transcriptions(), connections: usualConnections})
	}},
	{"generator", "the load generator alone", true, func(ctx context.Context, b *bench) (sample, error) { return b.generator(ctx) }},
	{"verify", "verify only", false, func(ctx context.Context, b *bench) (sample, error) {
		return b.run(ctx, checkpoint(1), trial{name: "verify", order: b.notes(usualBody), connections: usualConnections})
	}},
	{"forged", "reject forged requests", false, func(ctx context.Context, b *bench) (sample, error) {
		o := b.notes(usualBody)
		o.secret = newSecret()
		return b.accept(ctx, trial{name: "forged", order: o, connections: usualConnections, status: http.StatusUnauthorized})
	}},
	{"accept", "accept durably", false, func(ctx context.Context, b *bench) (sample, error) {
		return b.accept(ctx, trial{name: "accept", order: b.notes(usualBody), connections: usualConnections})
	}},
	{"accept-1", "accept durably, 1 connection", false, func(ctx context.Context, b *bench) (sample, error) {
		return b.accept(ctx, trial{name: "accept-1", order: b.notes(usualBody), connections: 1})
	}},
	{"accept-soniox", "accept durably, Soniox", false, func(ctx context.Context, b *bench) (sample, error) {
		return b.accept(ctx, trial{name: "accept-soniox", order: b.transcriptions(), connections: usualConnections})
	}},
	{"fdatasync", "write 4 KiB and fdatasync", true, func(_ context.Context, b *bench) (sample, error) {
		times, err := fdatasyncs(b.dir, b.slice)
		return inTimes(times), err
	}},
	{"proxy", "bare `reverse_proxy`", true, func(ctx context.Context, b *bench) (sample, error) { return b.bareProxy(ctx) }},
	{"deliver-url", "accept and deliver, URL", false, func(ctx context.Context, b *bench) (sample, error) {
		return b.deliver(ctx, "deliver-url", func(backend string) upstream { return upstream{name: "ehr", url: "http://" + backend + "/events"} })
	}},
	{"deliver-route", "accept and deliver, route", false, func(ctx context.Context, b *bench) (sample, error) {
		return b.deliver(ctx, "deliver-route", func(backend string) upstream {
			return upstream{name: "ehr", lines: "route {\nreverse_proxy " + backend + "\n}"}
		})
	}},
	{"hanging-empty", "accept, upstream hangs, nothing waits", false, func(ctx context.Context, b *bench) (sample, error) { return b.hanging(ctx, 0) }},
	{"hanging", "accept, upstream hangs, events wait", false, func(ctx context.Context, b *bench) (sample, error) { return b.hanging(ctx, b.backlog()) }},
}

// notes are SOAPNoteAPI's requests with a body of so many bytes.
func (b *bench) notes(size int) order {
	return order{path: soapnotePath, secret: b.secrets.soapnote, body: noteBody(size)}
}

// transcriptions are Soniox's requests.
func (b *bench) transcriptions() order {
	return order{path: sonioxPath, header: b.secrets.soniox, body: transcriptionBody()}
}

// generator has the load generator send to a responder of this process, which
// both share the machine with nobody.
func (b *bench) generator(ctx context.Context) (sample, error) {
	r, err := newResponder(ctx, "0")
	if err != nil {
		return sample{}, err
	}
	defer r.start().close()
	return ceiling(ctx, target{address: r.address()}, b.notes(usualBody), usualConnections, b.slice)
}

// ceiling is how fast the load generator is against a target that does nothing.
func ceiling(ctx context.Context, to target, o order, connections int, slice time.Duration) (sample, error) {
	all, err := to.connect(ctx, connections)
	if err != nil {
		return sample{}, err
	}
	defer closeAll(all)
	l := load{all}
	var s sample
	for _, lasts := range []time.Duration{warmUp(slice), slice} {
		m, err := o.prepare(to.address, enough(max(s.rate, unknownRate), lasts), time.Now())
		if err != nil {
			return s, err
		}
		before, err := ownProcessorTime()
		if err != nil {
			return s, err
		}
		t, err := l.fire(ctx, volley{magazine: m, lasts: lasts})
		if err := errors.Join(err, t.only(http.StatusOK)); err != nil {
			return s, err
		}
		after, err := ownProcessorTime()
		if err != nil {
			return s, err
		}
		s = inTimes(t.latencies)
		s.rate, s.own = t.rate(), (after-before).Seconds()/float64(t.answered())
	}
	return s, nil
}

// bareProxy has a bare Caddy pass everything on to a backend.
func (b *bench) bareProxy(ctx context.Context) (sample, error) {
	r, err := newResponder(ctx, "0")
	if err != nil {
		return sample{}, err
	}
	defer r.start().close()
	return b.run(ctx, bareProxy(r.address()), trial{
		name: "proxy", order: b.notes(usualBody), connections: usualConnections,
		settled: func(_ context.Context, _ *gateway, accepted int) error {
			if taken := r.taken.Load(); taken != int64(accepted) {
				return fmt.Errorf("%d requests were passed on, and %d arrived", accepted, taken)
			}
			return nil
		},
	})
}
