package secret

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	zapobserver "go.uber.org/zap/zaptest/observer"

	"github.com/scribegate/scribegate/caddymodule/internal/secret/secrettest"
)

func TestSecretValues(t *testing.T) {
	t.Setenv("SET_A", "value-a")
	t.Setenv("SET_B", "value-b")
	t.Setenv("EMPTY", "")
	_, file := secrettest.File(t, "from-file\n")
	_, windows := secrettest.File(t, "from-file\r\n")
	_, bare := secrettest.File(t, "from-file")
	_, empty := secrettest.File(t, "\n")
	missing := "{file." + filepath.Join(t.TempDir(), "missing") + "}"
	for name, c := range map[string]struct {
		raw      []string
		want     []string
		warnings int
	}{
		"environment":                 {[]string{"{env.SET_A}"}, []string{"value-a"}, 0},
		"file":                        {[]string{file}, []string{"from-file"}, 0},
		"file with CRLF":              {[]string{windows}, []string{"from-file"}, 0},
		"file without a line end":     {[]string{bare}, []string{"from-file"}, 0},
		"placeholder in a text":       {[]string{"Bearer {env.SET_A}"}, []string{"Bearer value-a"}, 0},
		"two placeholders":            {[]string{"{env.SET_A}.{env.SET_B}!"}, []string{"value-a.value-b!"}, 0},
		"a list in order":             {[]string{"{env.SET_B}", file, "{env.SET_A}"}, []string{"value-b", "from-file", "value-a"}, 0},
		"literal":                     {[]string{"plain"}, []string{"plain"}, 1},
		"two literals":                {[]string{"plain", "other"}, []string{"plain", "other"}, 2},
		"escaped braces":              {[]string{`a\{env.SET_A\}b`}, []string{"a{env.SET_A}b"}, 1},
		"escaped and not":             {[]string{`\{{env.SET_A}\}`}, []string{"{value-a}"}, 0},
		"a backslash of its own":      {[]string{`a\b{env.SET_A}`}, []string{`a\bvalue-a`}, 0},
		"a closing brace":             {[]string{"a}{env.SET_A}"}, []string{"a}value-a"}, 0},
		"unset beside set":            {[]string{"{env.SET_A}", "{env.NOT_SET}"}, []string{"value-a", ""}, 1},
		"unset before set":            {[]string{"{env.NOT_SET}", "{env.SET_A}"}, []string{"", "value-a"}, 1},
		"empty beside set":            {[]string{"{env.EMPTY}", "{env.SET_A}"}, []string{"", "value-a"}, 1},
		"half unset beside set":       {[]string{"Bearer {env.NOT_SET}", "{env.SET_A}"}, []string{"", "value-a"}, 1},
		"one of two unset beside set": {[]string{"{env.SET_B}{env.EMPTY}", "{env.SET_A}"}, []string{"", "value-a"}, 1},
		"missing file beside set":     {[]string{missing, "{env.SET_A}"}, []string{"", "value-a"}, 1},
		"empty file beside set":       {[]string{"Bearer " + empty, "{env.SET_A}"}, []string{"", "value-a"}, 1},
		"empty literal beside set":    {[]string{"", "{env.SET_A}"}, []string{"", "value-a"}, 1},
		"all unset":                   {[]string{"{env.NOT_SET}"}, nil, 0},
		"all empty":                   {[]string{"{env.EMPTY}", ""}, nil, 0},
		"all half unset":              {[]string{"Bearer {env.NOT_SET}", "Bearer " + missing}, nil, 0},
		"all files empty":             {[]string{empty, missing}, nil, 0},
		"none":                        {nil, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			logger, logs := observed()
			s, err := New(t.Context(), Options{Name: "test secret", Entries: c.raw, Logger: logger})
			if c.want == nil {
				if err == nil {
					t.Fatal("no error, though no entry is set")
				}
				if !strings.HasPrefix(err.Error(), "test secret: ") {
					t.Errorf("error %q does not say which secret", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := s.Values(); !slices.Equal(got, c.want) {
				t.Errorf("values %q, want %q", got, c.want)
			}
			first := c.want[slices.IndexFunc(c.want, func(v string) bool { return v != "" })]
			if got := s.First(); got != first {
				t.Errorf("first value %q, want %q", got, first)
			}
			warnings := logs.FilterLevelExact(zapcore.WarnLevel).Filter(func(e zapobserver.LoggedEntry) bool {
				return !strings.HasPrefix(e.Message, "a secret is shorter than 16 bytes") // as the values here are
			})
			if got := warnings.Len(); got != c.warnings {
				t.Errorf("%d warnings, want %d: %v", got, c.warnings, warnings.All())
			}
			quotesNothing(t, logs, c.want...)
		})
	}
}

// quotesNothing fails the test if a line contains one of the values.
func quotesNothing(t *testing.T, logs *zapobserver.ObservedLogs, values ...string) {
	t.Helper()
	for _, entry := range logs.All() {
		line := entry.Message
		for _, field := range entry.Context {
			line += " " + field.String
			if err, ok := field.Interface.(error); ok {
				line += " " + err.Error()
			}
		}
		for _, v := range values {
			if v != "" && strings.Contains(line, v) {
				t.Errorf("the line %q quotes %q", line, v)
			}
		}
	}
}

func TestAllUnsetNamesThePlaceholder(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	for raw, want := range map[string]string{
		"Bearer {env.NOT_SET}":   "{env.NOT_SET} is unset or empty",
		"{file." + missing + "}": missing,
	} {
		_, err := New(t.Context(), Options{Name: "test secret", Entries: []string{raw}, Logger: zap.NewNop()})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
}

func TestSecretThatFailsItsCheckIsAnError(t *testing.T) {
	t.Setenv("GOOD", "good")
	t.Setenv("BAD", "bad-value")
	check := func(v string) error {
		if v != "good" {
			return errors.New("it is not good")
		}
		return nil
	}
	_, err := New(t.Context(), Options{Name: "test secret", Entries: []string{"{env.GOOD}", "{env.BAD}"}, Check: check, Logger: zap.NewNop()})
	if err == nil || !strings.Contains(err.Error(), "test secret, entry 2: it is not good") || strings.Contains(err.Error(), "bad-value") {
		t.Errorf("error %v, want one that names the entry and does not quote it", err)
	}
}

// observed returns a logger, and what is logged through it.
func observed() (*zap.Logger, *zapobserver.ObservedLogs) {
	core, logs := zapobserver.New(zapcore.DebugLevel)
	return zap.New(core), logs
}
