//go:build examples

package packages_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/scribegate/scribegate/examples/deployment/internal/cell"
	"github.com/scribegate/scribegate/examples/internal/sender"
	"github.com/scribegate/scribegate/examples/internal/stage"
)

// secret is synthetic, used only in these tests.
const secret = "whsec_c3ludGhldGljLXNvYXBub3RlLXNlY3JldA"

const (
	older = "v0.1.0"
	newer = "v0.2.0"
)

// TestPackage installs the .deb, runs the gateway, upgrades while events wait, removes,
// installs again, and purges.
func TestPackage(t *testing.T) {
	ctx := bounded(t)
	cell.Need(t, "dpkg", "dpkg")
	cell.Need(t, "setpriv", "util-linux")
	first, second := build(ctx, t, older), build(ctx, t, newer)
	first.check(t)
	first.checkRPM(ctx, t)

	c := cell.Overlay(t)
	debOfFirst, debOfSecond := first.copyTo(ctx, t, c), second.copyTo(ctx, t, c)
	if out := c.Run(ctx, t, "dpkg", "--install", debOfFirst); !strings.Contains(out, "Copy it to another place than your backups") {
		t.Errorf("the installation does not ask for a copy of the key; it printed:\n%s", out)
	}
	checkInstalled(ctx, t, c)
	checkDivert(ctx, t, c)

	b := newBackend(t)
	port := lowPort(t)
	configure(ctx, t, c, port, b.URL)
	s := start(ctx, t, c)
	checkConfined(ctx, t, s)
	if v := version(ctx, t, c); v != older {
		t.Errorf("the version is %s, want %s", v, older)
	}

	// An upgrade while events wait: dpkg replaces the files of the running service, and then
	// systemd restarts it.
	waiting := send(ctx, t, port, "before-the-upgrade", 20)
	key := c.Run(ctx, t, "cat", "/etc/scribegate/credentials/encryption-key")
	c.Run(ctx, t, "dpkg", "--install", debOfSecond)
	waiting = append(waiting, send(ctx, t, port, "during-the-upgrade", 5)...)
	s.stop(t)
	s = start(ctx, t, c)
	if v := version(ctx, t, c); v != newer {
		t.Errorf("the version after the upgrade is %s, want %s", v, newer)
	}
	if after := c.Run(ctx, t, "cat", "/etc/scribegate/credentials/encryption-key"); after != key {
		t.Error("the upgrade has replaced the encryption key")
	}
	b.accepts.Store(true)
	b.wait(ctx, t, waiting, s)

	// Stopped while an attempt hangs, removed while events wait, and installed again.
	b.accepts.Store(false)
	b.hangs.Store(true)
	waiting = send(ctx, t, port, "before-the-removal", 5)
	select {
	case <-b.hanging:
	case <-ctx.Done():
		t.Fatalf("no attempt hangs: %v; the service printed:\n%s", context.Cause(ctx), s.Tail(20))
	}
	s.stop(t)
	b.hangs.Store(false)
	c.Run(ctx, t, "dpkg", "--remove", "scribegate")
	if out, err := c.Try(ctx, "scribegate-caddy", "version"); err == nil {
		t.Errorf("the program is there after the removal: %s", out)
	}
	c.Run(ctx, t, "dpkg", "--install", debOfSecond)
	s = start(ctx, t, c)
	b.accepts.Store(true)
	b.wait(ctx, t, waiting, s)

	// Purged while events wait: nothing of the data, the key and the secrets is deleted.
	b.accepts.Store(false)
	waiting = send(ctx, t, port, "before-the-purge", 5)
	s.stop(t)
	config := c.Run(ctx, t, "cat", "/etc/scribegate/Caddyfile")
	out := c.Run(ctx, t, "dpkg", "--purge", "scribegate")
	if !strings.Contains(out, "Not deleted: /var/lib/scribegate") || !strings.Contains(out, "rm -r /var/lib/scribegate /etc/scribegate") {
		t.Errorf("the purge does not say what it keeps, and how to delete it; it printed:\n%s", out)
	}
	if out, err := c.Try(ctx, "ls", "/etc/scribegate/Caddyfile"); err == nil {
		t.Errorf("the Caddyfile is there after the purge: %s", out)
	}
	c.Run(ctx, t, "dpkg", "--install", debOfSecond)
	c.Sh(ctx, t, `printf %s "$1" >/etc/scribegate/Caddyfile`, config)
	s = start(ctx, t, c)
	b.accepts.Store(true)
	b.wait(ctx, t, waiting, s)
	s.stop(t)
}

// checkInstalled checks the owners and modes of what the package and its script have made,
// and the unit.
func checkInstalled(ctx context.Context, t *testing.T, c *cell.Cell) {
	t.Helper()
	for path, want := range map[string]string{
		"/usr/bin/scribegate-caddy":                  "root:root 755",
		"/etc/scribegate/Caddyfile":                  "root:root 644",
		"/etc/scribegate/credentials":                "root:root 700",
		"/etc/scribegate/credentials/encryption-key": "root:root 600",
		"/etc/scribegate/credentials/signing":        "root:root 600",
		"/etc/scribegate/secrets":                    "root:scribegate 750",
		"/var/lib/scribegate":                        "scribegate:scribegate 750",
	} {
		if got := strings.TrimSpace(c.Run(ctx, t, "stat", "--format", "%U:%G %a", path)); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
	if got := c.Run(ctx, t, "getent", "passwd", "scribegate"); !strings.HasSuffix(got, ":/var/lib/scribegate:/usr/sbin/nologin\n") {
		t.Errorf("the user is %q", got)
	}
	if out := c.Sh(ctx, t, "systemd-analyze verify scribegate.service scribegate.socket 2>&1"); out != "" {
		t.Errorf("systemd-analyze verify: %s", out)
	}
	// What belongs to Debian's package caddy stays as it is.
	for path := range strings.Lines(c.Run(ctx, t, "dpkg", "--listfiles", "scribegate")) {
		if path = strings.TrimSpace(path); strings.HasSuffix(path, "/caddy") || strings.HasSuffix(path, "/caddy.service") {
			t.Errorf("the package has %s, which Debian's caddy has too", path)
		}
	}
}

// configure does what the comment of the installed Caddyfile says, with a port below 1024
// instead of a host name, since no certificate can be had here.
func configure(ctx context.Context, t *testing.T, c *cell.Cell, port, backend string) {
	t.Helper()
	console, err := stage.Ports(ctx, 1)
	must(t, err)
	c.Sh(ctx, t, `
		sed -i -e "s|^hooks.example.com|http://127.0.0.1:$1|" -e "s|http://127.0.0.1:9000/events|$2|" -e "s|:8081|:$3|g" /etc/scribegate/Caddyfile
		printf '%s\n' "$4" | install -m 0640 -g scribegate /dev/stdin /etc/scribegate/secrets/soapnote
		printf '%s\n' synthetic-soniox-secret | install -m 0640 -g scribegate /dev/stdin /etc/scribegate/secrets/soniox
	`, port, backend, console[0], secret)
	// As the documentation has it, before the service has run once.
	c.Run(ctx, t, "env", "CREDENTIALS_DIRECTORY=/etc/scribegate/credentials", "scribegate-caddy", "validate", "--config", "/etc/scribegate/Caddyfile")
}

// checkConfined checks that the process runs as confined as the test means to run it, and
// that its commands reach it as its user, and not as another one.
func checkConfined(ctx context.Context, t *testing.T, s *service) {
	t.Helper()
	const netBindService = "0000000000000400"
	for name, want := range map[string]string{"CapEff": netBindService, "CapBnd": netBindService, "NoNewPrivs": "1"} {
		if got := s.status(t, name); got != want {
			t.Errorf("the service runs with %s %s, want %s", name, got, want)
		}
	}
	ready := []string{"/usr/bin/scribegate", "health", "ready"}
	for user, allowed := range map[string]bool{"scribegate": true, "nobody": false} {
		_, err := s.cell.Try(ctx, append([]string{"setpriv", "--reuid", user, "--clear-groups"}, ready...)...)
		if (err == nil) != allowed {
			t.Errorf("health as %s: %v, want it to be allowed: %t", user, err, allowed)
		}
	}
}

func version(ctx context.Context, t *testing.T, c *cell.Cell) string {
	t.Helper()
	var v struct {
		Scribegate string `json:"scribegate"`
	}
	must(t, json.Unmarshal([]byte(c.Run(ctx, t, "scribegate", "version", "--json")), &v))
	return v.Scribegate
}

// send sends notes, and returns the ids of their events.
func send(ctx context.Context, t *testing.T, port, name string, n int) (ids []string) {
	t.Helper()
	for i := range n {
		now := time.Now()
		request, err := sender.SOAPNoteAPI(ctx, "http://127.0.0.1:"+port+"/soapnote", secret, sender.NoteGenerated(fmt.Sprint(name, "-", i), now), now)
		must(t, err)
		answer, err := sender.Send(request)
		if err != nil || answer.Status != http.StatusOK {
			t.Fatalf("a note is answered %+v, %v, want 200", answer, err)
		}
		ids = append(ids, answer.ID)
	}
	return ids
}

// A backend answers 503 until it accepts, and nothing while it hangs.
type backend struct {
	*httptest.Server
	accepts, hangs atomic.Bool
	hanging        chan struct{} // receives when a request begins to hang

	mu       sync.Mutex
	received map[string]bool
}

func newBackend(t *testing.T) *backend {
	t.Helper()
	b := &backend{hanging: make(chan struct{}, 1), received: make(map[string]bool)}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if b.hangs.Load() {
			select {
			case b.hanging <- struct{}{}:
			default:
			}
			<-r.Context().Done()
			return
		}
		if !b.accepts.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		b.received[r.Header.Get("webhook-id")] = true
	}))
	t.Cleanup(b.Close)
	return b
}

// wait waits until all events are delivered.
func (b *backend) wait(ctx context.Context, t *testing.T, ids []string, s *service) {
	t.Helper()
	missing := func() (n int) {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, id := range ids {
			if !b.received[id] {
				n++
			}
		}
		return n
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for missing() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%d of %d events are not delivered: %v; the service printed:\n%s", missing(), len(ids), context.Cause(ctx), s.Tail(20))
		}
	}
}

// A release is what `make package` has built.
type release struct {
	version, dir string
}

// build runs `make package` for this machine, without the flag that would compile everything
// anew.
func build(ctx context.Context, t *testing.T, version string) release {
	t.Helper()
	out := filepath.Join(t.TempDir(), version)
	command := exec.CommandContext(ctx, "make", "package", "VERSION="+version, "TARGETS=linux/"+runtime.GOARCH, "BUILDFLAGS=", "OUT="+out)
	command.Dir = filepath.Join("..", "..", "..")
	printed, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("make package: %v\n%s", err, printed)
	}
	return release{version: version, dir: out}
}

// one returns the only file with an extension.
func (r release) one(t *testing.T, extension string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(r.dir, "*"+extension))
	must(t, err)
	if len(files) != 1 {
		t.Fatalf("make package has built %q, want one %s", files, extension)
	}
	return files[0]
}

// check checks the checksums, and that the SBOM has the modules that matter most.
func (r release) check(t *testing.T) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "sha256sum", "--check", "--strict", "SHA256SUMS")
	command.Dir = r.dir
	out, err := command.CombinedOutput()
	if err != nil || strings.Count(string(out), ": OK\n") != 4 {
		t.Errorf("the checksums: %v, want four\n%s", err, out)
	}
	sbom, err := os.ReadFile(r.one(t, ".cdx.json"))
	must(t, err)
	for _, module := range []string{"github.com/scribegate/scribegate@" + r.version, "github.com/caddyserver/caddy/v2@v2.", "modernc.org/sqlite@v", "github.com/jackc/pgx/v5@v5."} {
		if !strings.Contains(string(sbom), `"purl": "pkg:golang/`+module) {
			t.Errorf("the SBOM has no %s", module)
		}
	}
	archive, err := exec.CommandContext(t.Context(), "tar", "-tzf", r.one(t, ".tar.gz")).CombinedOutput()
	if err != nil || !strings.Contains(string(archive), "/caddy\n") || !strings.Contains(string(archive), "/LICENSE\n") {
		t.Errorf("the archive: %v\n%s", err, archive)
	}
}

// checkRPM checks that the .rpm has the files and the scripts of the .deb. It is not
// installed: this is a Debian.
func (r release) checkRPM(ctx context.Context, t *testing.T) {
	t.Helper()
	cell.Need(t, "rpm", "rpm")
	query := func(args ...string) string {
		out, err := exec.CommandContext(ctx, "rpm", append([]string{"--query", "--package"}, append(args, r.one(t, ".rpm"))...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("rpm %q: %v\n%s", args, err, out)
		}
		return string(out)
	}
	files := query("--list")
	for _, file := range []string{"/usr/bin/scribegate-caddy", "/usr/bin/scribegate", "/usr/lib/systemd/system/scribegate.service", "/etc/scribegate/Caddyfile"} {
		if !strings.Contains(files, file+"\n") {
			t.Errorf("the .rpm has no %s", file)
		}
	}
	if config := query("--configfiles"); config != "/etc/scribegate/Caddyfile\n" {
		t.Errorf("the configuration files of the .rpm are %q", config)
	}
	if scripts := query("--scripts"); !strings.Contains(scripts, "useradd --system") || !strings.Contains(scripts, "systemctl disable --now") || !strings.Contains(scripts, "Not deleted") {
		t.Errorf("the .rpm has the scripts\n%s", scripts)
	}
}

// copyTo copies the .deb into the cell and returns its path there.
func (r release) copyTo(ctx context.Context, t *testing.T, c *cell.Cell) string {
	t.Helper()
	deb := r.one(t, ".deb")
	content, err := os.Open(deb)
	must(t, err)
	defer content.Close()
	path := "/tmp/" + filepath.Base(deb)
	args := c.Args("", "cp", "/dev/stdin", path)
	command := exec.CommandContext(ctx, args[0], args[1:]...)
	command.Stdin = content
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("copying %s: %v\n%s", deb, err, out)
	}
	return path
}

// bounded returns a context with a time limit, so that a test that hangs fails.
func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 15*time.Minute, errors.New("15 minutes are over"))
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
