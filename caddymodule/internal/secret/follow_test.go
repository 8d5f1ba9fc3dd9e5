package secret

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/scribegate/scribegate/caddymodule/internal/secret/secrettest"
)

func TestChangedFileIsPickedUp(t *testing.T) {
	path, placeholder := secrettest.File(t, "first")
	t.Setenv("SET_A", "value-a")
	synctest.Test(t, func(t *testing.T) {
		logger, logs := observed()
		s, err := New(t.Context(), Options{Name: "test secret", Entries: []string{"Bearer " + placeholder, "{env.SET_A}"}, Logger: logger})
		if err != nil {
			t.Fatal(err)
		}
		for _, content := range []string{"second\n", "third", "first"} {
			secrettest.Put(t, path, content)
			time.Sleep(secrettest.PickUp)
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
		"empty":             func(t *testing.T, path string) { secrettest.Put(t, path, "") },
		"a line end":        func(t *testing.T, path string) { secrettest.Put(t, path, "\n") },
		"a byte order mark": func(t *testing.T, path string) { secrettest.Put(t, path, "\uFEFFnew-value\n") },
		"two lines":         func(t *testing.T, path string) { secrettest.Put(t, path, "new-value\nother") },
		"quotes":            func(t *testing.T, path string) { secrettest.Put(t, path, `"new-value"`) },
		"a name":            func(t *testing.T, path string) { secrettest.Put(t, path, "TOKEN=new-value") },
		"outer white space": func(t *testing.T, path string) { secrettest.Put(t, path, "new-value \n") },
		"huge":              func(t *testing.T, path string) { secrettest.Put(t, path, strings.Repeat("x", maxFile+1)) },
		"invalid":           func(t *testing.T, path string) { secrettest.Put(t, path, "bad-value") },
		"a folder": func(t *testing.T, path string) {
			if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			path, placeholder := secrettest.File(t, "good-value")
			synctest.Test(t, func(t *testing.T) {
				logger, logs := observed()
				s, err := New(t.Context(), Options{Name: "test secret", Entries: []string{placeholder}, Check: check, Logger: logger})
				if err != nil {
					t.Fatal(err)
				}
				for episode := 1; episode <= 2; episode++ {
					spoil(t, path)
					for range 5 {
						time.Sleep(secrettest.PickUp)
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
					secrettest.Put(t, path, "good-value")
					time.Sleep(secrettest.PickUp)
				}
				secrettest.Put(t, path, "new-value")
				time.Sleep(secrettest.PickUp)
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
		s, err := New(t.Context(), Options{Name: "test secret", Entries: []string{"{env.SET_A}", "{file." + path + "}"}, Logger: logger})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(secrettest.PickUp)
		if got := s.Values(); !slices.Equal(got, []string{"value-a", ""}) {
			t.Errorf("values %q", got)
		}
		secrettest.Put(t, path, "next")
		time.Sleep(secrettest.PickUp)
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
		secrettest.Put(t, filepath.Join(dir, name, "soapnote"), content)
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
		s, err := New(t.Context(), Options{Name: "test secret", Entries: []string{"{file." + path + "}"}, Logger: zap.NewNop()})
		if err != nil {
			t.Fatal(err)
		}
		for version, content := range []string{"one", "two", "three"} {
			if version > 0 {
				publish(version+1, content)
			}
			time.Sleep(secrettest.PickUp)
			if got := s.First(); got != content {
				t.Errorf("value %q, want %q", got, content)
			}
		}
	})
}

// TestConcurrentUse renames new files over the old while many read: what they
// see is always one whole value. The race detector looks on.
func TestConcurrentUse(t *testing.T) {
	path, placeholder := secrettest.File(t, strings.Repeat("a", 4096))
	synctest.Test(t, func(t *testing.T) {
		s, err := New(t.Context(), Options{Name: "test secret", Entries: []string{placeholder}, Logger: zap.NewNop()})
		if err != nil {
			t.Fatal(err)
		}
		var readers sync.WaitGroup
		for range 8 {
			readers.Go(func() {
				for range 50 * 100 {
					time.Sleep(settleTime)
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
			secrettest.Put(t, next, strings.Repeat(string(rune('a'+i%26)), 4096))
			if err := os.Rename(next, path); err != nil {
				t.Fatal(err)
			}
			time.Sleep(RefreshInterval * 3 / 4)
		}
		readers.Wait()
		if got := s.First()[:1]; got != string(rune('a'+49%26)) {
			t.Errorf("the last value begins with %q", got)
		}
	})
}

// TestHalfWrittenFileIsNotTaken looks at a file while it is being written in
// place: what stands there for a moment is nobody's secret, and a provider that
// never sends twice must not be refused for it.
func TestHalfWrittenFileIsNotTaken(t *testing.T) {
	for _, half := range []string{"", "who"} {
		path, placeholder := secrettest.File(t, "first")
		synctest.Test(t, func(t *testing.T) {
			logger, logs := observed()
			s, err := New(t.Context(), Options{Name: "test secret", Entries: []string{placeholder}, Logger: logger})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(RefreshInterval - time.Millisecond)
			secrettest.Put(t, path, half)
			time.Sleep(2 * time.Millisecond) // between the two looks
			synctest.Wait()
			secrettest.Put(t, path, "whole")
			time.Sleep(settleTime)
			synctest.Wait()
			if got := s.First(); got != "first" {
				t.Errorf("value %q while the file is being written", got)
			}
			time.Sleep(secrettest.PickUp)
			if got := s.First(); got != "whole" {
				t.Errorf("value %q, want the whole one", got)
			}
			if got := logs.FilterLevelExact(zapcore.ErrorLevel).Len(); got != 0 {
				t.Errorf("errors: %v", logs.All())
			}
		})
	}
}

// TestSecretThatMovesToTheNextEntryStaysValid rotates as the documentation says,
// the two files a moment apart: no request may see a list without the value that
// the provider still signs with.
func TestSecretThatMovesToTheNextEntryStaysValid(t *testing.T) {
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
	for _, apart := range []time.Duration{0, time.Millisecond, 5 * time.Millisecond, settleTime} {
		secrettest.Put(t, first, "present")
		secrettest.Put(t, second, "older")
		synctest.Test(t, func(t *testing.T) {
			s, err := New(t.Context(), Options{Name: "test secret", Entries: []string{"{file." + first + "}", "{file." + second + "}"}, Logger: zap.NewNop()})
			if err != nil {
				t.Fatal(err)
			}
			time.AfterFunc(RefreshInterval-time.Millisecond/2, func() { secrettest.Put(t, first, "next") })
			time.AfterFunc(RefreshInterval-time.Millisecond/2+apart, func() { secrettest.Put(t, second, "present") })
			for range secrettest.PickUp / time.Millisecond {
				time.Sleep(time.Millisecond)
				if got := s.Values(); !slices.Contains(got, "present") {
					t.Fatalf("values %q", got)
				}
			}
			if got := s.Values(); !slices.Equal(got, []string{"next", "present"}) {
				t.Errorf("values %q in the end", got)
			}
		})
	}
}
