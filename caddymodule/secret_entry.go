package caddymodule

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

// secretEntry is one value of a list, split into literals and placeholders.
type secretEntry struct {
	parts []secretPart
}

type secretPart struct {
	literal string
	env     string
	file    string
}

// An unsetError is the error of an entry without a value. It wraps the reason.
type unsetError struct{ error }

func (e unsetError) Unwrap() error { return e.error }

func isUnset(err error) bool {
	_, ok := errors.AsType[unsetError](err)
	return ok
}

// parseSecretEntry splits a value into literals and placeholders. Only the
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

func parsePlaceholder(key string) (secretPart, error) {
	if strings.Contains(key, "{") {
		return secretPart{}, errors.New("a placeholder is inside another one; only {$NAME} may be, which is replaced while the Caddyfile is read, as in {file.{$CREDENTIALS_DIRECTORY}/name}")
	}
	if name, ok := strings.CutPrefix(key, "env."); ok && name != "" {
		// Errors name the variable, so it must not be the secret itself.
		if !envName.MatchString(name) || strings.HasPrefix(name, "whsec_") {
			return secretPart{}, errors.New("a placeholder {env.NAME} must contain only the name of a variable, without a value or a default")
		}
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
	// Text in braces that is not a placeholder may be a secret. So the error
	// quotes only the names of request placeholders.
	what := "a placeholder that is neither {env.NAME} nor {file./absolute/path}"
	if strings.HasPrefix(key, "http.") {
		what = "the placeholder {" + key + "}"
	}
	return secretPart{}, errors.New(what + ` is not allowed here, since the sender of a request could choose its value; use {env.NAME} or {file./absolute/path}, and write a brace that belongs to the value "\{"`)
}

func bareNameError(name string) error {
	return fmt.Errorf("{file.%s} means a part of the request's path in a site block, and is therefore refused everywhere; name a file by its absolute path, as in {file./run/secrets/%[1]s}", name)
}

// name returns the placeholder as it is written, or nothing for a literal.
func (p secretPart) name() string {
	switch {
	case p.env != "":
		return "{env." + p.env + "}"
	case p.file != "":
		return "{file." + p.file + "}"
	}
	return ""
}

// value returns the text of the part: the literal, or the value of the placeholder.
func (p secretPart) value(ctx context.Context, files *fileReader) (string, error) {
	v := p.literal
	switch {
	case p.env != "":
		v = os.Getenv(p.env)
	case p.file != "":
		var err error
		if v, err = files.value(ctx, p.file); err != nil {
			return "", fmt.Errorf("reading a secret's file: %w", err)
		}
	}
	if v == "" {
		return "", unsetError{fmt.Errorf("%s is unset or empty", p.name())}
	}
	return v, nil
}

func (e secretEntry) placeholder() bool {
	return len(e.parts) == 0 || slices.ContainsFunc(e.parts, func(p secretPart) bool { return p.literal == "" })
}

func (e secretEntry) fromFile() bool {
	return slices.ContainsFunc(e.parts, func(p secretPart) bool { return p.file != "" })
}

// resolve returns the values of the parts, which make up that of the entry. It
// returns an unsetError where any placeholder is unset or empty.
func (e secretEntry) resolve(ctx context.Context, files *fileReader) ([]string, error) {
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

// check returns an error for values that cannot make up the secret that was
// meant. The last part is the secret, or the end of it: what is wrong with it by
// itself is wrong behind any literal too.
func (e secretEntry) check(values []string) error {
	last := len(e.parts) - 1
	if placeholder := e.parts[last].name(); placeholder != "" {
		if err := verifier.CheckSecret(values[last]); err != nil {
			return fmt.Errorf("%s: %w", placeholder, err)
		}
	}
	return verifier.CheckSecret(strings.Join(values, ""))
}

// checkConfigured returns an error for an entry that cannot be what was meant,
// as far as that can be seen without the environment and files: for a placeholder
// that is refused, and for a literal. check is that of SecretOptions.
func checkConfigured(raw string, check func(string) error) error {
	e, err := parseSecretEntry(raw)
	if err != nil || e.placeholder() {
		return err
	}
	value := e.parts[0].literal
	if err := e.check([]string{value}); err != nil || check == nil {
		return err
	}
	return check(value)
}
