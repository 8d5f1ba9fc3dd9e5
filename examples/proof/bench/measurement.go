package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/scribegate/scribegate/examples/proof/bench/internal/figures"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/gateway"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/load"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/probe"
)

// A measurement runs once in each round.
type measurement struct {
	name string
	text string
	bare bool // without Scribegate
	run  func(ctx context.Context, b *bench) (figures.Sample, error)
}

const (
	usualBody        = 1500 // bytes
	usualConnections = 32
)

// measurements are the measurements of a round. Those with the large backlog are in large.go, those of
// queue postgres in postgres.go.
var measurements = append([]measurement{
	{"respond", "bare `respond`", true, func(ctx context.Context, b *bench) (figures.Sample, error) {
		return b.run(ctx, gateway.Bare(), trial{name: "respond", requests: b.notes(usualBody), connections: usualConnections})
	}},
	{"respond-1", "bare `respond`, 1 connection", true, func(ctx context.Context, b *bench) (figures.Sample, error) {
		return b.run(ctx, gateway.Bare(), trial{requests: b.notes(usualBody), connections: 1})
	}},
	{"respond-soniox", "bare `respond`, Soniox", true, func(ctx context.Context, b *bench) (figures.Sample, error) {
		return b.run(ctx, gateway.Bare(), trial{requests: b.transcriptions(), connections: usualConnections})
	}},
	{"generator", "the load generator alone", true, func(ctx context.Context, b *bench) (figures.Sample, error) { return b.generator(ctx) }},
	{"verify", "verify only", false, func(ctx context.Context, b *bench) (figures.Sample, error) {
		return b.run(ctx, gateway.Checkpoint(1), trial{name: "verify", requests: b.notes(usualBody), connections: usualConnections})
	}},
	{"forged", "reject forged requests", false, func(ctx context.Context, b *bench) (figures.Sample, error) {
		o := b.notes(usualBody)
		o.Secret = gateway.NewSecret()
		return b.accept(ctx, trial{name: "forged", requests: o, connections: usualConnections, status: http.StatusUnauthorized})
	}},
	{"accept", "accept durably", false, func(ctx context.Context, b *bench) (figures.Sample, error) {
		return b.accept(ctx, trial{name: "accept", requests: b.notes(usualBody), connections: usualConnections})
	}},
	{"accept-1", "accept durably, 1 connection", false, func(ctx context.Context, b *bench) (figures.Sample, error) {
		return b.accept(ctx, trial{name: "accept-1", requests: b.notes(usualBody), connections: 1})
	}},
	{"accept-soniox", "accept durably, Soniox", false, func(ctx context.Context, b *bench) (figures.Sample, error) {
		return b.accept(ctx, trial{name: "accept-soniox", requests: b.transcriptions(), connections: usualConnections})
	}},
	{"fdatasync", "write 4 KiB and fdatasync", true, func(_ context.Context, b *bench) (figures.Sample, error) {
		times, err := probe.Fdatasyncs(b.dir, b.slice)
		return figures.LatencySample(times), err
	}},
	{"proxy", "bare `reverse_proxy`", true, func(ctx context.Context, b *bench) (figures.Sample, error) { return b.bareProxy(ctx) }},
	{"deliver-url", "accept and deliver, URL", false, func(ctx context.Context, b *bench) (figures.Sample, error) {
		return b.deliver(ctx, "deliver-url", func(backend string) gateway.Upstream {
			return gateway.Upstream{Name: "ehr", URL: "http://" + backend + "/events"}
		})
	}},
	{"deliver-route", "accept and deliver, route", false, func(ctx context.Context, b *bench) (figures.Sample, error) {
		return b.deliver(ctx, "deliver-route", func(backend string) gateway.Upstream {
			return gateway.Upstream{Name: "ehr", Lines: "route {\nreverse_proxy " + backend + "\n}"}
		})
	}},
	{"hanging-empty", "accept, upstream hangs, nothing waits", false, func(ctx context.Context, b *bench) (figures.Sample, error) { return b.hanging(ctx, 0) }},
	{"hanging", "accept, upstream hangs, events wait", false, func(ctx context.Context, b *bench) (figures.Sample, error) { return b.hanging(ctx, b.backlog()) }},
}, postgresMeasurements...)

// notes returns SOAPNoteAPI's requests with a body of size bytes.
func (b *bench) notes(size int) load.Spec {
	return load.Spec{Path: gateway.SoapnotePath, Secret: b.secrets.Soapnote, Body: load.NoteBody(size)}
}

// transcriptions returns Soniox's requests.
func (b *bench) transcriptions() load.Spec {
	return load.Spec{Path: gateway.SonioxPath, Header: b.secrets.Soniox, Body: load.TranscriptionBody()}
}

// generator measures the load generator with a responder in this process, without a gateway.
func (b *bench) generator(ctx context.Context) (figures.Sample, error) {
	r, err := load.NewResponder(ctx, "0")
	if err != nil {
		return figures.Sample{}, err
	}
	defer r.Start().Close()
	return ceiling(ctx, load.Target{Address: r.Address()}, b.notes(usualBody), usualConnections, b.slice)
}

// ceiling measures the load generator's maximum rate, with a target that only answers.
func ceiling(ctx context.Context, to load.Target, o load.Spec, connections int, slice time.Duration) (figures.Sample, error) {
	l, err := to.Connect(ctx, connections)
	if err != nil {
		return figures.Sample{}, err
	}
	defer l.Close()
	var s figures.Sample
	for _, lasts := range []time.Duration{warmUp(slice), slice} {
		m, err := o.Prepare(to.Address, batchSize(max(s.Rate, unknownRate), lasts), time.Now())
		if err != nil {
			return s, err
		}
		before, err := probe.OwnProcessorTime()
		if err != nil {
			return s, err
		}
		t, err := l.Run(ctx, load.Phase{Batch: m, Lasts: lasts})
		if err := errors.Join(err, t.Only(http.StatusOK)); err != nil {
			return s, err
		}
		after, err := probe.OwnProcessorTime()
		if err != nil {
			return s, err
		}
		s = figures.LatencySample(t.Latencies)
		s.Rate, s.Own = t.Rate(), (after-before).Seconds()/float64(t.Answered())
	}
	return s, nil
}

// bareProxy measures a bare Caddy that proxies to a backend.
func (b *bench) bareProxy(ctx context.Context) (figures.Sample, error) {
	r, err := load.NewResponder(ctx, "0")
	if err != nil {
		return figures.Sample{}, err
	}
	defer r.Start().Close()
	return b.run(ctx, gateway.BareProxy(r.Address()), trial{
		name: "proxy", requests: b.notes(usualBody), connections: usualConnections,
		settled: func(_ context.Context, _ *gateway.Gateway, accepted int) error {
			if received := r.Received.Load(); received != int64(accepted) {
				return fmt.Errorf("%d requests were answered, and the backend received %d", accepted, received)
			}
			return nil
		},
	})
}
