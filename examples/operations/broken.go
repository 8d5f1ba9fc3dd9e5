package main

import (
	"context"
	"net/http"
	"time"

	"github.com/scribegate/scribegate/examples/internal/sender"
)

// broken: a deploy has the backend answer 500 to everything.
func (s *site) broken(ctx context.Context) (seen sighting, err error) {
	s.backend.breaks(http.StatusInternalServerError, "")
	begin := time.Now()
	ids, err := s.provider.accepted(ctx, 6, sender.NoteGenerated)
	if err != nil {
		return seen, err
	}
	seen = sighting{fault: "a deploy answers 500", alert: "ScribegateUpstreamPaused"}
	if err = s.watchPause(ctx, begin, `"status":500`, &seen); err != nil {
		return seen, err
	}
	if err = s.ready(ctx); err != nil {
		return seen, err
	}
	if err = s.run(ctx, "broken", command{line: `grep '"status":500' ` + logFile + " | tail -1"}); err != nil {
		return seen, err
	}
	s.backend.mend()
	err = s.run(ctx, "broken, over",
		command{line: "caddy scribegate replay --since 1h --upstream ehr", then: measured(&seen.over, s.gateway.WaitIdle)},
		command{line: "caddy scribegate status"},
	)
	if err != nil {
		return seen, err
	}
	return seen, s.backend.check(ids, "1") // a replay gives a fresh budget
}

// dead: a deploy has the backend refuse notes, which pauses nothing, until they
// have no attempts left.
func (s *site) dead(ctx context.Context) (seen sighting, err error) {
	if err = s.retry(ctx, hastyRetry); err != nil {
		return seen, err
	}
	s.backend.breaks(http.StatusBadRequest, "com.soapnoteapi.note.generated")
	begin := time.Now()
	ids, err := s.provider.accepted(ctx, 3, sender.NoteGenerated)
	if err != nil {
		return seen, err
	}
	other, err := s.provider.accepted(ctx, 1, sender.NoteFailed)
	if err != nil {
		return seen, err
	}
	seen = sighting{fault: "a deploy answers 400", alert: "ScribegateDeliveriesFailing"}
	if seen.status, err = waitStatus(ctx, s.gateway, begin, func(u upstreamStatus) bool { return u.Dead == len(ids) }); err != nil {
		return seen, err
	}
	if seen.log, err = waitLog(ctx, s.gateway, begin, "a delivery failed", `"status":400`, ids[0]); err != nil {
		return seen, err
	}
	if seen.ripe, err = waitLog(ctx, s.gateway, begin, "a delivery failed", `"status":400`, ids[2]); err != nil {
		return seen, err
	}
	if seen.event, err = waitLog(ctx, s.gateway, begin, "scribegate.dead_letter"); err != nil {
		return seen, err
	}
	if err = s.ready(ctx); err != nil {
		return seen, err
	}
	err = s.run(ctx, "dead",
		command{line: "caddy scribegate events --state dead --upstream ehr"},
		command{line: "caddy scribegate show " + ids[0]},
	)
	if err != nil {
		return seen, err
	}
	s.backend.mend()
	err = s.run(ctx, "dead, over",
		command{line: "caddy scribegate replay --dead --upstream ehr", then: measured(&seen.over, s.gateway.WaitIdle)},
		command{line: "caddy scribegate status"},
	)
	if err != nil {
		return seen, err
	}
	return seen, s.backend.check(append(ids, other...), "1")
}
