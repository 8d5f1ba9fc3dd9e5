package gateway

import (
	"context"
	"fmt"
	"time"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/await"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/ledger"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/table"
)

// After waits for a time on reported, and returns the duration from the start of the process until that time.
func (r *Rig) After(ctx context.Context, reported <-chan time.Time, what string) (time.Duration, error) {
	select {
	case at := <-reported:
		return at.Sub(r.Proc.Began), nil
	case <-time.After(await.Patience):
		return 0, fmt.Errorf("waiting for %s: it did not come within %s; the gateway's last lines are:\n%s", what, await.Patience, r.Proc.Tail(10))
	case <-r.Proc.Ended:
		return 0, fmt.Errorf("waiting for %s: the gateway ended; its last lines are:\n%s", what, r.Proc.Tail(20))
	case <-ctx.Done():
		return 0, fmt.Errorf("waiting for %s: %w", what, context.Cause(ctx))
	}
}

// Settle waits until every acknowledged event is delivered to each of its upstreams, or until no
// delivery came for the time limit, and returns a row with the counts. Events that are missing then
// are counted as lost. Settle returns an error only if it could not wait.
func (r *Rig) Settle(ctx context.Context, b *ledger.Book, limit time.Duration) (table.Row, error) {
	w := r.Ledger.Watch(b)
	defer w.End()
	if w.Number > 0 {
		if err := w.Wait(ctx, limit, r.Proc.Ended); err != nil {
			return ledger.Count(b.Snapshot(), r.Ledger.Accepted()), err
		}
	}
	return ledger.Count(b.Snapshot(), r.Ledger.Accepted()), nil
}
