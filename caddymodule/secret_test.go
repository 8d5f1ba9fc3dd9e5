package caddymodule

import (
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	zapobserver "go.uber.org/zap/zaptest/observer"

	"github.com/scribegate/scribegate/forwarder"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// pickUp is how long a changed file may take to be in force.
const pickUp = 5 * time.Second

func observed() (*zap.Logger, *zapobserver.ObservedLogs) {
	core, logs := zapobserver.New(zapcore.DebugLevel)
	return zap.New(core), logs
}

// secretFile writes a file and returns its path and the placeholder for it.
func secretFile(t *testing.T, content string) (path, placeholder string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "secret")
	put(t, path, content)
	return path, "{file." + path + "}"
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestSecretValues(t *testing.T) {
	t.Setenv("SET_A", "value-a")
	t.Setenv("SET_B", "value-b")
	t.Setenv("EMPTY", "")
	_, file := secretFile(t, "from-file\n")
	_, windows := secretFile(t, "from-file\r\n")
	_, bare := secretFile(t, "from-file")
	_, empty := secretFile(t, "\n")
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
			s, err := NewSecret(t.Context(), SecretOptions{Name: "test secret", Entries: c.raw, Logger: logger})
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
				return !strings.HasPrefix(e.Message, warnsShort) // as the values here are
			})
			if got := warnings.Len(); got != c.warnings {
				t.Errorf("%d warnings, want %d: %v", got, c.warnings, warnings.All())
			}
			quotesNothing(t, logs, c.want...)
		})
	}
}

// quotesNothing sees that no line holds one of the values.
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
		_, err := NewSecret(t.Context(), SecretOptions{Name: "test secret", Entries: []string{raw}, Logger: zap.NewNop()})
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
	_, err := NewSecret(t.Context(), SecretOptions{Name: "test secret", Entries: []string{"{env.GOOD}", "{env.BAD}"}, Check: check, Logger: zap.NewNop()})
	if err == nil || !strings.Contains(err.Error(), "test secret, entry 2: it is not good") || strings.Contains(err.Error(), "bad-value") {
		t.Errorf("error %v, want one that names the entry and does not quote it", err)
	}
}

func TestChangedFileIsPickedUp(t *testing.T) {
	path, placeholder := secretFile(t, "first")
	t.Setenv("SET_A", "value-a")
	synctest.Test(t, func(t *testing.T) {
		logger, logs := observed()
		s, err := NewSecret(t.Context(), SecretOptions{Name: "test secret", Entries: []string{"Bearer " + placeholder, "{env.SET_A}"}, Logger: logger})
		if err != nil {
			t.Fatal(err)
		}
		for _, content := range []string{"second\n", "third", "first"} {
			put(t, path, content)
			time.Sleep(pickUp)
			if got, want := s.Values(), []string{"Bearer " + strings.TrimSpace(content), "value-a"}; !slices.Equal(got, want) {
				t.Errorf("values %q, want %q", got, want)
			}
		}
		if got := logs.FilterLevelExact(zapcore.ErrorLevel).Len(); got != 0 {
			t.Errorf("%d errors: %v", got, logs.All())
		}
		quotesNothing(t, logs, "first", "second", "third", "value-a")
	})
}

func TestUnusableFileKeepsTheLastGoodValue(t *testing.T) {
	check := func(v string) error {
		if strings.HasPrefix(v, "bad") {
			return errors.New("it is bad")
		}
		return nil
	}
	for name, spoil := range map[string]func(t *testing.T, path string){
		"missing": func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		},
		"empty":             func(t *testing.T, path string) { put(t, path, "") },
		"a line end":        func(t *testing.T, path string) { put(t, path, "\n") },
		"a byte order mark": func(t *testing.T, path string) { put(t, path, "\uFEFFnew-value\n") },
		"two lines":         func(t *testing.T, path string) { put(t, path, "new-value\nother") },
		"quotes":            func(t *testing.T, path string) { put(t, path, `"new-value"`) },
		"a name":            func(t *testing.T, path string) { put(t, path, "TOKEN=new-value") },
		"outer white space": func(t *testing.T, path string) { put(t, path, "new-value \n") },
		"huge":              func(t *testing.T, path string) { put(t, path, strings.Repeat("x", maxSecretFile+1)) },
		"invalid":           func(t *testing.T, path string) { put(t, path, "bad-value") },
		"a folder": func(t *testing.T, path string) {
			if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			path, placeholder := secretFile(t, "good-value")
			synctest.Test(t, func(t *testing.T) {
				logger, logs := observed()
				s, err := NewSecret(t.Context(), SecretOptions{Name: "test secret", Entries: []string{placeholder}, Check: check, Logger: logger})
				if err != nil {
					t.Fatal(err)
				}
				for episode := 1; episode <= 2; episode++ {
					spoil(t, path)
					for range 5 {
						time.Sleep(pickUp)
						if got := s.First(); got != "good-value" {
							t.Fatalf("value %q, want the last good one", got)
						}
					}
					if got := logs.FilterLevelExact(zapcore.ErrorLevel).Len(); got != episode {
						t.Errorf("%d errors in the log, want one for each time that it went: %v", got, logs.All())
					}
					if got := logs.FilterMessageSnippet("in force").FilterLevelExact(zapcore.InfoLevel).Len(); got != episode-1 {
						t.Errorf("%d lines announce a value in force before the file is usable again, want %d", got, episode-1)
					}
					if err := os.RemoveAll(path); err != nil {
						t.Fatal(err)
					}
					put(t, path, "good-value")
					time.Sleep(pickUp)
				}
				put(t, path, "new-value")
				time.Sleep(pickUp)
				if got := s.First(); got != "new-value" {
					t.Errorf("value %q after the file came back, want the new one", got)
				}
				quotesNothing(t, logs, "good-value", "bad-value", "new-value")
			})
		})
	}
}

func TestFileThatComesLater(t *testing.T) {
	t.Setenv("SET_A", "value-a")
	path := filepath.Join(t.TempDir(), "later")
	synctest.Test(t, func(t *testing.T) {
		logger, logs := observed()
		s, err := NewSecret(t.Context(), SecretOptions{Name: "test secret", Entries: []string{"{env.SET_A}", "{file." + path + "}"}, Logger: logger})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(pickUp)
		if got := s.Values(); !slices.Equal(got, []string{"value-a", ""}) {
			t.Errorf("values %q", got)
		}
		put(t, path, "next")
		time.Sleep(pickUp)
		if got := s.Values(); !slices.Equal(got, []string{"value-a", "next"}) {
			t.Errorf("values %q, want the next secret in force", got)
		}
		if got := logs.FilterLevelExact(zapcore.ErrorLevel).Len(); got != 0 {
			t.Errorf("%d errors for a file that was never there: %v", got, logs.All())
		}
	})
}

// TestAtomicReplacement replaces the file the way that Kubernetes does: the file
// is a link through the link ..data, which is renamed over.
func TestAtomicReplacement(t *testing.T) {
	dir := t.TempDir()
	publish := func(version int, content string) {
		t.Helper()
		name := "..v" + strconv.Itoa(version)
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(dir, name, "soapnote"), content)
		link := filepath.Join(dir, "..data_tmp")
		if err := errors.Join(os.Symlink(name, link), os.Rename(link, filepath.Join(dir, "..data"))); err != nil {
			t.Fatal(err)
		}
		if version > 1 {
			if err := os.RemoveAll(filepath.Join(dir, "..v"+strconv.Itoa(version-1))); err != nil {
				t.Fatal(err)
			}
		}
	}
	publish(1, "one")
	path := filepath.Join(dir, "soapnote")
	if err := os.Symlink("..data/soapnote", path); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		s, err := NewSecret(t.Context(), SecretOptions{Name: "test secret", Entries: []string{"{file." + path + "}"}, Logger: zap.NewNop()})
		if err != nil {
			t.Fatal(err)
		}
		for version, content := range []string{"one", "two", "three"} {
			if version > 0 {
				publish(version+1, content)
			}
			time.Sleep(pickUp)
			if got := s.First(); got != content {
				t.Errorf("value %q, want %q", got, content)
			}
		}
	})
}

// TestConcurrentUse renames new files over the old while many read: what they
// see is always one whole value. The race detector looks on.
func TestConcurrentUse(t *testing.T) {
	path, placeholder := secretFile(t, strings.Repeat("a", 4096))
	synctest.Test(t, func(t *testing.T) {
		s, err := NewSecret(t.Context(), SecretOptions{Name: "test secret", Entries: []string{placeholder}, Logger: zap.NewNop()})
		if err != nil {
			t.Fatal(err)
		}
		var readers sync.WaitGroup
		for range 8 {
			readers.Go(func() {
				for range 50 * 100 {
					time.Sleep(secretSettle)
					v := s.First()
					if len(v) != 4096 || strings.Trim(v, v[:1]) != "" {
						t.Errorf("a value of %d bytes that no file held", len(v))
						return
					}
				}
			})
		}
		for i := range 50 {
			next := path + ".next"
			put(t, next, strings.Repeat(string(rune('a'+i%26)), 4096))
			if err := os.Rename(next, path); err != nil {
				t.Fatal(err)
			}
			time.Sleep(secretRefresh * 3 / 4)
		}
		readers.Wait()
		if got := s.First()[:1]; got != string(rune('a'+49%26)) {
			t.Errorf("the last value begins with %q", got)
		}
	})
}

func TestSigningKeysFollowTheirFiles(t *testing.T) {
	older := "whsec_" + base64.StdEncoding.EncodeToString([]byte("another key of at least 24 bytes"))
	path, placeholder := secretFile(t, testSigning)
	synctest.Test(t, func(t *testing.T) {
		keys, err := signingKeys(t.Context(), "signing_secret", []string{placeholder, "{env.NOT_SET}"}, zap.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		want := func(value string) forwarder.SigningKey {
			key, err := forwarder.ParseSigningSecret(value)
			if err != nil {
				t.Fatal(err)
			}
			return key
		}
		if got := keys(); len(got) != 1 || string(got[0]) != string(want(testSigning)) {
			t.Error("the first key is not that of the file, or the unset entry is one")
		}
		put(t, path, older)
		time.Sleep(pickUp)
		if got := keys(); len(got) != 1 || string(got[0]) != string(want(older)) {
			t.Error("the key did not follow its file")
		}
		put(t, path, "whsec_not base64")
		time.Sleep(pickUp)
		if got := keys(); len(got) != 1 || string(got[0]) != string(want(older)) {
			t.Error("the last good key is not in force")
		}
	})
}

func TestKeysOfTheQueue(t *testing.T) {
	t.Setenv("KEY", testKey)
	t.Setenv("SHORT", "c2VjcmV0")
	_, file := secretFile(t, base64.StdEncoding.EncodeToString([]byte(strings.Repeat("B", 32)))+"\n")
	for name, c := range map[string]struct {
		raw  []string
		keys int
		says string
	}{
		"one":              {[]string{"{env.KEY}"}, 1, ""},
		"older from files": {[]string{"{env.KEY}", file}, 2, ""},
		"older unset":      {[]string{"{env.KEY}", "{env.NOT_SET}"}, 1, ""},
		"all unset":        {[]string{"{env.NOT_SET}"}, 0, "encryption_key: every entry is unset or empty"},
		"short":            {[]string{"{env.KEY}", "{env.SHORT}"}, 0, "encryption_key, entry 2: reading an encryption key: it has 6 bytes and must have 32"},
	} {
		t.Run(name, func(t *testing.T) {
			s := SQLite{Path: filepath.Join(t.TempDir(), "queue.db"), EncryptionKeys: c.raw}
			err := s.Provision(newContext(t))
			if c.says != "" {
				if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "c2VjcmV0") {
					t.Errorf("error %v, want %q and no key", err, c.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if keys := s.currentKeys(); len(keys) != c.keys || keys[0] != seal.Key([]byte(strings.Repeat("A", 32))) {
				t.Errorf("%d keys, want %d, the first one first", len(keys), c.keys)
			}
		})
	}
}

// TestHalfWrittenFileIsNotTaken looks at a file while it is being written in
// place: what stands there for a moment is nobody's secret, and a provider that
// never sends twice must not be refused for it.
func TestHalfWrittenFileIsNotTaken(t *testing.T) {
	for _, half := range []string{"", "who"} {
		path, placeholder := secretFile(t, "first")
		synctest.Test(t, func(t *testing.T) {
			logger, logs := observed()
			s, err := NewSecret(t.Context(), SecretOptions{Name: "test secret", Entries: []string{placeholder}, Logger: logger})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(secretRefresh - time.Millisecond)
			put(t, path, half)
			time.Sleep(2 * time.Millisecond) // between the two looks
			synctest.Wait()
			put(t, path, "whole")
			time.Sleep(secretSettle)
			synctest.Wait()
			if got := s.First(); got != "first" {
				t.Errorf("value %q while the file is being written", got)
			}
			time.Sleep(pickUp)
			if got := s.First(); got != "whole" {
				t.Errorf("value %q, want the whole one", got)
			}
			if got := logs.FilterLevelExact(zapcore.ErrorLevel).Len(); got != 0 {
				t.Errorf("errors: %v", logs.All())
			}
		})
	}
}

// TestFollowingEndsWithTheConfiguration validates configurations, a good one and
// one that is refused after its secrets are resolved: nothing goes on reading.
func TestFollowingEndsWithTheConfiguration(t *testing.T) {
	_, placeholder := secretFile(t, testSecret)
	following := func() bool {
		stacks := make([]byte, 1<<20)
		return strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), ".(*Secret).follow(")
	}
	provider := `"provider":{"name":"soapnoteapi","secrets":["` + placeholder + `"]}`
	if err := validate(inJSON(jsonApp, `{"handler":"scribegate",`+provider+`,"deliver_to":["ehr"]}`)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of following", func() bool { return !following() })
	if err := validate(inJSON(jsonApp, `{"handler":"scribegate",`+provider+`,"deliver_to":["warehouse"]}`)); err == nil {
		t.Fatal("no error")
	}
	eventually(t, "the end of following", func() bool { return !following() })
	if _, err := NewSecret(t.Context(), SecretOptions{Name: "test secret", Entries: []string{placeholder}, Logger: zap.NewNop()}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "following, which this test would not see otherwise", following)
}
