package main

import (
	"context"
	"errors"

	"github.com/scribegate/scribegate/examples/internal/document"
)

// upgrade replaces the program while events wait.
func (s *site) upgrade(ctx context.Context) error {
	s.backend.leave()
	waiting, err := s.send(ctx, 2)
	if err != nil {
		return err
	}
	err = s.Run(ctx, "upgrade",
		document.Command{Line: "/usr/local/bin/caddy.new scribegate version"},
		document.Command{Line: "/usr/local/bin/caddy.new validate --config /etc/scribegate/Caddyfile 2>&1 | tail -1"},
		document.Command{Line: "caddy scribegate backup /mnt/backup/before-$(date +%F-%H%M).db"},
		document.Command{Line: "cp -P /usr/local/bin/caddy /usr/local/bin/caddy.old && mv /usr/local/bin/caddy.new /usr/local/bin/caddy", Silent: true},
		systemctl("restart", func(ctx context.Context) error { return errors.Join(s.stop(ctx), s.start(ctx)) }),
		document.Command{Line: "caddy scribegate health ready"},
		document.Command{Line: "caddy scribegate status"},
	)
	if err != nil {
		return err
	}
	return s.deliverAll(ctx, waiting, 1)
}
