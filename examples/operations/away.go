package main

import (
	"context"
	"time"

	"github.com/scribegate/scribegate/examples/internal/sender"
)

// logFile is where the gateway's log is, for whoever is on call.
const logFile = "/var/log/caddy/caddy.log"

// away: the upstream goes away in the night, and comes back.
func (s *site) away(ctx context.Context) (seen sighting, err error) {
	if _, err = s.provider.accepted(ctx, 1, sender.NoteGenerated); err != nil {
		return seen, err
	}
	if err = s.gateway.WaitIdle(ctx); err != nil {
		return seen, err
	}
	s.backend.leave()
	begin := time.Now()
	ids, err := s.provider.accepted(ctx, 3, sender.NoteGenerated)
	if err != nil {
		return seen, err
	}
	seen = sighting{fault: "an upstream went away", alert: "ScribegateUpstreamPaused"}
	if err = s.watchPause(ctx, begin, "connection refused", &seen); err != nil {
		return seen, err
	}
	if err = s.ready(ctx); err != nil {
		return seen, err
	}
	if err = s.run(ctx, "away", command{line: "grep 'is paused' " + logFile + " | tail -1"}, command{line: "caddy scribegate status"}); err != nil {
		return seen, err
	}
	begin = time.Now()
	if err = s.backend.arrive(ctx); err != nil {
		return seen, err
	}
	if _, err = waitLog(ctx, s.gateway, begin, "no longer paused"); err != nil {
		return seen, err
	}
	if err = s.gateway.WaitIdle(ctx); err != nil {
		return seen, err
	}
	seen.over = time.Since(begin)
	if err = s.backend.check(ids, "1"); err != nil { // the attempts that could not connect have used up none
		return seen, err
	}
	return seen, s.run(ctx, "away, over", command{line: "grep 'no longer paused' " + logFile + " | tail -1"}, command{line: "caddy scribegate status"})
}

// watchPause measures how long after a time the upstream's failures and its pause
// are to be seen. word is in the line of a failed attempt.
func (s *site) watchPause(ctx context.Context, after time.Time, word string, seen *sighting) (err error) {
	if seen.status, err = waitStatus(ctx, s.gateway, after, func(u upstreamStatus) bool { return u.Paused }); err != nil {
		return err
	}
	if seen.log, err = waitLog(ctx, s.gateway, after, "a delivery failed", word); err != nil {
		return err
	}
	if seen.event, err = waitLog(ctx, s.gateway, after, "scribegate.upstream_paused"); err != nil {
		return err
	}
	// It is waited for, so that it stands in the log when that is looked through.
	seen.ripe, err = waitLog(ctx, s.gateway, after, "an upstream is paused")
	return err
}
