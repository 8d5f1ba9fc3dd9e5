package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/scribegate/scribegate/examples/internal/document"
)

// leave exports what is left in a queue's file, and stops using the gateway.
func (s *site) leave(ctx context.Context) error {
	// Back to the queue's file, as on a machine that has not grown.
	if err := os.Rename(s.Places.Real("/etc/scribegate/sqlite.caddyfile"), s.Places.Real("/etc/scribegate/Caddyfile")); err != nil {
		return fmt.Errorf("preparing the gateway: %w", err)
	}
	if err := s.start(ctx); err != nil {
		return err
	}
	s.backend.leave()
	waiting, err := s.send(ctx, 2)
	if err != nil {
		return err
	}
	err = s.Run(ctx, "leave",
		document.Command{Line: "caddy scribegate status"},
		systemctl("disable --now", s.stop),
		document.Command{Line: "caddy scribegate export --payloads --path /var/lib/scribegate/queue.db --encryption-key '{file./etc/scribegate/secrets/encryption}' > /mnt/backup/events.jsonl", Silent: true},
		document.Command{Line: "grep -c '\"content\"' /mnt/backup/events.jsonl"},
	)
	if err != nil {
		return err
	}
	exported, err := os.ReadFile(s.Places.Real("/mnt/backup/events.jsonl"))
	if err != nil {
		return fmt.Errorf("reading the export: %w", err)
	}
	for _, id := range waiting {
		if !strings.Contains(string(exported), id) {
			return fmt.Errorf("the export does not have event %s", id)
		}
	}
	return nil
}
