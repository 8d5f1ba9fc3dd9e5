package caddymodule

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
)

// secretRefresh is how often the files behind secrets are looked at, at most.
// It is well within the 5 s in which a changed file has to be picked up.
const secretRefresh = time.Second

// secretSettle is the time between two looks at a file that has changed.
const secretSettle = 10 * time.Millisecond

// A Secret is a list of configured secret values for one purpose, the first
// being the current one. The configuration holds placeholders; the values live
// only here, and those that come from files follow the files.
type Secret struct {
	what    string // what the values are, for messages: "secret of soapnoteapi"
	entries []secretEntry
	check   func(string) error
	logger  *zap.Logger
	files   bool

	values    atomic.Pointer[[]string]
	made      time.Time    // and so a monotonic clock, which nobody sets back
	refreshed atomic.Int64 // nanoseconds from made to the last look at the files
	mu        sync.Mutex   // held by whoever looks
}

// secretEntry is one value of the list, cut into literals and placeholders.
type secretEntry struct {
	parts  []secretPart
	failed bool // the last look found it unset or invalid
}

type secretPart struct {
	literal string
	env     string
	file    string
}

// name is what stands in the placeholder's braces.
func (p secretPart) name() string {
	if p.env != "" {
		return "env." + p.env
	}
	return "file." + p.file
}

// NewSecret resolves a list of values with placeholders. An entry of which any
// placeholder is unset or empty counts as unset: it is ignored with a warning
// beside one that is set, and it is an error if every entry is unset. check, if
// not nil, says whether a value can be used at all; its error must not quote
// the value.
func NewSecret(what string, raw []string, check func(string) error, logger *zap.Logger) (*Secret, error) {
	if len(raw) == 0 {
		return nil, fmt.Errorf("%s: none is configured", what)
	}
	s := &Secret{what: what, check: check, logger: logger, made: time.Now()}
	for i, r := range raw {
		e, err := parseSecretEntry(r)
		if err != nil {
			return nil, fmt.Errorf("%s, entry %d: %w", what, i+1, err)
		}
		if !e.placeholder() {
			logger.Warn("a secret stands literally in the configuration, which is then as secret as it is; use a placeholder such as {env.NAME} or {file./path}",
				zap.String("secret", what), zap.Int("entry", i+1))
		}
		s.files = s.files || e.fromFile()
		s.entries = append(s.entries, e)
	}
	values, unset := make([]string, len(s.entries)), make(map[int]error)
	for i := range s.entries {
		v, err := s.entries[i].resolve()
		if err != nil {
			s.entries[i].failed = true
			unset[i] = err
			continue
		}
		if check != nil {
			if err := check(v); err != nil {
				return nil, fmt.Errorf("%s, entry %d: %w", what, i+1, err)
			}
		}
		values[i] = v
	}
	if len(unset) == len(s.entries) {
		return nil, fmt.Errorf("%s: every entry is unset or empty; set the environment variable or file that it names: %w", what, unset[0])
	}
	for i, err := range unset {
		logger.Warn("an entry of a list of secrets is unset or empty and is ignored", zap.String("secret", what), zap.Int("entry", i+1), zap.Error(err))
	}
	s.values.Store(&values)
	return s, nil
}

// Values returns the values that are valid now, in the order of the
// configuration; an entry that is unset is the empty string. Files that
// changed are read again, at most once in secretRefresh, and a file that has
// gone missing or empty keeps its last good value.
func (s *Secret) Values() []string {
	if s.files && int64(time.Since(s.made))-s.refreshed.Load() >= int64(secretRefresh) && s.mu.TryLock() {
		s.refresh()
		s.refreshed.Store(int64(time.Since(s.made)))
		s.mu.Unlock()
	}
	return *s.values.Load()
}

// First returns the first value that is set.
func (s *Secret) First() string {
	for _, v := range s.Values() {
		if v != "" {
			return v
		}
	}
	return ""
}

func (s *Secret) refresh() {
	old := *s.values.Load()
	values := make([]string, len(old))
	copy(values, old)
	changed := false
	for i := range s.entries {
		e := &s.entries[i]
		if !e.fromFile() {
			continue
		}
		v, err := s.look(e)
		if (err != nil) != e.failed || (err == nil && v != old[i]) {
			// It may be being written this moment. What is taken is what two
			// looks agree on; else the next turn sees what has become of it.
			time.Sleep(secretSettle)
			first, firstErr := v, err
			if v, err = s.look(e); v != first || (err == nil) != (firstErr == nil) {
				continue
			}
		}
		if err != nil {
			if !e.failed {
				s.logger.Error("a secret's file cannot be used; its last good value stays in force", zap.String("secret", s.what), zap.Int("entry", i+1), zap.Error(err))
			}
			e.failed = true
			continue
		}
		e.failed = false
		if v != old[i] {
			values[i] = v
			changed = true
			s.logger.Info("a secret's file has changed and is in force", zap.String("secret", s.what), zap.Int("entry", i+1))
		}
	}
	if changed {
		s.values.Store(&values)
	}
}

// look resolves an entry to a value that can be used.
func (s *Secret) look(e *secretEntry) (string, error) {
	v, err := e.resolve()
	if err == nil && s.check != nil {
		err = s.check(v)
	}
	return v, err
}

// parseSecretEntry cuts a value into literals and placeholders. Only the
// environment and files may be named: a placeholder of the request would let a
// stranger choose the secret.
func parseSecretEntry(raw string) (secretEntry, error) {
	var e secretEntry
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			e.parts = append(e.parts, secretPart{literal: literal.String()})
			literal.Reset()
		}
	}
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c == '\\' && i+1 < len(raw) && (raw[i+1] == '{' || raw[i+1] == '}') {
			i++
			literal.WriteByte(raw[i])
			continue
		}
		if c != '{' {
			literal.WriteByte(c)
			continue
		}
		length := strings.IndexByte(raw[i:], '}')
		if length < 0 {
			return e, errors.New(`a "{" has no "}"; a brace that belongs to the value is written "\{"`)
		}
		p, err := parsePlaceholder(raw[i+1 : i+length])
		if err != nil {
			return e, err
		}
		flush()
		e.parts = append(e.parts, p)
		i += length
	}
	flush()
	return e, nil
}

// bareName is what Caddy makes a placeholder of the request of, behind "file."
// in a site block.
var bareName = regexp.MustCompile(`^[\w-]*$`)

func parsePlaceholder(key string) (secretPart, error) {
	if name, ok := strings.CutPrefix(key, "env."); ok && name != "" {
		return secretPart{env: name}, nil
	}
	if name, ok := strings.CutPrefix(key, "file."); ok && name != "" {
		if bareName.MatchString(name) {
			return secretPart{}, bareNameError(name)
		}
		return secretPart{file: name}, nil
	}
	if name, ok := strings.CutPrefix(key, "http.request.uri.path.file."); ok {
		return secretPart{}, bareNameError(name)
	}
	// What is no placeholder may be a secret with braces in it, so that only
	// the names of the request's are quoted.
	what := "a placeholder that is neither {env.NAME} nor {file./absolute/path}"
	if strings.HasPrefix(key, "http.") {
		what = "the placeholder {" + key + "}"
	}
	return secretPart{}, errors.New(what + ` is not allowed here, since whoever sends a request could choose its value; use one of {env.NAME} and {file./absolute/path}, and write a brace that belongs to the value "\{"`)
}

func bareNameError(name string) error {
	return fmt.Errorf("{file.%s} means a part of the request's path in a site block, and so is taken nowhere; a file is named by its absolute path, as in {file./run/secrets/%[1]s}", name)
}

func (e *secretEntry) placeholder() bool {
	for _, p := range e.parts {
		if p.literal == "" {
			return true
		}
	}
	return len(e.parts) == 0
}

func (e *secretEntry) fromFile() bool {
	for _, p := range e.parts {
		if p.file != "" {
			return true
		}
	}
	return false
}

// resolve puts the values in place of the placeholders. An entry of which any
// placeholder is unset or empty is an error, which names the placeholder.
func (e *secretEntry) resolve() (string, error) {
	var b strings.Builder
	for _, p := range e.parts {
		v := p.literal
		switch {
		case p.env != "":
			v = os.Getenv(p.env)
		case p.file != "":
			content, err := os.ReadFile(p.file)
			if err != nil {
				return "", fmt.Errorf("reading a secret's file: %w", err)
			}
			// One line end is the editor's and not the secret's, as for
			// Caddy's own {file.*}.
			v = strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r")
		}
		if v == "" {
			return "", fmt.Errorf("{%s} is unset or empty", p.name())
		}
		b.WriteString(v)
	}
	if b.Len() == 0 {
		return "", errors.New("it is empty")
	}
	return b.String(), nil
}

// resolveSetting puts the environment's and files' values into a setting that
// is no secret, such as an upstream's URL.
func resolveSetting(s string) string {
	return caddy.NewReplacer().ReplaceKnown(s, "")
}
