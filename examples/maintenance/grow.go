package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/scribegate/scribegate/examples/internal/document"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/pgtest"
)

// grow moves from the queue's file to PostgreSQL, while events wait in the file.
func (s *site) grow(ctx context.Context) (err error) {
	db, err := pgtest.Start(pgtest.Options{Durable: true})
	if err != nil {
		return fmt.Errorf("starting PostgreSQL: %w", err)
	}
	defer func() {
		err = errors.Join(err, s.stop(ctx)) // before its database
		db.Stop()
	}()
	dsn := s.Places.Real("/etc/scribegate/secrets/dsn")
	if err := os.WriteFile(dsn, []byte(db.DSN()), 0o600); err != nil {
		return fmt.Errorf("writing the DSN: %w", err)
	}
	s.backend.leave()
	waiting, err := s.send(ctx, 3)
	if err != nil {
		return err
	}
	err = s.Run(ctx, "grow, the new queue",
		document.Command{Line: "caddy validate --config /etc/scribegate/postgres.caddyfile --adapter caddyfile 2>&1 | tail -1"},
		document.Command{Line: "mv /etc/scribegate/Caddyfile /etc/scribegate/sqlite.caddyfile && mv /etc/scribegate/postgres.caddyfile /etc/scribegate/Caddyfile", Silent: true},
		document.Command{Line: "caddy reload --config /etc/scribegate/Caddyfile 2>/dev/null", Silent: true},
		document.Command{Line: "caddy scribegate status | head -4"},
	)
	if err != nil {
		return err
	}
	fresh, err := s.send(ctx, 1)
	if err != nil {
		return err
	}
	drain := func(ctx context.Context) (err error) {
		s.drain, err = s.launch(ctx, "drain.caddyfile", s.second)
		return err
	}
	err = s.Run(ctx, "grow, the old file",
		document.Command{Line: "caddy run --config /etc/scribegate/drain.caddyfile --adapter caddyfile &", Do: drain},
		document.Command{Line: "caddy scribegate status --address localhost:2020"},
	)
	if err != nil {
		return err
	}
	if err := errors.Join(s.backend.arrive(ctx), s.drain.WaitIdle(ctx), s.gateway.WaitIdle(ctx)); err != nil {
		return err
	}
	err = s.Run(ctx, "grow, over",
		document.Command{Line: "caddy scribegate status --address localhost:2020"},
		document.Command{Line: "caddy stop --address localhost:2020 2>/dev/null", Silent: true, Then: func(context.Context) error {
			<-s.drain.Ended()
			s.drain = nil
			return nil
		}},
	)
	if err != nil {
		return err
	}
	return s.backend.check(append(waiting, fresh...), 1)
}
