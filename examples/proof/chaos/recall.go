package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// learn has some events acknowledged, to be sent again after the kill.
func (k *killing) learn(ctx context.Context) {
	c := k.fleet.connect()
	defer c.close()
	k.known = k.known[:0]
	for n := range 6 {
		p := k.fleet.post(fmt.Sprintf("known-%d-%d", k.kills, n), n%2 == 0)
		answer, outcome := k.fleet.send(ctx, c, p)
		if !acknowledged(answer) {
			// A reload may have cut the connection; there are others.
			k.book.note(outcome)
			continue
		}
		k.book.acknowledge(answer.ID, k.fleet.upstreams, answer.Duplicate, 0)
		k.known = append(k.known, known{p, answer.ID})
	}
}

// recall sends them again: each must be known still, by the same id.
func (k *killing) recall(ctx context.Context) error {
	c := k.fleet.connect()
	defer c.close()
	for _, known := range k.known {
		answer, outcome := k.fleet.send(ctx, c, known.post)
		if answer.Status != http.StatusOK {
			return fmt.Errorf("sending an event again after the start: %s", outcome)
		}
		if !answer.Duplicate || answer.ID != known.id {
			return fmt.Errorf("the event %s was acknowledged before the kill, and after it taken once more as %s (duplicate %v)", known.id, answer.ID, answer.Duplicate)
		}
	}
	return nil
}

// eventually asks until the answer is yes.
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

// without returns the names but one.
func without(names []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == name })
}
