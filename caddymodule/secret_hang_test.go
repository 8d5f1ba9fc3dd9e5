package caddymodule

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const logsUnusable = "a secret's file cannot be used"

// A mount is where files can be made to hang, as on a server that is away.
type mount struct {
	mu      sync.Mutex
	back    chan struct{} // closed when the server is back; nil while it is there
	hanging map[string]int
	most    int // the most reads that ever hung on one file
}

func (m *mount) reader() *fileReader { return &fileReader{read: m.read} }

func (m *mount) read(path string) ([]byte, error) {
	m.mu.Lock()
	back := m.back
	if !strings.Contains(path, "hangs") {
		back = nil
	}
	if back != nil {
		if m.hanging == nil {
			m.hanging = make(map[string]int)
		}
		m.hanging[path]++
		m.most = max(m.most, m.hanging[path])
	}
	m.mu.Unlock()
	if back != nil {
		<-back
		m.mu.Lock()
		m.hanging[path]--
		m.mu.Unlock()
	}
	return os.ReadFile(path)
}

// away has reads of files whose name contains "hangs" hang.
func (m *mount) away() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.back = make(chan struct{})
}

// returns has those that hang go on.
func (m *mount) returns() {
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.back)
	m.back = nil
}

func (m *mount) mostHanging() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.most
}

func TestHungFileDelaysNoOther(t *testing.T) {
	dir := t.TempDir()
	hangs, fine := filepath.Join(dir, "hangs"), filepath.Join(dir, "fine")
	put(t, hangs, "hangs-1")
	put(t, fine, "fine-1")
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		logger, logs := observed()
		var m mount
		s, err := newSecret(ctx, SecretOptions{Name: "test secret", Entries: []string{"{file." + hangs + "}", "{file." + fine + "}"}, Logger: logger}, m.reader())
		if err != nil {
			t.Fatal(err)
		}
		m.away()
		for n, content := range []string{"fine-2", "fine-3", "fine-4", "fine-5"} {
			put(t, fine, content)
			time.Sleep(pickUp)
			if got := s.Values(); !slices.Equal(got, []string{"hangs-1", content}) {
				t.Errorf("values %q after %d changes, want the last good one and %s", got, n+1, content)
			}
		}
		if got := logs.FilterLevelExact(zapcore.ErrorLevel).All(); len(got) != 1 || !strings.Contains(got[0].ContextMap()["error"].(string), hangs) {
			t.Errorf("errors %v, want one, of the file that hangs", got)
		}
		if got := m.mostHanging(); got != 1 {
			t.Errorf("%d reads of one file hang, want one", got)
		}
		put(t, hangs, "hangs-2")
		m.returns()
		time.Sleep(pickUp)
		if got := s.Values(); !slices.Equal(got, []string{"hangs-2", "fine-5"}) {
			t.Errorf("values %q after the file could be read again", got)
		}

		// The end of the configuration does not wait for a read.
		m.away()
		time.Sleep(pickUp)
		stop()
		synctest.Wait()
		put(t, fine, "fine-6")
		time.Sleep(pickUp)
		if got := s.Values(); !slices.Equal(got, []string{"hangs-2", "fine-5"}) {
			t.Errorf("values %q once the configuration has ended, want the last ones", got)
		}
		m.returns()
	})
}

func TestHungFileAtLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hangs")
	put(t, path, "value")
	t.Setenv("SET_A", "value-a")
	synctest.Test(t, func(t *testing.T) {
		var m mount
		files := m.reader()
		m.away()
		load := func() error {
			_, err := newSecret(t.Context(), SecretOptions{Name: "test secret", Entries: []string{"{env.SET_A}", "{file." + path + "}"}, Logger: zap.NewNop()}, files)
			return err
		}
		for range 3 {
			began := time.Now()
			if err := load(); !errors.Is(err, errSlowFile) || !strings.Contains(err.Error(), "test secret, entry 2: ") || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v, want one that names the entry and the file", err)
			}
			if took := time.Since(began); took > secretReadTimeout {
				t.Errorf("loading took %s", took)
			}
		}
		if got := m.mostHanging(); got != 1 {
			t.Errorf("%d reads of one file hang, want one", got)
		}
		m.returns()
		if err := load(); err != nil {
			t.Errorf("with the file back: %v", err)
		}
	})
}

// TestSecretThatMovesToTheNextEntryStaysValid rotates as the documentation says,
// the two files a moment apart: no request may see a list without the value that
// the provider still signs with.
func TestSecretThatMovesToTheNextEntryStaysValid(t *testing.T) {
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
	for _, apart := range []time.Duration{0, time.Millisecond, 5 * time.Millisecond, secretSettle} {
		put(t, first, "present")
		put(t, second, "older")
		synctest.Test(t, func(t *testing.T) {
			s, err := NewSecret(t.Context(), SecretOptions{Name: "test secret", Entries: []string{"{file." + first + "}", "{file." + second + "}"}, Logger: zap.NewNop()})
			if err != nil {
				t.Fatal(err)
			}
			time.AfterFunc(secretRefresh-time.Millisecond/2, func() { put(t, first, "next") })
			time.AfterFunc(secretRefresh-time.Millisecond/2+apart, func() { put(t, second, "present") })
			for range pickUp / time.Millisecond {
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

// TestMountThatHangsUnderTheGateway has every secret's file hang while the
// gateway runs: requests, a reload and the shutdown go on.
func TestMountThatHangsUnderTheGateway(t *testing.T) {
	s, b := newSite(t), newBackend(t)
	var m mount
	before := secretFiles
	secretFiles = m.reader()
	t.Cleanup(func() { secretFiles = before })
	path := func(name string) string { return filepath.Join(s.dir, "hangs-"+name) }
	put(t, path("soapnote"), testSecret)
	put(t, path("signing"), testSigning)
	app := captureLog + "scribegate {\nQUEUE\nsigning_secret {file." + path("signing") + "}\nupstream ehr " + b.URL + "\n}"
	block := "scribegate /soapnote soapnoteapi {\nsecret {file." + path("soapnote") + "}\ndeliver_to ehr\n}"
	captured.reset()
	s.load(app, block)
	post := func(id string) {
		ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
		defer cancel()
		if got := do(t, s.soapnote("/soapnote", note(id)).WithContext(ctx)); got.status != http.StatusOK {
			t.Errorf("answer %d %s", got.status, got.body)
		}
	}
	m.away()
	defer m.returns()
	eventually(t, "an error in the log for each file", func() bool {
		post("a" + time.Now().String())
		return len(captured.with(t, logsUnusable)) == 2
	})
	inTime(t, "a reload", func() {
		if err := s.tryLoad(app, block); err == nil || !strings.Contains(err.Error(), errSlowFile.Error()) {
			t.Errorf("error %v of a reload, want one that says what is wrong with the file", err)
		}
	})
	post("last")
	eventually(t, "the last note", func() bool {
		return slices.ContainsFunc(b.deliveries(), func(d delivered) bool { return strings.Contains(string(d.body), `"last"`) })
	})
	inTime(t, "the shutdown", func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
}

// inTime runs what could hang and fails the test if it does.
func inTime(t *testing.T, what string, run func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		run()
	}()
	select {
	case <-done:
	case <-time.After(waitTimeout):
		t.Fatalf("%s hangs", what)
	}
}
