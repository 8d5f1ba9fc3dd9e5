package main

import (
	"context"
	"net/http"
	"time"

	"github.com/scribegate/scribegate/examples/internal/document"
	"github.com/scribegate/scribegate/examples/internal/sender"
)

// broken stages a deploy after which the backend answers 500 to everything.
func (s *site) broken(ctx context.Context) (seen incident, err error) {
	s.backend.fail(http.StatusInternalServerError, "")
	begin := time.Now()
	ids, err := s.provider.accepted(ctx, 6, sender.NoteGenerated)
	if err != nil {
		return seen, err
	}
	seen = incident{fault: "a deploy answers 500", alert: "ScribegateUpstreamPaused"}
	if err = s.watchPause(ctx, begin, `"status":500`, &seen); err != nil {
		return seen, err
	}
	if err = s.ready(ctx); err != nil {
		return seen, err
	}
	if err = s.Run(ctx, "broken", document.Command{Line: `grep '"status":500' ` + logFile + " | tail -1"}); err != nil {
		return seen, err
	}
	s.backend.repair()
	err = s.Run(ctx, "broken, over",
		document.Command{Line: "caddy scribegate replay --since 1h --upstream ehr", Then: measured(&seen.repair, s.gateway.WaitIdle)},
		document.Command{Line: "caddy scribegate status"},
	)
	if err != nil {
		return seen, err
	}
	return seen, s.backend.check(ids, "1") // a replay starts again with attempt 1
}

// dead stages a deploy after which the backend rejects notes until they have no attempts
// left. This does not pause the upstream.
func (s *site) dead(ctx context.Context) (seen incident, err error) {
	if err = s.retry(ctx, shortRetry); err != nil {
		return seen, err
	}
	s.backend.fail(http.StatusBadRequest, "com.soapnoteapi.note.generated")
	begin := time.Now()
	ids, err := s.provider.accepted(ctx, 3, sender.NoteGenerated)
	if err != nil {
		return seen, err
	}
	other, err := s.provider.accepted(ctx, 1, sender.NoteFailed)
	if err != nil {
		return seen, err
	}
	seen = incident{fault: "a deploy answers 400", alert: "ScribegateDeliveriesFailing"}
	if seen.status, err = waitStatus(ctx, s.gateway, begin, func(u upstreamStatus) bool { return u.Dead == len(ids) }); err != nil {
		return seen, err
	}
	if seen.log, err = waitLog(ctx, s.gateway, begin, "a delivery failed", `"status":400`, ids[0]); err != nil {
		return seen, err
	}
	if seen.condition, err = waitLog(ctx, s.gateway, begin, "a delivery failed", `"status":400`, ids[2]); err != nil {
		return seen, err
	}
	if seen.event, err = waitLog(ctx, s.gateway, begin, "scribegate.dead_letter"); err != nil {
		return seen, err
	}
	if err = s.ready(ctx); err != nil {
		return seen, err
	}
	err = s.Run(ctx, "dead",
		document.Command{Line: "caddy scribegate events --state dead --upstream ehr"},
		document.Command{Line: "caddy scribegate show " + ids[0]},
	)
	if err != nil {
		return seen, err
	}
	s.backend.repair()
	err = s.Run(ctx, "dead, over",
		document.Command{Line: "caddy scribegate replay --dead --upstream ehr", Then: measured(&seen.repair, s.gateway.WaitIdle)},
		document.Command{Line: "caddy scribegate status"},
	)
	if err != nil {
		return seen, err
	}
	return seen, s.backend.check(append(ids, other...), "1")
}
