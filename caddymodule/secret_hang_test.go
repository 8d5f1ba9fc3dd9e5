package caddymodule

import (
	"context"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/caddymodule/internal/secret"
	"github.com/scribegate/scribegate/caddymodule/internal/secret/secrettest"
)

const logsUnusable = "a secret's file cannot be used"

// TestMountThatHangsUnderTheGateway has every secret's file hang while the
// gateway runs: requests, a reload and the shutdown go on.
func TestMountThatHangsUnderTheGateway(t *testing.T) {
	s, b := newSite(t), newBackend(t)
	var m secrettest.Mount
	before := secret.Files
	secret.Files = &secret.FileReader{Read: m.Read}
	t.Cleanup(func() { secret.Files = before })
	path := func(name string) string { return filepath.Join(s.dir, "hangs-"+name) }
	secrettest.Put(t, path("soapnote"), testSecret)
	secrettest.Put(t, path("signing"), testSigning)
	app := captureLog + "scribegate {\nQUEUE\nsigning_secret {file." + path("signing") + "}\nupstream ehr " + b.URL + "\n}"
	block := "scribegate /soapnote soapnoteapi {\nsecret {file." + path("soapnote") + "}\ndeliver_to ehr\n}"
	captured.reset()
	s.load(app, block)
	post := func(id string) {
		ctx, cancel := context.WithTimeout(t.Context(), commandtest.WaitTimeout)
		defer cancel()
		if got := do(t, s.soapnote("/soapnote", note(id)).WithContext(ctx)); got.status != http.StatusOK {
			t.Errorf("answer %d %s", got.status, got.body)
		}
	}
	m.Disconnect()
	defer m.Reconnect()
	eventually(t, "an error in the log for each file", func() bool {
		post("a" + time.Now().String())
		return len(captured.with(t, logsUnusable)) == 2
	})
	inTime(t, "a reload", func() {
		if err := s.tryLoad(app, block); err == nil || !strings.Contains(err.Error(), secret.ErrSlowFile.Error()) {
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
	case <-time.After(commandtest.WaitTimeout):
		t.Fatalf("%s hangs", what)
	}
}
