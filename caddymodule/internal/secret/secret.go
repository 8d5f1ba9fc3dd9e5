package secret

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

// minLength is how many bytes a secret should have, without an authentication scheme.
const minLength = 16

// A List has the values of a list of secrets for one purpose. The first value is the
// current one.
type List struct {
	options Options
	entries []entry
	files   *FileReader
	seen    []reading // the newest reading of each entry; only New and follow use it
	values  atomic.Pointer[[]string]
}

// Options describe a List.
type Options struct {
	// Name names the list in messages: the option as the user writes it, and the
	// part of the configuration that has it, as in "signing_secret of upstream ehr".
	Name string

	// Entries are the values as configured, with their placeholders.
	Entries []string

	// Check returns an error for a value that cannot be used. The error must not
	// quote the value. Check is optional.
	Check func(value string) error

	// Doubt returns a warning about a value that can be used but is probably a
	// mistake, or "". The warning must not quote the value. Doubt is optional.
	Doubt func(value string) string

	// Logger logs warnings, and the changes of files.
	Logger *zap.Logger
}

// New resolves a list of entries with placeholders, and follows their files until ctx
// ends. A module passes the context that it is provisioned with. The values of an ended
// context stay as they were.
//
// An entry with a placeholder that is unset or empty counts as unset. It is ignored with
// a warning if another entry is set. It is an error if every entry is unset, or if a
// value cannot be used or is certainly a mistake.
func New(ctx context.Context, o Options) (*List, error) {
	return newList(ctx, o, Files)
}

func newList(ctx context.Context, o Options, files *FileReader) (*List, error) {
	if len(o.Entries) == 0 {
		return nil, fmt.Errorf("%s: none is configured", o.Name)
	}
	s := &List{options: o, files: files, seen: make([]reading, len(o.Entries))}
	for i, raw := range o.Entries {
		e, err := parseEntry(raw)
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
		s.seen[i] = s.read(ctx, i, ReadTimeout)
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
func (s *List) Values() []string { return *s.values.Load() }

// First returns the first value that is set.
func (s *List) First() string {
	for _, v := range s.Values() {
		if v != "" {
			return v
		}
	}
	return ""
}

// read resolves an entry to a value that can be used.
func (s *List) read(ctx context.Context, i int, patience time.Duration) reading {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	e := s.entries[i]
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

// warn logs a warning for each suspicious property of a value that is in force.
func (s *List) warn(i int, value string) {
	if len(verifier.WithoutScheme(value)) < minLength {
		s.options.Logger.Warn("a secret is shorter than 16 bytes: it is easy to guess, or part of it is missing; use a longer random one", s.fields(i)...)
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r > unicode.MaxASCII }) {
		s.options.Logger.Warn("a secret contains a non-ASCII character, which may look like another one, or which programs may encode differently; check that it is intended", s.fields(i)...)
	}
	if s.options.Doubt == nil {
		return
	}
	if doubt := s.options.Doubt(value); doubt != "" {
		s.options.Logger.Warn(doubt, s.fields(i)...)
	}
}

// fields returns the fields of a log line about an entry.
func (s *List) fields(i int) []zap.Field {
	return []zap.Field{zap.String("secret", s.options.Name), zap.Int("entry", i+1)}
}
