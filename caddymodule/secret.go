package caddymodule

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"go.uber.org/zap"

	"github.com/scribegate/scribegate/verifier"
)

// minSecret is how many bytes a secret should have, a scheme in front left out.
const minSecret = 16

// A Secret is a list of configured secret values for one purpose, the first
// being the current one. The configuration holds placeholders; the values live
// only here, and those that come from files follow the files.
type Secret struct {
	options SecretOptions
	entries []secretEntry
	files   *fileReader
	seen    []reading // what is known of the entries; for NewSecret and follow alone
	values  atomic.Pointer[[]string]
}

// SecretOptions say what a Secret is made of.
type SecretOptions struct {
	// Name is what messages call the list: the option as the user writes it,
	// and what it belongs to, as in "signing_secret of upstream ehr".
	Name string

	// Entries are the values as configured, with their placeholders.
	Entries []string

	// Check returns an error for a value that cannot be used. The error must
	// not quote the value. Optional.
	Check func(value string) error

	// Doubt returns a warning about a value that can be used but is hardly what
	// was meant, or nothing. It must not quote the value. Optional.
	Doubt func(value string) string

	// Logger logs warnings, and the changes of files.
	Logger *zap.Logger
}

// NewSecret resolves a list of values with placeholders and follows their files
// until ctx ends, which is the context that the module is provisioned with.
// After that the last values stay. An entry any of whose placeholders is unset
// or empty counts as unset: it is ignored with a warning beside an entry that is
// set, and it is an error if every entry is unset. A value that cannot be used, or
// that cannot be what was meant, is an error.
func NewSecret(ctx context.Context, o SecretOptions) (*Secret, error) {
	return newSecret(ctx, o, secretFiles)
}

func newSecret(ctx context.Context, o SecretOptions, files *fileReader) (*Secret, error) {
	if len(o.Entries) == 0 {
		return nil, fmt.Errorf("%s: none is configured", o.Name)
	}
	s := &Secret{options: o, files: files, seen: make([]reading, len(o.Entries))}
	for i, raw := range o.Entries {
		e, err := parseSecretEntry(raw)
		if err != nil {
			return nil, fmt.Errorf("%s, entry %d: %w", o.Name, i+1, err)
		}
		if !e.placeholder() {
			o.Logger.Warn("a secret is written literally in the configuration, and anybody who reads the configuration reads it; use a placeholder such as {env.NAME} or {file./path}", s.fields(i)...)
		}
		s.entries = append(s.entries, e)
	}
	values := make([]string, len(s.entries))
	unset := 0
	for i := range s.entries {
		s.seen[i] = s.read(ctx, i, secretReadTimeout)
		values[i] = s.seen[i].value
		if err := s.seen[i].err; err != nil {
			if !isUnset(err) {
				return nil, fmt.Errorf("%s, entry %d: %w", o.Name, i+1, err)
			}
			unset++
		}
	}
	if unset == len(s.entries) {
		return nil, fmt.Errorf("%s: every entry is unset or empty; set the environment variable or file that it names: %w", o.Name, s.seen[0].err)
	}
	for i, seen := range s.seen {
		if seen.err != nil {
			o.Logger.Warn("an entry of a list of secrets is unset or empty and is ignored", append(s.fields(i), zap.Error(seen.err))...)
			continue
		}
		s.warn(i, seen.value)
	}
	s.values.Store(&values)
	if s.fromFiles() {
		go s.follow(ctx)
	}
	return s, nil
}

// Values returns the values that are valid now, in the order of the
// configuration; an entry that is unset is the empty string. It reads no file.
func (s *Secret) Values() []string { return *s.values.Load() }

// First returns the first value that is set.
func (s *Secret) First() string {
	for _, v := range s.Values() {
		if v != "" {
			return v
		}
	}
	return ""
}

// read resolves an entry to a value that can be used.
func (s *Secret) read(ctx context.Context, entry int, patience time.Duration) reading {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	e := s.entries[entry]
	parts, err := e.resolve(ctx, s.files)
	if err == nil {
		err = e.check(parts)
	}
	value := strings.Join(parts, "")
	if err == nil && s.options.Check != nil {
		err = s.options.Check(value)
	}
	if err != nil {
		return reading{err: err}
	}
	return reading{value: value}
}

// warn logs what is suspicious about a value that is in force.
func (s *Secret) warn(entry int, value string) {
	if len(verifier.WithoutScheme(value)) < minSecret {
		s.options.Logger.Warn("a secret is shorter than 16 bytes: it is easy to guess, or part of it is missing; use a longer random one", s.fields(entry)...)
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r > unicode.MaxASCII }) {
		s.options.Logger.Warn("a secret contains a non-ASCII character, which may look like another one, or which programs may encode differently; check that it is intended", s.fields(entry)...)
	}
	if s.options.Doubt == nil {
		return
	}
	if doubt := s.options.Doubt(value); doubt != "" {
		s.options.Logger.Warn(doubt, s.fields(entry)...)
	}
}

// fields are those of every line about an entry.
func (s *Secret) fields(entry int) []zap.Field {
	return []zap.Field{zap.String("secret", s.options.Name), zap.Int("entry", entry+1)}
}
