package caddymodule

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	// credentialSettle is how long handlers may disagree about a secret before
	// that is reported: each looks at a file that has changed in its own time.
	credentialSettle = 5 * time.Second

	// credentialReport is the time between two reports of a missing handler.
	credentialReport = time.Minute
)

// A credentialKey names a secret header: that of the handlers with this provider,
// source and header name. An event records no more about its handler.
type credentialKey struct{ provider, source, header string }

func newCredentialKey(provider, source, header string) credentialKey {
	return credentialKey{provider, source, http.CanonicalHeaderKey(header)}
}

func (k credentialKey) fields(upstream string) []zap.Field {
	return []zap.Field{
		zap.String("upstream", upstream), zap.String("provider", k.provider),
		zap.String("source", k.source), zap.String("header", k.header),
	}
}

// credentials holds the secret headers for raw upstreams. An event is sent with the
// header of the handler that received it, or not at all.
type credentials struct {
	logger *zap.Logger

	mu      sync.Mutex
	shared  map[credentialKey]*sharedCredential
	missing map[credentialKey]time.Time // when it was reported
}

// A sharedCredential is a secret header that one or more handlers have.
type sharedCredential struct {
	handlers []credentialer
	raw      string // an upstream with the format raw that their events reach

	values   []string // as they were at the last look
	since    time.Time
	reported bool
}

func newCredentials(logger *zap.Logger) *credentials {
	return &credentials{
		logger: logger, shared: make(map[credentialKey]*sharedCredential), missing: make(map[credentialKey]time.Time),
	}
}

// add adds a handler's credential. It returns an error where another handler with
// the same key has a different one and events of either reach a raw upstream. raw
// names such an upstream of this handler, if there is one.
func (c *credentials) add(key credentialKey, handler credentialer, raw string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.shared[key]
	if s == nil {
		s = new(sharedCredential)
		c.shared[key] = s
	}
	s.handlers = append(s.handlers, handler)
	if s.raw == "" {
		s.raw = raw
	}
	if _, same := s.look(time.Now()); !same && s.raw != "" {
		return fmt.Errorf("header %s: two %s handlers with the source %s have different first values, and upstream %s has the format raw and could receive the secret of the wrong handler; give one of the handlers a source of its own",
			key.header, key.provider, key.source, s.raw)
	}
	return nil
}

// look returns the value that all of the handlers have, and whether they agree.
func (s *sharedCredential) look(now time.Time) (value string, same bool) {
	value = s.handlers[0].Credential()
	if len(s.handlers) == 1 {
		return value, true
	}
	values := make([]string, len(s.handlers))
	same = true
	for i, h := range s.handlers {
		values[i] = h.Credential()
		same = same && values[i] == value
	}
	if !slices.Equal(values, s.values) {
		s.values, s.since, s.reported = values, now, false
	}
	return value, same
}

// value returns the secret for an event on its way to an upstream. It returns
// false, and reports that, where no handler with that key is configured or where
// several have different secrets.
func (c *credentials) value(key credentialKey, upstream string) (string, bool) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.shared[key]
	if s == nil {
		if last, ok := c.missing[key]; !ok || now.Sub(last) >= credentialReport {
			c.missing[key] = now
			c.logger.Error("events for a raw upstream wait, since the handler that received them is no longer configured; define a handler with this provider, source and header, or purge the events", key.fields(upstream)...)
		}
		return "", false
	}
	value, same := s.look(now)
	if !same && !s.reported && now.Sub(s.since) >= credentialSettle {
		s.reported = true
		c.logger.Error("events for a raw upstream wait, since handlers with the same provider, source and header have different secrets; give each handler a source of its own, or the same secret", key.fields(upstream)...)
	}
	return value, same
}
