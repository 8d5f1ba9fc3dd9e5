package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// eventRoom is the size of an ordinary event. A queue with less room than that refuses
// most events.
const eventRoom = 4 << 10

// Ready returns an error if an event could not be stored now.
func (g *Gateway) Ready() error {
	if since, err := g.writing.failure(); err != nil {
		return fmt.Errorf("events are refused: %w (since %s)", err, stamp(since))
	}
	stats, err := inquire(g, func(ctx context.Context) (queue.Stats, error) {
		if _, err := g.queue.Events(ctx, queue.Filter{Limit: 1}); err != nil {
			return queue.Stats{}, err
		}
		return g.queue.Stats()
	})
	switch {
	case errors.As(err, new(Unanswered)):
		return fmt.Errorf("%w; %s", err, g.inquiry.newest())
	case err != nil:
		return fmt.Errorf("reading the queue: %w", err)
	}
	if stats.MaxBytes > 0 && stats.MaxBytes-stats.Bytes < eventRoom {
		return fmt.Errorf("the queue is full: it holds %s of %s; raise max_size, or see with `caddy scribegate status` which upstream accepts nothing",
			humanize.IBytes(uint64(stats.Bytes)), humanize.IBytes(uint64(stats.MaxBytes))) // both are above zero
	}
	if at, refusing := g.inquiry.refusing(time.Now()); refusing {
		return fmt.Errorf("events are refused: the queue %s did not store them in time, most recently at %s; check its disk and the log", g.key, stamp(at))
	}
	return nil
}
