package caddymodule

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/caddymodule/internal/secret/secrettest"
)

// tree notes every file below a folder: its size and time, and its mode.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		files[path] = fmt.Sprintf("%d bytes, %s, %s", info.Size(), info.ModTime(), info.Mode())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// command runs Caddy in a process of its own and returns what it prints.
func command(t *testing.T, home string, args ...string) string {
	t.Helper()
	cmd := commandtest.Process(t, args...)
	cmd.Env = append(cmd.Env, "HOME="+home, "XDG_DATA_HOME="+home, "XDG_CONFIG_HOME="+home)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("caddy %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// offline are the commands that read a configuration and do no more.
func offline(t *testing.T, home, config string) {
	t.Helper()
	if out := command(t, home, "validate", "--adapter", "caddyfile", "--config", config); !strings.Contains(out, "Valid configuration") {
		t.Errorf("validate says\n%s", out)
	}
	if out := command(t, home, "adapt", "--adapter", "caddyfile", "--config", config); !strings.Contains(out, `"scribegate"`) {
		t.Errorf("adapt says\n%s", out)
	}
	if out := command(t, home, "fmt", config); !strings.Contains(out, "scribegate {") {
		t.Errorf("fmt says\n%s", out)
	}
}

// TestOfflineCommandsBesideTheServer runs them on the very configuration that
// is running, with an event in its queue and the queue's file in use.
func TestOfflineCommandsBesideTheServer(t *testing.T) {
	s := newSite(t)
	// An upstream that does not answer: whatever came of an attempt would be
	// written by the server meanwhile.
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	app := oneUpstream + "http://" + silent.Addr().String() + " {\n\t\t\ttimeout 10m\n\t\t}\n\t}"
	s.load(app, bothProviders)
	do(t, s.soniox("/soniox", transcription("tr-1"))).id(t)
	eventually(t, "the attempt", func() bool { return queued(t).Upstreams[0].InFlight == 1 })
	s.awaitRest()

	config := filepath.Join(t.TempDir(), "Caddyfile")
	secrettest.Put(t, config, string(caddyfile.Format([]byte(s.caddyfile(app, bothProviders)))))
	home, text := t.TempDir(), tree(t, filepath.Dir(config))
	queue := filepath.Join(s.dir, "queue.db")
	// The database may change by what the server does, and only by it: what else
	// is there must stay, and nothing may come.
	before := tree(t, s.dir)
	if before[queue] == "" {
		t.Fatalf("no queue in %v", before)
	}
	offline(t, home, config)
	after := tree(t, s.dir)
	for _, files := range []map[string]string{before, after} {
		for _, suffix := range []string{"", "-wal", "-shm"} {
			delete(files, queue+suffix)
		}
	}
	if !maps.Equal(before, after) {
		t.Errorf("the queue's folder was %v and is %v", before, after)
	}
	if now := tree(t, filepath.Dir(config)); !maps.Equal(text, now) {
		t.Errorf("the configuration's folder was %v and is %v", text, now)
	}
	if files := tree(t, home); len(files) != 1 {
		t.Errorf("the data folder holds %v", files)
	}
	if got := queued(t); len(got.Upstreams) != 1 || got.Upstreams[0].Pending != 1 || got.Upstreams[0].InFlight != 1 {
		t.Errorf("the queue holds %+v, want the one event", got)
	}
}

// awaitRest waits until the server writes nothing more to the queue's folder.
func (s *site) awaitRest() {
	s.t.Helper()
	eventually(s.t, "the queue's folder to be at rest", func() bool {
		files := tree(s.t, s.dir)
		time.Sleep(100 * time.Millisecond)
		return maps.Equal(files, tree(s.t, s.dir))
	})
}

// TestOfflineCommandsBesideAnIdleServer is the same with nothing to deliver, so
// that the queue's file itself must stay as it is.
func TestOfflineCommandsBesideAnIdleServer(t *testing.T) {
	s := newSite(t)
	app := oneUpstream + "http://127.0.0.1:1\n\t}"
	s.load(app, bothProviders)
	config := filepath.Join(t.TempDir(), "Caddyfile")
	secrettest.Put(t, config, string(caddyfile.Format([]byte(s.caddyfile(app, bothProviders)))))
	s.awaitRest()
	before := tree(t, s.dir)
	offline(t, t.TempDir(), config)
	if after := tree(t, s.dir); !maps.Equal(before, after) {
		t.Errorf("the queue's folder was %v and is %v", before, after)
	}
}

// TestOfflineCommandsCreateNothing runs them where nothing runs, with the queue
// in its default place.
func TestOfflineCommandsCreateNothing(t *testing.T) {
	home, dir := t.TempDir(), t.TempDir()
	config := filepath.Join(dir, "Caddyfile")
	secrettest.Put(t, config, "{\n\tadmin off\n\tscribegate {\n\t\tupstream ehr http://127.0.0.1:9000\n\t}\n}\n\nhttp://127.0.0.1:8080 {\n\tscribegate soapnoteapi {\n\t\tsecret {env.SOAPNOTE_SECRET}\n\t\tdeliver_to ehr\n\t}\n}\n")
	text := tree(t, dir)
	offline(t, home, config)
	if files := tree(t, home); len(files) != 1 {
		t.Errorf("the data folder holds %v", files)
	}
	if now := tree(t, dir); !maps.Equal(text, now) {
		t.Errorf("the configuration's folder was %v and is %v", text, now)
	}
}

// TestResolvedValuesStayInside looks for the values behind placeholders in what
// Caddy shows of a configuration: its JSON, which /config/ and the autosave
// hold, and the modules' exported fields, which its debug lines print.
func TestResolvedValuesStayInside(t *testing.T) {
	const planted = "RESOLVED"
	signing := "whsec_" + "UkVTT0xWRURSRVNPTFZFRFJFU09MVkVEUkVTT0xWRUQ="
	_, file := secrettest.File(t, planted+"-file")
	values := map[string]string{
		"R_SOAPNOTE": "whsec_" + planted, "R_SONIOX": planted + "-soniox", "R_SIGNING": signing, "R_UPSTREAM_SIGNING": signing,
		"R_KEY": testKey, "R_URL": "http://" + planted + ":" + planted + "@127.0.0.1:1/",
	}
	for name, value := range values {
		t.Setenv(name, value)
	}
	s := newSite(t)
	t.Setenv("R_DIR", filepath.Join(s.dir, planted))
	app := `scribegate {
		queue sqlite {
			path {env.R_DIR}/queue.db
			encryption_key {env.R_KEY}
		}
		signing_secret {env.R_SIGNING}
		upstream ehr {env.R_URL} {
			signing_secret {env.R_UPSTREAM_SIGNING}
		}
	}`
	block := `scribegate /soapnote soapnoteapi {
		secret {env.R_SOAPNOTE} ` + file + `
		deliver_to ehr
	}
	scribegate /soniox soniox {
		header X-Secret "Bearer {env.R_SONIOX}" ` + file + `
		deliver_to ehr
	}`
	cfg, err := adapt(s.caddyfile(app, block))
	if err != nil {
		t.Fatal(err)
	}
	s.load(app, block)

	shown := map[string]any{"the adapted JSON": json.RawMessage(cfg)}
	ctx := caddy.ActiveContext()
	loaded, err := ctx.App(appName)
	if err != nil {
		t.Fatal(err)
	}
	a := loaded.(*App)
	shown["the app"], shown["its engine"] = a, a.engine
	loaded, err = ctx.App("http")
	if err != nil {
		t.Fatal(err)
	}
	handlers := 0
	for _, server := range loaded.(*caddyhttp.App).Servers {
		for _, route := range server.Routes {
			handlers += show(shown, route.Handlers)
		}
	}
	if handlers != 2 {
		t.Fatalf("found %d handlers, want 2", handlers)
	}
	for what, module := range shown {
		text, err := json.Marshal(module)
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range values {
			if strings.Contains(string(text), value) {
				t.Errorf("%s shows the value of {env.%s}: %s", what, name, text)
			}
		}
		if strings.Contains(string(text), planted) {
			t.Errorf("%s shows a value: %s", what, text)
		}
	}
	if _, err := os.Stat(filepath.Join(s.dir, planted, "queue.db")); err != nil {
		t.Errorf("the path's placeholder was not resolved: %v", err)
	}
}

// show adds the scribegate handlers among the handlers, at any depth, and their
// providers, and counts them.
func show(shown map[string]any, handlers []caddyhttp.MiddlewareHandler) (found int) {
	for _, h := range handlers {
		switch h := h.(type) {
		case *Handler:
			shown["the handler of "+h.provider.Name()], shown["the provider "+h.provider.Name()] = h, h.provider
			found++
		case *caddyhttp.Subroute:
			for _, route := range h.Routes {
				found += show(shown, route.Handlers)
			}
		}
	}
	return found
}
