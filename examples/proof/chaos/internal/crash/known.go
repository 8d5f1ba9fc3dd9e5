package crash

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/load"
)

// sendKnown sends some events, which resendKnown sends again after the kill.
func (k *killRun) sendKnown(ctx context.Context) {
	c := k.fleet.Connect()
	defer c.Close()
	k.known = k.known[:0]
	for n := range 6 {
		sent := time.Now()
		p := k.fleet.Post(fmt.Sprintf("known-%d-%d", k.kills, n), n%2 == 0)
		answer, outcome := k.fleet.Send(ctx, c, p)
		if !load.Acknowledged(answer) {
			// A reload may have closed the connection. The others are enough.
			k.book.Record(outcome)
			continue
		}
		k.book.Acknowledge(answer.ID, k.fleet.Upstreams, answer.Duplicate, 0)
		k.known = append(k.known, knownPost{p, answer.ID, sent})
	}
}

// resendKnown sends these events again. Each must be a duplicate with the same id, if the
// dedupe window is not over.
func (k *killRun) resendKnown(ctx context.Context) error {
	c := k.fleet.Connect()
	defer c.Close()
	for _, known := range k.known {
		answer, outcome := k.fleet.Send(ctx, c, known.post)
		if answer.Status != http.StatusOK {
			return fmt.Errorf("sending an event again after the start: %s", outcome)
		}
		over := k.activity.window > 0 && time.Since(known.sent) > k.activity.window
		if answer.ID != known.id || !answer.Duplicate && !over {
			return fmt.Errorf("the event %s, acknowledged before the kill, was accepted again after it as %s (duplicate %v)", known.id, answer.ID, answer.Duplicate)
		}
	}
	return nil
}

// without returns names without name.
func without(names []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == name })
}
