package secret

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/scribegate/scribegate/verifier"
)

// An entry is one value of a list, split into literals and placeholders.
type entry struct {
	parts []part
}

// A part of an entry has one of the three fields.
type part struct {
	literal string
	env     string // the name of a variable
	file    string // the path of a file
}

// An unsetError is the error of an entry without a value. It wraps the reason.
type unsetError struct{ error }

func (e unsetError) Unwrap() error { return e.error }

func isUnset(err error) bool {
	_, ok := errors.AsType[unsetError](err)
	return ok
}

// parseEntry splits a value into literals and placeholders. Only placeholders for the
// environment and for files are allowed: with a placeholder of the request, a stranger
// could choose the secret.
func parseEntry(raw string) (entry, error) {
	var e entry
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			e.parts = append(e.parts, part{literal: literal.String()})
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
	if len(e.parts) > 1 && verifier.IsScheme(e.parts[0].literal) && !strings.HasSuffix(e.parts[0].literal, " ") {
		return e, errors.New(`a space is missing between the authentication scheme and the secret; write it as in: header Authorization "Bearer {env.TOKEN}"`)
	}
	return e, nil
}

// bareName matches a name after "file." that Caddy replaces in a site block by a
// placeholder of the request.
var bareName = regexp.MustCompile(`^[\w-]*$`)

// envName matches the name of a variable, on Windows too.
var envName = regexp.MustCompile(`^[\w.()-]+$`)

func parsePlaceholder(key string) (part, error) {
	if strings.Contains(key, "{") {
		return part{}, errors.New("a placeholder is inside another one; only {$NAME} may be, which is replaced while the Caddyfile is read, as in {file.{$CREDENTIALS_DIRECTORY}/name}")
	}
	if name, ok := strings.CutPrefix(key, "env."); ok && name != "" {
		// Errors name the variable, so it must not be the secret itself.
		if !envName.MatchString(name) || strings.HasPrefix(name, "whsec_") {
			return part{}, errors.New("a placeholder {env.NAME} must contain only the name of a variable, without a value or a default")
		}
		return part{env: name}, nil
	}
	if name, ok := strings.CutPrefix(key, "file."); ok && name != "" {
		if bareName.MatchString(name) {
			return part{}, BareNameError(name)
		}
		return part{file: name}, nil
	}
	if name, ok := strings.CutPrefix(key, "http.request.uri.path.file."); ok {
		return part{}, BareNameError(name)
	}
	// Text in braces that is not a placeholder may be a secret. So the error
	// quotes only the names of request placeholders.
	what := "a placeholder that is neither {env.NAME} nor {file./absolute/path}"
	if strings.HasPrefix(key, "http.") {
		what = "the placeholder {" + key + "}"
	}
	return part{}, errors.New(what + ` is not allowed here, since the sender of a request could choose its value; use {env.NAME} or {file./absolute/path}, and write a brace that belongs to the value "\{"`)
}

// BareNameError returns the error for a placeholder {file.name} without a slash.
func BareNameError(name string) error {
	return fmt.Errorf("{file.%s} means a part of the request's path in a site block, and is therefore refused everywhere; name a file by its absolute path, as in {file./run/secrets/%[1]s}", name)
}

// name returns the placeholder as it is written, or "" for a literal.
func (p part) name() string {
	switch {
	case p.env != "":
		return "{env." + p.env + "}"
	case p.file != "":
		return "{file." + p.file + "}"
	}
	return ""
}

// value returns the text of the part: the literal, or the value of the placeholder.
func (p part) value(ctx context.Context, files *FileReader) (string, error) {
	v := p.literal
	switch {
	case p.env != "":
		v = os.Getenv(p.env)
	case p.file != "":
		var err error
		if v, err = files.Value(ctx, p.file); err != nil {
			return "", fmt.Errorf("reading a secret's file: %w", err)
		}
	}
	if v == "" {
		return "", unsetError{fmt.Errorf("%s is unset or empty", p.name())}
	}
	return v, nil
}

// placeholder reports whether the entry has a placeholder, or is empty.
func (e entry) placeholder() bool {
	return len(e.parts) == 0 || slices.ContainsFunc(e.parts, func(p part) bool { return p.literal == "" })
}

// fromFile reports whether the entry has a placeholder for a file.
func (e entry) fromFile() bool {
	return slices.ContainsFunc(e.parts, func(p part) bool { return p.file != "" })
}

// resolve returns the values of the parts, which together are the value of the entry.
// It returns an unsetError if a placeholder is unset or empty.
func (e entry) resolve(ctx context.Context, files *FileReader) ([]string, error) {
	if len(e.parts) == 0 {
		return nil, unsetError{errors.New("it is empty")}
	}
	values := make([]string, len(e.parts))
	for i, p := range e.parts {
		var err error
		if values[i], err = p.value(ctx, files); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// check returns an error for values that are certainly a mistake. The last part is the
// secret, or the end of it, so a mistake in the last part alone is an error too.
func (e entry) check(values []string) error {
	last := len(e.parts) - 1
	if placeholder := e.parts[last].name(); placeholder != "" {
		if err := verifier.CheckSecret(values[last]); err != nil {
			return fmt.Errorf("%s: %w", placeholder, err)
		}
	}
	return verifier.CheckSecret(strings.Join(values, ""))
}

// CheckConfigured returns an error for an entry that is certainly a mistake, without
// reading the environment or files: for a placeholder that is not allowed, and for a
// literal. The argument check is the function in Options.
func CheckConfigured(raw string, check func(string) error) error {
	e, err := parseEntry(raw)
	if err != nil || e.placeholder() {
		return err
	}
	value := e.parts[0].literal
	if err := e.check([]string{value}); err != nil || check == nil {
		return err
	}
	return check(value)
}

// Resolve returns a value with its placeholders replaced once. A placeholder that is
// unset or empty is an error.
func Resolve(raw string) (string, error) {
	e, err := parseEntry(raw)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), ReadTimeout)
	defer cancel()
	parts, err := e.resolve(ctx, Files)
	return strings.Join(parts, ""), err
}
