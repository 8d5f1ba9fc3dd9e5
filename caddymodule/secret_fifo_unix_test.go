//go:build unix

package caddymodule

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/caddymodule/internal/secret/secrettest"
)

// fifo puts a FIFO that nobody writes to in the place of a file: who opens it
// hangs.
func fifo(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	// A request that does hang is released in the end.
	t.Cleanup(func() {
		if f, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
			_ = f.Close()
		}
	})
}

// TestSecretFilesThatBecomeFIFOs swaps every secret's file for a FIFO while the
// gateway runs: requests, deliveries, a reload and the shutdown go on.
func TestSecretFilesThatBecomeFIFOs(t *testing.T) {
	s, b := newSite(t), newBackend(t)
	files := map[string]string{"soapnote": testSecret, "soniox": testSoniox, "signing": testSigning, "key": testKey}
	path := func(name string) string { return filepath.Join(s.dir, name) }
	for name, value := range files {
		secrettest.Put(t, path(name), value+"\n")
	}
	entry := func(name string) string { return "{file." + path(name) + "}" }
	app := captureLog + "scribegate {\nqueue sqlite {\npath " + path("queue.db") + "\nencryption_key " + entry("key") + "\n}\n" +
		"signing_secret " + entry("signing") + "\nupstream ehr " + b.URL + "\nupstream raw " + b.URL + "/raw {\nformat raw\n}\n}"
	block := "scribegate /soapnote soapnoteapi {\nsecret " + entry("soapnote") + "\ndeliver_to ehr\n}\n" +
		"scribegate /soniox soniox {\nheader " + sonioxHeader + " " + entry("soniox") + "\ndeliver_to raw\n}"
	captured.reset()
	s.load(app, block)

	for name := range files {
		fifo(t, path(name))
	}
	post := func(r *http.Request) {
		ctx, cancel := context.WithTimeout(t.Context(), commandtest.WaitTimeout)
		defer cancel()
		if got := do(t, r.WithContext(ctx)); got.status != http.StatusOK {
			t.Errorf("answer %d %s", got.status, got.body)
		}
	}
	eventually(t, "an error in the log for each file", func() bool {
		post(s.soapnote("/soapnote", note("a"+time.Now().String())))
		post(s.soniox("/soniox", transcription("b")))
		return len(captured.with(t, logsUnusable)) == len(files)
	})
	for _, line := range captured.with(t, logsUnusable) {
		if text, _ := line["error"].(string); line["level"] != "error" || !strings.Contains(text, "not a regular file") {
			t.Errorf("the line %v is not an error that says what is wrong with the file", line)
		}
	}
	post(s.soapnote("/soapnote", note("last")))
	eventually(t, "the last note, signed, and the raw request", func() bool {
		raw, signed := false, false
		for _, d := range b.deliveries() {
			raw = raw || d.uri == "/raw" && d.header.Get(sonioxHeader) == testSoniox
			signed = signed || d.header.Get("Webhook-Signature") != "" && strings.Contains(string(d.body), `"last"`)
		}
		return raw && signed
	})

	inTime(t, "a reload", func() {
		if err := s.tryLoad(app, block); err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("error %v of a reload, want one that says what is wrong with the file", err)
		}
	})
	post(s.soapnote("/soapnote", note("after the reload")))
	inTime(t, "the shutdown", func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestSecretFileThatIsNotRegular validates configurations whose secret's file
// cannot be one.
func TestSecretFileThatIsNotRegular(t *testing.T) {
	dir := t.TempDir()
	pipe, link, huge := filepath.Join(dir, "pipe"), filepath.Join(dir, "link"), filepath.Join(dir, "huge")
	fifo(t, pipe)
	if err := os.Symlink(pipe, link); err != nil {
		t.Fatal(err)
	}
	secrettest.Put(t, huge, strings.Repeat("x", 64<<10+1))
	for name, c := range map[string]struct{ path, says string }{
		"a FIFO":           {pipe, "not a regular file"},
		"a link to a FIFO": {link, "not a regular file"},
		"a folder":         {dir, "not a regular file"},
		"a device":         {"/dev/null", "not a regular file"},
		"a huge file":      {huge, "64 KiB"},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, "validate", func() {
				// Beside an entry that is set, it is an error all the same.
				err := validate(inJSON(jsonApp, `{"handler":"scribegate","provider":{"name":"soapnoteapi","secrets":["{env.SOAPNOTE_SECRET}","{file.`+c.path+`}"]},"deliver_to":["ehr"]}`))
				if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), c.path) {
					t.Errorf("error %v, want one that says %q of %s", err, c.says, c.path)
				}
			})
		})
	}
}

// TestSettingFromAFIFO has settings that are not secrets name a file.
func TestSettingFromAFIFO(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	fifo(t, pipe)
	for name, app := range map[string]string{
		"upstream ehr": `{"upstreams":[{"name":"ehr","url":"{file.` + pipe + `}"}]}`,
		"path":         `{"queue":{"engine":"sqlite","path":"{file.` + pipe + `}"}}`,
	} {
		inTime(t, "validate", func() {
			err := validate(inJSON(app, ""))
			if err == nil || !strings.Contains(err.Error(), name+": ") || !strings.Contains(err.Error(), "not a regular file") {
				t.Errorf("error %v, want one that names %s and says what is wrong with the file", err, name)
			}
		})
	}
}
