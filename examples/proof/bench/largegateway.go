package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/scribegate/scribegate/examples/internal/stage"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/figures"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/gateway"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/load"
	"github.com/scribegate/scribegate/examples/proof/internal/pagecache"
)

// backlog returns the number of events that wait while an upstream hangs.
func (o options) backlog() int { return o.large / 10 }

// smallDrain returns the number of events of the small drain.
func (o options) smallDrain() int { return min(10_000, o.large/2) }

// A largeGateway is a gateway with a large backlog, and its backend.
type largeGateway struct {
	*bench
	gateway *gateway.Gateway
	text    gateway.Configuration
	port    string          // of the backend
	backend *load.Responder // nil while it is down
	ids     []uint64        // of the deliveries to earlier backends
	number  int             // of accepted events
}

func (b *bench) newLargeGateway(ctx context.Context) (*largeGateway, error) {
	ports, err := stage.Ports(ctx, 1)
	if err != nil {
		return nil, err
	}
	g, err := b.newGateway(ctx)
	if err != nil {
		return nil, err
	}
	up := gateway.Upstream{Name: "ehr", URL: "http://127.0.0.1:" + ports[0] + "/events"}
	return &largeGateway{bench: b, gateway: g, text: gateway.Durable(up), port: ports[0]}, nil
}

// startBackend starts the backend. stopBackend stops it and keeps the ids of its deliveries.
func (h *largeGateway) startBackend(ctx context.Context) error {
	r, err := load.NewResponder(ctx, h.port)
	if err != nil {
		return err
	}
	h.backend = r.Start()
	return nil
}

func (h *largeGateway) stopBackend() {
	if h.backend != nil {
		h.backend.Close()
		h.ids = append(h.ids, h.backend.Deliveries()...)
		h.backend = nil
	}
}

func (h *largeGateway) closeInto(err *error) {
	h.stopBackend()
	h.gateway.CloseInto(err)
}

// fill adds waiting events.
func (h *largeGateway) fill(ctx context.Context, number int) error {
	h.number += number
	return h.bench.fill(ctx, h.gateway, h.notes(usualBody), number)
}

var errNoDelivery = errors.New("nothing was delivered")

// start starts the backend and the gateway, and returns the time from the start of the process to
// the first delivery.
func (h *largeGateway) start(ctx context.Context) (time.Duration, error) {
	if err := h.startBackend(ctx); err != nil {
		return 0, err
	}
	if err := h.gateway.Launch(h.text, nil); err != nil {
		return 0, err
	}
	select {
	case <-h.backend.First:
		return time.Since(h.gateway.Began), nil
	case <-time.After(gateway.StartLimit):
		return 0, fmt.Errorf("%w within %s of the start", errNoDelivery, gateway.StartLimit)
	case <-h.gateway.Process.Ended():
		return 0, fmt.Errorf("%w: the gateway ended", errNoDelivery)
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// stop stops the gateway, and then the backend.
func (h *largeGateway) stop() error {
	err := h.gateway.Stop()
	h.stopBackend()
	return err
}

// dropCache removes the queue's files from the page cache.
func (h *largeGateway) dropCache() error {
	return h.gateway.EachQueueFile(func(file string) error {
		resident, err := pagecache.Drop(file)
		if err == nil && resident > 0.05 {
			err = fmt.Errorf("%.0f %% of %s is still in the page cache; set a directory on a disk with -dir", 100*resident, filepath.Base(file))
		}
		return err
	})
}

// warmCache loads the queue's files into the page cache.
func (h *largeGateway) warmCache() error {
	return h.gateway.EachQueueFile(func(file string) error {
		f, err := os.Open(file)
		if err != nil {
			return fmt.Errorf("reading the queue's files: %w", err)
		}
		_, err = io.Copy(io.Discard, f)
		return errors.Join(err, f.Close())
	})
}

// waitDelivered waits until the current backend has received number deliveries.
func (h *largeGateway) waitDelivered(ctx context.Context, number int64) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for moved, reported, last := time.Now(), time.Now(), int64(-1); ; {
		n, now := h.backend.Received.Load(), time.Now()
		if n >= number {
			return nil
		}
		if n > last {
			moved, last = now, n
		}
		if now.Sub(moved) > gateway.StateLimit {
			return fmt.Errorf("%d of %d events were delivered, and no more within %s", n, number, gateway.StateLimit)
		}
		if now.Sub(reported) > 30*time.Second {
			reported = now
			h.logf("  %s delivered", figures.Thousands(int(n)))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-h.gateway.Process.Ended():
			return errors.New("draining: the gateway ended")
		}
	}
}

// drained waits until no event waits, and checks that each event was delivered once.
func (h *largeGateway) drained(ctx context.Context) error {
	if err := h.gateway.Await(ctx, gateway.Waiting(0)); err != nil {
		return err
	}
	if err := h.stop(); err != nil {
		return err
	}
	return load.EachOnce(h.ids, h.number)
}
