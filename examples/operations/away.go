package main

import (
	"context"
	"time"

	"github.com/scribegate/scribegate/examples/internal/document"
	"github.com/scribegate/scribegate/examples/internal/sender"
)

// logFile is the gateway's log, as the documentation names it.
const logFile = "/var/log/caddy/caddy.log"

// away stages an upstream that goes down and comes back.
func (s *site) away(ctx context.Context) (seen incident, err error) {
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
	seen = incident{fault: "an upstream went away", alert: "ScribegateUpstreamPaused"}
	if err = s.watchPause(ctx, begin, "connection refused", &seen); err != nil {
		return seen, err
	}
	if err = s.ready(ctx); err != nil {
		return seen, err
	}
	if err = s.Run(ctx, "away", document.Command{Line: "grep 'is paused' " + logFile + " | tail -1"}, document.Command{Line: "caddy scribegate status"}); err != nil {
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
	seen.repair = time.Since(begin)
	if err = s.backend.check(ids, "1"); err != nil { // attempts that could not connect do not count
		return seen, err
	}
	return seen, s.Run(ctx, "away, over", document.Command{Line: "grep 'no longer paused' " + logFile + " | tail -1"}, document.Command{Line: "caddy scribegate status"})
}

// watchPause sets in seen how long after a time the upstream's failures and its pause were
// visible. word is a part of the log line of a failed attempt.
func (s *site) watchPause(ctx context.Context, after time.Time, word string, seen *incident) (err error) {
	if seen.status, err = waitStatus(ctx, s.gateway, after, func(u upstreamStatus) bool { return u.Paused }); err != nil {
		return err
	}
	if seen.log, err = waitLog(ctx, s.gateway, after, "a delivery failed", word); err != nil {
		return err
	}
	if seen.event, err = waitLog(ctx, s.gateway, after, "scribegate.upstream_paused"); err != nil {
		return err
	}
	// Wait for this Line: the commands of the incident search for it in the log.
	seen.condition, err = waitLog(ctx, s.gateway, after, "an upstream is paused")
	return err
}
