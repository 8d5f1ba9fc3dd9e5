package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/scribegate/scribegate/examples/internal/document"
)

// restore makes a backup, loses the queue, and restores the backup.
func (s *site) restore(ctx context.Context) error {
	s.backend.leave()
	waiting, err := s.send(ctx, 2)
	if err != nil {
		return err
	}
	err = s.Run(ctx, "backup",
		document.Command{Line: "caddy scribegate backup /mnt/backup/queue-$(date +%F-%H%M).db"},
		document.Command{Line: "ls /mnt/backup"},
	)
	if err != nil {
		return err
	}
	if err := s.deliverAll(ctx, waiting, 1); err != nil {
		return err
	}
	err = s.Run(ctx, "restore",
		systemctl("stop", s.stop),
		document.Command{Line: "mkdir /var/lib/scribegate/damaged && mv /var/lib/scribegate/queue.db /var/lib/scribegate/queue.db-* /var/lib/scribegate/damaged/ 2>/dev/null; ls /var/lib/scribegate/damaged"},
		document.Command{Line: "install -m 600 -o $(id -un) /mnt/backup/queue-*.db /var/lib/scribegate/queue.db", Silent: true},
		systemctl("start", func(ctx context.Context) error { return errors.Join(s.start(ctx), s.idle(ctx)) }),
		document.Command{Line: "caddy scribegate status"},
	)
	if err != nil {
		return err
	}
	return s.backend.check(waiting, 2) // they waited when the backup was made
}

// deliverAll lets the backend come back, and waits until it has accepted the events.
func (s *site) deliverAll(ctx context.Context, ids []string, times int) error {
	if err := s.backend.arrive(ctx); err != nil {
		return err
	}
	// A replay probes a paused upstream at once.
	if output, err := s.Execute(ctx, document.Command{Line: "caddy scribegate replay --since 1h"}); err != nil {
		return fmt.Errorf("%w\n%s", err, output)
	}
	return errors.Join(s.idle(ctx), s.backend.check(ids, times))
}

// move moves the queue with what waits in it to another machine.
func (s *site) move(ctx context.Context) error {
	s.backend.leave()
	waiting, err := s.send(ctx, 2)
	if err != nil {
		return err
	}
	err = s.Run(ctx, "move, the old machine",
		systemctl("disable --now", s.stop),
		document.Command{Line: "ls /var/lib/scribegate"},
		document.Command{Line: "tar -C /var/lib/scribegate -czf /mnt/backup/move.tar.gz queue.db", Silent: true},
	)
	if err != nil {
		return err
	}
	if err := errors.Join(os.RemoveAll(s.data), os.Mkdir(s.data, 0o700), s.backend.arrive(ctx)); err != nil {
		return fmt.Errorf("preparing the new machine: %w", err)
	}
	err = s.Run(ctx, "move, the new machine",
		document.Command{Line: "tar -C /var/lib/scribegate -xzf /mnt/backup/move.tar.gz", Silent: true},
		systemctl("enable --now", func(ctx context.Context) error { return errors.Join(s.start(ctx), s.idle(ctx)) }),
		document.Command{Line: "caddy scribegate events --limit 2"},
	)
	if err != nil {
		return err
	}
	return s.backend.check(waiting, 1)
}
