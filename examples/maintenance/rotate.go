package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/scribegate/scribegate/examples/internal/document"
)

// rotate replaces the provider's secret, the signing secret and the encryption key, without a
// reload.
func (s *site) rotate(ctx context.Context) error {
	for _, work := range []func(context.Context) error{s.rotateSecret, s.rotateSigning, s.rotateKey} {
		if err := work(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *site) rotateSecret(ctx context.Context) error {
	if _, err := s.send(ctx, 1); err != nil {
		return err
	}
	old := s.secret
	s.secret = "whsec_c3ludGhldGljLWFmdGVyLXJvdGF0aW9u"
	err := s.Run(ctx, "rotate a secret",
		document.Command{Line: "cp -p /etc/scribegate/secrets/soapnote /etc/scribegate/secrets/soapnote.old", Silent: true},
		document.Command{
			Line: "cat > /etc/scribegate/secrets/soapnote", Input: s.secret + "\n",
			Then: s.untilAccepted,
		},
		document.Command{Line: "curl -s localhost:2019/metrics | grep 'secret_matched_total{'"},
	)
	if err != nil {
		return err
	}
	latest := s.secret
	s.secret = old // the provider may still use it
	_, err = s.send(ctx, 1)
	s.secret = latest
	return errors.Join(err, s.idle(ctx))
}

// untilAccepted sends notes until one is accepted.
func (s *site) untilAccepted(ctx context.Context) error {
	return poll(ctx, "an accepted note", func() error {
		_, err := s.send(ctx, 1)
		return err
	})
}

func (s *site) rotateSigning(ctx context.Context) error {
	err := s.Run(ctx, "rotate the signing secret",
		document.Command{Line: "cp -p /etc/scribegate/secrets/signing /etc/scribegate/secrets/signing.old", Silent: true},
		document.Command{Line: "caddy scribegate keygen | sed -n 's/^signing_secret *//p' > /etc/scribegate/secrets/signing", Silent: true},
	)
	if err != nil {
		return err
	}
	return poll(ctx, "a delivery with two signatures", func() error {
		if _, err := s.send(ctx, 1); err != nil {
			return err
		}
		if err := s.idle(ctx); err != nil {
			return err
		}
		s.backend.mu.Lock()
		defer s.backend.mu.Unlock()
		if s.backend.signatures != 2 {
			return fmt.Errorf("the last delivery had %d signatures", s.backend.signatures)
		}
		return nil
	})
}

func (s *site) rotateKey(ctx context.Context) error {
	s.backend.leave()
	waiting, err := s.send(ctx, 2)
	if err != nil {
		return err
	}
	const sealed = "all events are sealed with the first key now"
	err = s.Run(ctx, "rotate the encryption key",
		document.Command{Line: "cp -p /etc/scribegate/secrets/encryption /etc/scribegate/secrets/encryption.old", Silent: true},
		document.Command{Line: "caddy scribegate keygen | sed -n 's/^encryption_key *//p' > /etc/scribegate/secrets/encryption", Silent: true, Then: func(ctx context.Context) error {
			return poll(ctx, "the log's line", func() error {
				_, err := s.Execute(ctx, document.Command{Line: "grep '" + sealed + "' /var/log/scribegate/caddy.log"})
				return err
			})
		}},
		document.Command{Line: "grep '" + sealed + "' /var/log/scribegate/caddy.log | tail -1"},
		document.Command{Line: "mv /etc/scribegate/secrets/encryption.old /mnt/backup/", Silent: true},
		systemctl("restart", func(ctx context.Context) error { return errors.Join(s.stop(ctx), s.start(ctx)) }),
		document.Command{Line: "caddy scribegate status"},
	)
	if err != nil {
		return err
	}
	return s.deliverAll(ctx, waiting, 1)
}
