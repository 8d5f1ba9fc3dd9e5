package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// A measurement runs once in each round.
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

// measurements are the measurements of a round. Those with the large backlog are in large.go.
var measurements = []measurement{
	{"respond", "bare `respond`", true, func(ctx context.Context, b *bench) (sample, error) {
		return b.run(ctx, bare(), trial{name: "respond", requests: b.notes(usualBody), connections: usualConnections})
	}},
	{"respond-1", "bare `respond`, 1 connection", true, func(ctx context.Context, b *bench) (sample, error) {
		return b.run(ctx, bare(), trial{requests: b.notes(usualBody), connections: 1})
	}},
	{"respond-soniox", "bare `respond`, Soniox", true, func(ctx context.Context, b *bench) (sample, error) {
		return b.run(ctx, bare(), trial{requests: b.transcriptions(), connections: usualConnections})
	}},
	{"generator", "the load generator alone", true, func(ctx context.Context, b *bench) (sample, error) { return b.generator(ctx) }},
	{"verify", "verify only", false, func(ctx context.Context, b *bench) (sample, error) {
		return b.run(ctx, checkpoint(1), trial{name: "verify", requests: b.notes(usualBody), connections: usualConnections})
	}},
	{"forged", "reject forged requests", false, func(ctx context.Context, b *bench) (sample, error) {
		o := b.notes(usualBody)
		o.secret = newSecret()
		return b.accept(ctx, trial{name: "forged", requests: o, connections: usualConnections, status: http.StatusUnauthorized})
	}},
	{"accept", "accept durably", false, func(ctx context.Context, b *bench) (sample, error) {
		return b.accept(ctx, trial{name: "accept", requests: b.notes(usualBody), connections: usualConnections})
	}},
	{"accept-1", "accept durably, 1 connection", false, func(ctx context.Context, b *bench) (sample, error) {
		return b.accept(ctx, trial{name: "accept-1", requests: b.notes(usualBody), connections: 1})
	}},
	{"accept-soniox", "accept durably, Soniox", false, func(ctx context.Context, b *bench) (sample, error) {
		return b.accept(ctx, trial{name: "accept-soniox", requests: b.transcriptions(), connections: usualConnections})
	}},
	{"fdatasync", "write 4 KiB and fdatasync", true, func(_ context.Context, b *bench) (sample, error) {
		times, err := fdatasyncs(b.dir, b.slice)
		return latencySample(times), err
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

// notes returns SOAPNoteAPI's requests with a body of size bytes.
func (b *bench) notes(size int) spec {
	return spec{path: soapnotePath, secret: b.secrets.soapnote, body: noteBody(size)}
}

// transcriptions returns Soniox's requests.
func (b *bench) transcriptions() spec {
	return spec{path: sonioxPath, header: b.secrets.soniox, body: transcriptionBody()}
}

// generator measures the load generator with a responder in this process, without a gateway.
func (b *bench) generator(ctx context.Context) (sample, error) {
	r, err := newResponder(ctx, "0")
	if err != nil {
		return sample{}, err
	}
	defer r.start().close()
	return ceiling(ctx, target{address: r.address()}, b.notes(usualBody), usualConnections, b.slice)
}

// ceiling measures the load generator's maximum rate, with a target that only answers.
func ceiling(ctx context.Context, to target, o spec, connections int, slice time.Duration) (sample, error) {
	all, err := to.connect(ctx, connections)
	if err != nil {
		return sample{}, err
	}
	defer closeAll(all)
	l := load{all}
	var s sample
	for _, lasts := range []time.Duration{warmUp(slice), slice} {
		m, err := o.prepare(to.address, batchSize(max(s.rate, unknownRate), lasts), time.Now())
		if err != nil {
			return s, err
		}
		before, err := ownProcessorTime()
		if err != nil {
			return s, err
		}
		t, err := l.run(ctx, phase{batch: m, lasts: lasts})
		if err := errors.Join(err, t.only(http.StatusOK)); err != nil {
			return s, err
		}
		after, err := ownProcessorTime()
		if err != nil {
			return s, err
		}
		s = latencySample(t.latencies)
		s.rate, s.own = t.rate(), (after-before).Seconds()/float64(t.answered())
	}
	return s, nil
}

// bareProxy measures a bare Caddy that proxies to a backend.
func (b *bench) bareProxy(ctx context.Context) (sample, error) {
	r, err := newResponder(ctx, "0")
	if err != nil {
		return sample{}, err
	}
	defer r.start().close()
	return b.run(ctx, bareProxy(r.address()), trial{
		name: "proxy", requests: b.notes(usualBody), connections: usualConnections,
		settled: func(_ context.Context, _ *gateway, accepted int) error {
			if received := r.received.Load(); received != int64(accepted) {
				return fmt.Errorf("%d requests were answered, and the backend received %d", accepted, received)
			}
			return nil
		},
	})
}
