//go:build examples

package examples_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/examples/internal/sender"
	"github.com/scribegate/scribegate/examples/internal/stage"
	"github.com/scribegate/scribegate/examples/providers/standin"
)

// A migration moves the handler of one framework behind the gateway, in one gateway that
// is reloaded with one configuration after the other.
type migration struct {
	soniox bool // whether the handler is one for Soniox; otherwise for SOAPNoteAPI
	kit    kit

	gateway   *stage.Gateway
	url       string // of the gateway
	env       []string
	providers *standin.Server

	port, notes string         // of the handler: before and at step 1
	old         *stage.Process // the handler
	newPort     string         // of the backend of step 2
	newNotes    string
	sent        int
}

// TestMigration takes each handler from where it stands alone to step 2, as the chapter
// describes it.
func TestMigration(t *testing.T) {
	t.Parallel()
	for framework, soniox := range map[string]bool{"express": false, "flask": false, "fastapi": true} {
		t.Run(framework, func(t *testing.T) {
			t.Parallel()
			ctx := bounded(t)
			m := startMigration(ctx, t, framework, soniox)
			m.before(ctx, t)
			lost := m.lose(ctx, t)
			m.checkpoint(ctx, t)
			m.step1(ctx, t)
			m.back(ctx, t)
			m.start(ctx, t, "step2", m.newPort, m.newNotes)
			m.both(ctx, t)
			m.step2(ctx, t)
			for _, id := range lost {
				if m.has(t, m.notes, id) || m.has(t, m.newNotes, id) {
					t.Errorf("%s arrived, though nothing keeps the events of a handler that stands alone", id)
				}
			}
		})
	}
}

func startMigration(ctx context.Context, t *testing.T, framework string, soniox bool) *migration {
	t.Helper()
	port := ports(ctx, t, 4)
	m := &migration{
		soniox: soniox, kit: build(ctx, t, filepath.Join("migration", framework), filepath.Join(t.TempDir(), framework)),
		url: "http://127.0.0.1:" + port[0], port: port[1], notes: t.TempDir(), newPort: port[2], newNotes: t.TempDir(),
	}
	providers, apis := startProviders(t)
	m.providers = providers
	m.env = append(apis, "PORT="+port[0], "NOTES_PORT="+port[1], "TRANSCRIPTS_PORT="+port[3], "BACKEND_PORT="+port[2])
	if soniox {
		m.env = append(m.env, "NOTES_PORT="+port[3], "TRANSCRIPTS_PORT="+port[1])
	}
	m.env = append(m.env, secrets...)
	m.old = m.start(ctx, t, "before", m.port, m.notes)
	m.gateway = startGateway(ctx, t, filepath.Join("migration", "before.caddyfile"), m.env...)
	return m
}

// start starts a version of the handler, and waits until it listens.
func (m *migration) start(ctx context.Context, t *testing.T, version, port, notes string) *stage.Process {
	t.Helper()
	k := m.kit
	k.args = append(k.args[:len(k.args)-1:len(k.args)-1], version+filepath.Ext(k.args[len(k.args)-1]))
	p, err := k.launch(t, append([]string{"NOTES=" + notes}, append(m.env, "PORT="+port)...)...)
	if err != nil {
		t.Fatal(err)
	}
	until(ctx, t, version+" listens", p, func() bool {
		conn, err := net.DialTimeout("tcp", "127.0.0.1:"+port, time.Second)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return p
}

func (m *migration) stop(t *testing.T) {
	t.Helper()
	if err := m.old.Stop(); err != nil {
		t.Fatal(err)
	}
}

// reload loads a configuration of the chapter.
func (m *migration) reload(ctx context.Context, t *testing.T, config string) {
	t.Helper()
	cmd := exec.CommandContext(ctx, caddy(t), "reload", "--config", filepath.Join("migration", config), "--adapter", "caddyfile",
		"--address", strings.TrimPrefix(m.gateway.Admin, "http://"))
	cmd.Env = append([]string{"HOME=" + t.TempDir()}, m.env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", config, err, out)
	}
	http.DefaultClient.CloseIdleConnections()
}

// A webhook is a request of a provider about a note or transcription.
type webhook struct {
	subject string
	request *http.Request
}

// webhook returns a genuine request about something new, or a forged one.
func (m *migration) webhook(ctx context.Context, t *testing.T, to string, soniox, forged bool, at time.Time) webhook {
	t.Helper()
	m.sent++
	w := webhook{subject: fmt.Sprintf("note:%d", m.sent)}
	var err error
	switch secret := soapnoteSecret; {
	case soniox:
		w.subject = m.providers.AddTranscription(standin.Transcription{})
		value := "Bearer " + sonioxSecret
		if forged {
			value = "Bearer guessed"
		}
		w.request, err = sender.Soniox(ctx, to+"/webhook?user_id=7", "Authorization", value, sender.Transcription(w.subject, "completed"))
	default:
		if forged {
			secret = otherSecret
		}
		w.request, err = sender.SOAPNoteAPI(ctx, to+"/webhooks/soapnoteapi", secret, sender.NoteGenerated(w.subject, at), at)
	}
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// send sends a genuine request of the handler's provider, which is answered with a status.
func (m *migration) send(ctx context.Context, t *testing.T, want int) (subject string) {
	t.Helper()
	w := m.webhook(ctx, t, m.url, m.soniox, false, time.Now())
	expectStatus(t, w.request, want)
	return w.subject
}

func expectStatus(t *testing.T, request *http.Request, want int) {
	t.Helper()
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != want {
		t.Errorf("%s is answered %d, want %d", request.URL.Path, resp.StatusCode, want)
	}
}

func (m *migration) file(notes, subject string) string {
	return filepath.Join(notes, strings.ReplaceAll(subject, ":", "%3A"))
}

func (m *migration) has(t *testing.T, notes, subject string) bool {
	t.Helper()
	_, err := os.Stat(m.file(notes, subject))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

// waitSaved waits until a note or transcript is saved, with its text.
func (m *migration) waitSaved(ctx context.Context, t *testing.T, notes, subject string) {
	t.Helper()
	until(ctx, t, subject+" is saved", m.gateway, func() bool { return m.has(t, notes, subject) })
	text, err := os.ReadFile(m.file(notes, subject))
	if err != nil || !strings.Contains(string(text), `"plan"`) && !strings.Contains(string(text), `"text"`) {
		t.Errorf("%s is saved as %s, error %v", subject, text, err)
	}
}

// until waits for a condition that a process brings about.
func until(ctx context.Context, t *testing.T, what string, p interface{ Tail(n int) string }, condition func() bool) {
	t.Helper()
	for !condition() {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("waiting until %s: %v; it printed:\n%s", what, context.Cause(ctx), p.Tail(20))
		}
	}
}

// before checks the handler alone.
func (m *migration) before(ctx context.Context, t *testing.T) {
	t.Helper()
	m.waitSaved(ctx, t, m.notes, m.send(ctx, t, 200))
	forged := http.StatusUnauthorized
	if m.soniox {
		forged = http.StatusOK // FastAPI takes the pair for a body, which the chapter warns of
	}
	expectStatus(t, m.webhook(ctx, t, m.url, m.soniox, true, time.Now()).request, forged)
	if !m.soniox {
		expectStatus(t, m.webhook(ctx, t, m.url, false, false, time.Now().Add(-time.Hour)).request, 401)
	}
}

// lose returns what the handler alone loses: an event while it is down, and an event that
// it answers and then cannot save.
func (m *migration) lose(ctx context.Context, t *testing.T) []string {
	t.Helper()
	m.stop(t)
	down := m.send(ctx, t, http.StatusBadGateway)
	m.old = m.start(ctx, t, "before", m.port, m.notes)
	return []string{down, m.failSave(ctx, t)}
}

// failSave sends an event while the handler cannot save anything.
func (m *migration) failSave(ctx context.Context, t *testing.T) (subject string) {
	t.Helper()
	if err := os.Rename(m.notes, m.notes+".away"); err != nil {
		t.Fatal(err)
	}
	subject = m.send(ctx, t, 200)
	_, err := m.old.WaitLine(ctx, "the error", func(line string) bool {
		return strings.Contains(line, "ENOENT") || strings.Contains(line, "FileNotFoundError")
	})
	if err := errors.Join(err, os.Rename(m.notes+".away", m.notes)); err != nil {
		t.Fatal(err)
	}
	return subject
}

func (m *migration) checkpoint(ctx context.Context, t *testing.T) {
	t.Helper()
	m.reload(ctx, t, "checkpoint.caddyfile")
	m.waitSaved(ctx, t, m.notes, m.send(ctx, t, 200))
	expectStatus(t, m.webhook(ctx, t, m.url, m.soniox, true, time.Now()).request, 401)
}

func (m *migration) step1(ctx context.Context, t *testing.T) {
	t.Helper()
	m.reload(ctx, t, "step1.caddyfile")
	m.waitSaved(ctx, t, m.notes, m.send(ctx, t, 200)) // the handler is unchanged
	m.stop(t)
	down := m.send(ctx, t, 200)
	m.old = m.start(ctx, t, "step1", m.port, m.notes)
	m.waitSaved(ctx, t, m.notes, down)
	m.waitSaved(ctx, t, m.notes, m.failSave(ctx, t))

	handler := "http://127.0.0.1:" + m.port
	expectStatus(t, m.webhook(ctx, t, handler, m.soniox, true, time.Now()).request, 401)
	if !m.soniox { // a late retry has the provider's timestamp
		late := m.webhook(ctx, t, handler, false, false, time.Now().Add(-16*time.Hour))
		expectStatus(t, late.request, 200)
		m.waitSaved(ctx, t, m.notes, late.subject)
	}
}

// back goes back from step 1 while an event waits in the queue, and forth again.
func (m *migration) back(ctx context.Context, t *testing.T) {
	t.Helper()
	m.stop(t)
	waiting := m.send(ctx, t, 200)
	m.reload(ctx, t, "step1-back.caddyfile")
	m.send(ctx, t, http.StatusBadGateway) // the provider is answered by the handler, which is down
	m.old = m.start(ctx, t, "step1", m.port, m.notes)
	m.waitSaved(ctx, t, m.notes, waiting)
	m.waitSaved(ctx, t, m.notes, m.send(ctx, t, 200))
	m.reload(ctx, t, "step1.caddyfile")
}

func (m *migration) both(ctx context.Context, t *testing.T) {
	t.Helper()
	m.reload(ctx, t, "both.caddyfile")
	subject := m.send(ctx, t, 200)
	m.waitSaved(ctx, t, m.notes, subject)
	m.waitSaved(ctx, t, m.newNotes, subject)
	if err := m.gateway.WaitIdle(ctx); err != nil {
		t.Fatal(err)
	}
}

func (m *migration) step2(ctx context.Context, t *testing.T) {
	t.Helper()
	m.stop(t)
	m.reload(ctx, t, "step2.caddyfile")
	for _, soniox := range []bool{false, true} {
		w := m.webhook(ctx, t, m.url, soniox, false, time.Now())
		expectStatus(t, w.request, 200)
		m.waitSaved(ctx, t, m.newNotes, w.subject)
		expectStatus(t, m.webhook(ctx, t, m.url, soniox, true, time.Now()).request, 401)
	}
	backend := "http://127.0.0.1:" + m.newPort
	id := "direct-1"
	if got := post(ctx, t, backend, signed(t, id, otherSecret, time.Now(), eventOf(id)), eventOf(id)); got != 401 {
		t.Errorf("a forged delivery is answered %d, want 401", got)
	}
	if got := post(ctx, t, backend, signed(t, id, signingSecret, time.Now().Add(-time.Hour), eventOf(id)), eventOf(id)); got != 401 {
		t.Errorf("a captured delivery is answered %d, want 401", got)
	}
	id = "soniox-1"
	body := fmt.Appendf(nil, `{"specversion":"1.0","id":%q,"type":"com.soniox.transcription.completed","data":{"id":"t-1","status":"completed","transcription":{"unavailable":"timeout"}}}`, id)
	if got := post(ctx, t, backend, signed(t, id, signingSecret, time.Now(), body), body); got/100 != 2 || m.has(t, m.newNotes, "t-1") || !m.has(t, m.newNotes, "t-1.unavailable") {
		t.Errorf("an event without its transcript is answered %d, and is not saved as unavailable alone", got)
	}
	m.old = m.start(ctx, t, "step1", m.port, m.notes) // and back
	m.both(ctx, t)
}

// shown matches a file or the difference of two files in the chapter.
var shown = regexp.MustCompile("(?s)<!-- examples/migration: ([^ ]+)(?: to ([^ ]+))? -->\n```[a-z]+\n(.*?)```\n")

// TestMigrationChapter checks that the chapter shows the files as they are, and names each.
func TestMigrationChapter(t *testing.T) {
	ctx := bounded(t)
	need(t, "diff", "apt-get install -y diffutils")
	text, err := os.ReadFile(filepath.Join("migration", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := shown.FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 5 {
		t.Errorf("the chapter shows %d files and differences", len(blocks))
	}
	for _, b := range blocks {
		if b[2] == "" {
			if file, err := os.ReadFile(filepath.Join("migration", b[1])); err != nil || string(file) != b[3] {
				t.Errorf("%s is shown differently, error %v", b[1], err)
			}
			continue
		}
		cmd := exec.CommandContext(ctx, "diff", "-U", "1", b[1], b[2])
		cmd.Dir = "migration"
		out, err := cmd.Output()
		if exit, differ := errors.AsType[*exec.ExitError](err); !differ || exit.ExitCode() != 1 {
			t.Fatalf("diff %s %s: %v", b[1], b[2], err)
		}
		if want := withoutComments(string(out)); want != b[3] {
			t.Errorf("the difference from %s to %s is shown differently; it is\n%s", b[1], b[2], want)
		}
	}
	files, err := filepath.Glob(filepath.Join("migration", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	configs, err := filepath.Glob(filepath.Join("migration", "*.caddyfile"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, configs...) {
		if name, _ := filepath.Rel("migration", file); filepath.Base(file) != "package.json" && !strings.Contains(string(text), "("+name+")") {
			t.Errorf("the chapter has no link to %s", name)
		}
	}
}

// header matches the lines of a difference that say which files it is of, and the places.
var header = regexp.MustCompile(`(?m)^(--- |\+\+\+ |@@ ).*\n`)

// withoutComments returns a difference without its first part, which is that of the files'
// first comments, and without what the chapter does not show of the others.
func withoutComments(diff string) string {
	parts := regexp.MustCompile(`(?m)^@@ .*\n`).Split(diff, -1)
	return header.ReplaceAllString(strings.Join(parts[2:], "...\n"), "")
}
