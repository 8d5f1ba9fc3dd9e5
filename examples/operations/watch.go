package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/scribegate/scribegate/examples/internal/stage"
)

// visibility is the maximum time until an incident is visible. This is a requirement.
const visibility = time.Minute

var errNotVisible = errors.New("it was not visible within a minute")

// pollInterval is the interval between two checks of a condition.
const pollInterval = 50 * time.Millisecond

// poll waits until a condition holds.
func poll(ctx context.Context, what string, holds func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, visibility, errNotVisible)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		ok, err := holds()
		if err != nil {
			return fmt.Errorf("waiting for %s: %w", what, err)
		}
		if ok {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, context.Cause(ctx))
		}
	}
}

// measured returns a function that calls wait and stores its duration in took.
func measured(took *time.Duration, wait func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		begin := time.Now()
		err := wait(ctx)
		*took = time.Since(begin)
		return err
	}
}

// An upstreamStatus is an upstream in GET /scribegate/status.
type upstreamStatus struct {
	Pending, Dead int
	Paused        bool
}

// waitStatus waits until is returns true for the status of the only upstream, and returns
// how long after a time that was.
func waitStatus(ctx context.Context, g *stage.Gateway, after time.Time, is func(upstreamStatus) bool) (time.Duration, error) {
	err := poll(ctx, "the status", func() (bool, error) {
		s, err := status(ctx, g.Admin)
		return is(s), err
	})
	return time.Since(after), err
}

func status(ctx context.Context, admin string) (upstreamStatus, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, admin+"/scribegate/status", nil)
	if err != nil {
		return upstreamStatus{}, fmt.Errorf("asking for the status: %w", err)
	}
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		return upstreamStatus{}, fmt.Errorf("asking for the status: %w", err)
	}
	defer resp.Body.Close()
	var s struct{ Upstreams []upstreamStatus }
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		return upstreamStatus{}, fmt.Errorf("reading the status: %w", err)
	}
	if len(s.Upstreams) != 1 {
		return upstreamStatus{}, fmt.Errorf("reading the status: %d upstreams, not one", len(s.Upstreams))
	}
	return s.Upstreams[0], nil
}

// waitLog waits for a log line that was written after a time and contains all the words, and
// returns how long after that time it was written.
func waitLog(ctx context.Context, g *stage.Gateway, after time.Time, words ...string) (time.Duration, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, visibility, errNotVisible)
	defer cancel()
	var at time.Time
	_, err := g.WaitLine(ctx, fmt.Sprintf("a line with %q", words), func(line string) bool {
		for _, word := range words {
			if !strings.Contains(line, word) {
				return false
			}
		}
		at = writtenAt(line)
		return !at.Before(after)
	})
	return at.Sub(after), err
}

// writtenAt returns the time in a line of Caddy's log, or zero if there is none.
func writtenAt(line string) time.Time {
	var entry struct {
		TS float64 `json:"ts"`
	}
	if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.TS == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(entry.TS * 1e6))
}
