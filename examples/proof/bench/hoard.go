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
	"github.com/scribegate/scribegate/examples/proof/internal/pagecache"
)

// backlog is how many events wait while an upstream hangs.
func (o options) backlog() int { return o.large / 10 }

// smallDrain is how many events the drain has that the large one is held
// against.
func (o options) smallDrain() int { return min(10_000, o.large/2) }

// A hoard is a gateway with a large backlog, whose upstream is there or not.
type hoard struct {
	*bench
	gateway *gateway
	text    configuration
	port    string     // of the backend
	backend *responder // nil while it is away
	ids     []uint64   // of what earlier ones have taken
	number  int        // of the events accepted
}

func (b *bench) newHoard(ctx context.Context) (*hoard, error) {
	ports, err := stage.Ports(ctx, 1)
	if err != nil {
		return nil, err
	}
	g, err := b.newGateway(ctx)
	if err != nil {
		return nil, err
	}
	up := upstream{name: "ehr", url: "http://127.0.0.1:" + ports[0] + "/events"}
	return &hoard{bench: b, gateway: g, text: durable(up), port: ports[0]}, nil
}

// come has the backend be there, and leave has it go.
func (h *hoard) come(ctx context.Context) error {
	r, err := newResponder(ctx, h.port)
	if err != nil {
		return err
	}
	h.backend = r.start()
	return nil
}

func (h *hoard) leave() {
	if h.backend != nil {
		h.backend.close()
		h.ids = append(h.ids, h.backend.deliveries()...)
		h.backend = nil
	}
}

func (h *hoard) closeInto(err *error) {
	h.leave()
	h.gateway.closeInto(err)
}

// fill adds events to those that wait.
func (h *hoard) fill(ctx context.Context, number int) error {
	h.number += number
	return h.bench.fill(ctx, h.gateway, h.notes(usualBody), number)
}

// start starts the gateway beside a backend that is there, and returns how long
// after the process's start the first delivery arrived.
func (h *hoard) start(ctx context.Context) (time.Duration, error) {
	if err := h.come(ctx); err != nil {
		return 0, err
	}
	if err := h.gateway.launch(h.text, nil); err != nil {
		return 0, err
	}
	select {
	case <-h.backend.first:
		return time.Since(h.gateway.began), nil
	case <-time.After(startLimit):
		return 0, fmt.Errorf("%w within %s of the start", errNoDelivery, startLimit)
	case <-h.gateway.process.Ended():
		return 0, fmt.Errorf("%w: the gateway ended", errNoDelivery)
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// stop ends the gateway, and the backend after it.
func (h *hoard) stop() error {
	err := h.gateway.stop()
	h.leave()
	return err
}

// chill takes the queue's files out of the page cache.
func (h *hoard) chill() error {
	return h.gateway.eachQueueFile(func(file string) error {
		resident, err := pagecache.Drop(file)
		if err == nil && resident > 0.05 {
			err = fmt.Errorf("%.0f %% of %s stays in the page cache; name a directory on a disk with -dir", 100*resident, filepath.Base(file))
		}
		return err
	})
}

// heat reads the queue's files into the page cache.
func (h *hoard) heat() error {
	return h.gateway.eachQueueFile(func(file string) error {
		f, err := os.Open(file)
		if err != nil {
			return fmt.Errorf("reading the queue's files: %w", err)
		}
		_, err = io.Copy(io.Discard, f)
		return errors.Join(err, f.Close())
	})
}

// reach waits until the present backend has taken so many.
func (h *hoard) reach(ctx context.Context, number int64) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for moved, reported, last := time.Now(), time.Now(), int64(-1); ; {
		n, now := h.backend.taken.Load(), time.Now()
		if n >= number {
			return nil
		}
		if n > last {
			moved, last = now, n
		}
		if now.Sub(moved) > stateLimit {
			return fmt.Errorf("%d of %d events were delivered, and none any more for %s", n, number, stateLimit)
		}
		if now.Sub(reported) > 30*time.Second {
			reported = now
			h.say("  %s delivered", thousands(int(n)))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-h.gateway.process.Ended():
			return errors.New("draining: the gateway ended")
		}
	}
}

// drained waits until nothing waits any more, and checks that each event came
// once.
func (h *hoard) drained(ctx context.Context) error {
	if err := h.gateway.await(ctx, waiting(0)); err != nil {
		return err
	}
	if err := h.stop(); err != nil {
		return err
	}
	return eachOnce(h.ids, h.number)
}
