package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// sendKnown sends some events, which resendKnown sends again after the kill.
func (k *killRun) sendKnown(ctx context.Context) {
	c := k.fleet.connect()
	defer c.close()
	k.known = k.known[:0]
	for n := range 6 {
		sent := time.Now()
		p := k.fleet.post(fmt.Sprintf("known-%d-%d", k.kills, n), n%2 == 0)
		answer, outcome := k.fleet.send(ctx, c, p)
		if !acknowledged(answer) {
			// A reload may have closed the connection. The others are enough.
			k.book.record(outcome)
			continue
		}
		k.book.acknowledge(answer.ID, k.fleet.upstreams, answer.Duplicate, 0)
		k.known = append(k.known, knownPost{p, answer.ID, sent})
	}
}

// resendKnown sends these events again. Each must be a duplicate with the same id, if the
// dedupe window is not over.
func (k *killRun) resendKnown(ctx context.Context) error {
	c := k.fleet.connect()
	defer c.close()
	for _, known := range k.known {
		answer, outcome := k.fleet.send(ctx, c, known.post)
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

// eventually calls yes until it returns true or an error.
func eventually(ctx context.Context, what string, yes func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("it did not happen within "+patience.String()))
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := yes()
		if ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, context.Cause(ctx))
		}
	}
}

// without returns names without name.
func without(names []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == name })
}
