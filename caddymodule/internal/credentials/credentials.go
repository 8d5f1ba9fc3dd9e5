package credentials

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	// settle is how long handlers may have different values of a secret before that is
	// reported: each checks the file at its own time.
	settle = 5 * time.Second

	// reportEvery is the time between two reports of a missing handler.
	reportEvery = time.Minute
)

// A Key identifies a secret header: that of the handlers with this provider,
// source and header name. An event records no more about its handler.
type Key struct{ provider, source, header string }

// NewKey returns the key of a header.
func NewKey(provider, source, header string) Key {
	return Key{provider, source, http.CanonicalHeaderKey(header)}
}

func (k Key) fields(upstream string) []zap.Field {
	return []zap.Field{
		zap.String("upstream", upstream), zap.String("provider", k.provider),
		zap.String("source", k.source), zap.String("header", k.header),
	}
}

// A Holder is a provider whose requests are proved by a header that is itself the secret.
type Holder interface {
	// SecretHeader returns the header's name.
	SecretHeader() string
	// Credential returns its first configured value, as it is now.
	Credential() string
}

// A Set holds the secret headers for raw upstreams. An event is sent with the
// header of the handler that received it, or not at all.
type Set struct {
	logger *zap.Logger

	mu          sync.Mutex
	shared      map[Key]*secretHeader
	checkpoints map[Key]*secretHeader
	missing     map[Key]time.Time // when it was reported
}

// A secretHeader is a secret header that one or more handlers have.
type secretHeader struct {
	handlers []Holder
	raw      string // an upstream with the format raw that their events reach

	values   []string // at the last look
	since    time.Time
	reported bool
}

// New returns an empty set.
func New(logger *zap.Logger) *Set {
	return &Set{
		logger: logger, shared: make(map[Key]*secretHeader), checkpoints: make(map[Key]*secretHeader), missing: make(map[Key]time.Time),
	}
}

// Add adds a handler's credential. It returns an error if another handler with
// the same key has a different one and events of either reach a raw upstream. raw
// names such an upstream of this handler, if there is one.
func (c *Set) Add(key Key, handler Holder, raw string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := add(c.shared, key, handler)
	if s.raw == "" {
		s.raw = raw
	}
	if _, same := s.look(time.Now()); !same && s.raw != "" {
		return fmt.Errorf("header %s: two %s handlers with the source %s have different first values, and upstream %s has the format raw and could receive the secret of the wrong handler; give one of the handlers a source of its own",
			key.header, key.provider, key.source, s.raw)
	}
	return nil
}

// AddCheckpoint adds the credential of a handler that delivers nothing. It is used while no
// other handler has the key: the checkpoint can have received events with another
// configuration, and these wait.
func (c *Set) AddCheckpoint(key Key, handler Holder) {
	c.mu.Lock()
	defer c.mu.Unlock()
	add(c.checkpoints, key, handler)
}

func add(to map[Key]*secretHeader, key Key, handler Holder) *secretHeader {
	s := to[key]
	if s == nil {
		s = new(secretHeader)
		to[key] = s
	}
	s.handlers = append(s.handlers, handler)
	return s
}

// look returns the value that all of the handlers have, and whether they agree.
func (s *secretHeader) look(now time.Time) (value string, same bool) {
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

// Value returns the secret for an event on its way to an upstream. It returns
// false, and reports that, if no handler with that key is configured or if
// several have different secrets.
func (c *Set) Value(key Key, upstream string) (string, bool) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := cmp.Or(c.shared[key], c.checkpoints[key])
	if s == nil {
		if last, ok := c.missing[key]; !ok || now.Sub(last) >= reportEvery {
			c.missing[key] = now
			c.logger.Error("events for a raw upstream wait, since the handler that received them is no longer configured; define a handler with this provider, source and header, or purge the events", key.fields(upstream)...)
		}
		return "", false
	}
	value, same := s.look(now)
	if !same && !s.reported && now.Sub(s.since) >= settle {
		s.reported = true
		c.logger.Error("events for a raw upstream wait, since handlers with the same provider, source and header have different secrets; give each handler a source of its own, or the same secret", key.fields(upstream)...)
	}
	return value, same
}
