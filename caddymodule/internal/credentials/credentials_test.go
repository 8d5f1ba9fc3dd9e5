package credentials

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	zapobserver "go.uber.org/zap/zaptest/observer"
)

// A holder is a handler whose secret is in a file that may change.
type holder struct{ value string }

func (*holder) SecretHeader() string { return "X-Secret" }

func (h *holder) Credential() string { return h.value }

// A testSet is a Set with its log.
type testSet struct {
	*Set
	logs *zapobserver.ObservedLogs
}

func newSet() testSet {
	core, logs := zapobserver.New(zap.DebugLevel)
	return testSet{New(zap.New(core)), logs}
}

// key is that of the handlers in the tests.
var key = NewKey("soniox", "urn:clinic", "x-secret")

// check checks the value for an event, and how many lines were logged until now.
func (s testSet) check(t *testing.T, step, want string, lines int) {
	t.Helper()
	got, ok := s.Value(key, "ehr")
	if ok != (want != "") || ok && got != want {
		t.Errorf("%s: the event is sent with %q: %v; want %q", step, got, ok, want)
	}
	if n := s.logs.Len(); n != lines {
		t.Errorf("%s: %d lines are logged, want %d: %v", step, n, lines, s.logs.All())
	}
	for _, line := range s.logs.All() {
		if fields := line.ContextMap(); fields["upstream"] != "ehr" || fields["provider"] != "soniox" || fields["source"] != "urn:clinic" || fields["header"] != "X-Secret" {
			t.Errorf("%s: the line has the fields %v", step, fields)
		}
	}
}

// The events of two handlers with one source wait while the handlers have different secrets.
// That is logged once it is not just the moment between the two changes of a file.
func TestHandlersWithDifferentSecrets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, first, second := newSet(), &holder{"old"}, &holder{"old"}
		for _, h := range []*holder{first, second} {
			if err := s.Add(key, h, "ehr"); err != nil {
				t.Fatal(err)
			}
		}
		s.check(t, "the same secret", "old", 0)
		first.value = "new"
		s.check(t, "one has changed", "", 0)
		time.Sleep(settle - 1)
		s.check(t, "just before the grace ends", "", 0)
		second.value = "new"
		s.check(t, "both have changed", "new", 0)

		first.value = "newer"
		s.check(t, "one has changed again", "", 0)
		time.Sleep(settle)
		s.check(t, "the grace has ended", "", 1)
		time.Sleep(time.Hour)
		s.check(t, "an hour later", "", 1)
		second.value = "newer"
		s.check(t, "both have changed again", "newer", 1)
		second.value = ""
		s.check(t, "one has lost its secret", "", 1)
		time.Sleep(settle)
		s.check(t, "for a while", "", 2)
	})
}

// The events of a handler that was removed wait, which is logged once a minute.
func TestHandlerWasRemoved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSet()
		if err := s.Add(NewKey("soniox", "urn:other", "X-Secret"), &holder{"another"}, "ehr"); err != nil {
			t.Fatal(err)
		}
		s.check(t, "at first", "", 1)
		time.Sleep(reportEvery - 1)
		s.check(t, "within a minute", "", 1)
		time.Sleep(time.Nanosecond)
		s.check(t, "after a minute", "", 2)
	})
}

// Two handlers with one source and different secrets are an error if an upstream with the
// format raw receives the events of either.
func TestAddDifferentSecrets(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		values [2]string
		raw    [2]string
		fails  bool
	}{
		"no raw upstream":              {[2]string{"a", "b"}, [2]string{"", ""}, false},
		"the same":                     {[2]string{"a", "a"}, [2]string{"ehr", "ehr"}, false},
		"a raw upstream of the first":  {[2]string{"a", "b"}, [2]string{"ehr", ""}, true},
		"a raw upstream of the second": {[2]string{"a", "b"}, [2]string{"", "ehr"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSet()
			if err := s.Add(key, &holder{c.values[0]}, c.raw[0]); err != nil {
				t.Fatal(err)
			}
			err := s.Add(key, &holder{c.values[1]}, c.raw[1])
			if (err != nil) != c.fails {
				t.Fatalf("error %v", err)
			}
			if err != nil && !strings.Contains(err.Error(), "upstream ehr has the format raw") {
				t.Errorf("error %v", err)
			}
		})
	}
}
