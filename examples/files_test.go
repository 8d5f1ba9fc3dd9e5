//go:build examples

package examples_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/examples/internal/sender"
	"github.com/scribegate/scribegate/examples/providers/standin"
)

// An exampleFile is a configuration, and how it should handle a note, a test event
// and a transcription.
type exampleFile struct {
	name         string
	soapnotePath string // "" if it receives nothing from SOAPNoteAPI
	sonioxHeader string // "" if it receives nothing from Soniox
	sonioxScheme string // before the secret
	fetches      bool   // whether it asks Soniox's API for transcripts, and for missed ones
	deletes      bool   // whether it deletes what was delivered at Soniox
	console      bool   // whether it has a console
	answer       int    // to a genuine request
	backends     []exampleBackend
}

// An exampleBackend is a Go backend that a configuration delivers to.
type exampleBackend struct {
	port   string // the variable with the port
	secret string // the variable with the signing secret
	value  string // the signing secret
	events []string
}

const (
	generated     = "com.soapnoteapi.note.generated"
	test          = "com.soapnoteapi.test"
	transcription = "com.soniox.transcription.completed"
)

var exampleFiles = []exampleFile{
	{
		name: "minimal.caddyfile", soapnotePath: "/soapnote", sonioxHeader: "Authorization", sonioxScheme: "Bearer ", answer: 200,
		backends: []exampleBackend{{"BACKEND_PORT", "SCRIBEGATE_SIGNING_SECRET", signingSecret, []string{generated, transcription}}},
	},
	{
		name: "config.json", soapnotePath: "/soapnote", sonioxHeader: "Authorization", sonioxScheme: "Bearer ", answer: 200,
		backends: []exampleBackend{{"BACKEND_PORT", "SCRIBEGATE_SIGNING_SECRET", signingSecret, []string{generated, transcription}}},
	},
	{
		name: "two-backends.caddyfile", soapnotePath: "/soapnote", sonioxHeader: "Authorization", sonioxScheme: "Bearer ", answer: 200,
		backends: []exampleBackend{
			{"EHR_PORT", "EHR_SIGNING_SECRET", signingSecret, []string{generated}},
			{"WAREHOUSE_PORT", "WAREHOUSE_SIGNING_SECRET", otherSecret, []string{generated, transcription}},
		},
	},
	{
		name: "checkpoint.caddyfile", soapnotePath: "/hooks/soapnote", answer: 204,
		backends: []exampleBackend{{"BACKEND_PORT", "SCRIBEGATE_SIGNING_SECRET", signingSecret, []string{generated, test}}},
	},
	{
		name: "transcripts.caddyfile", sonioxHeader: "Authorization", sonioxScheme: "Bearer ", fetches: true, answer: 200,
		backends: []exampleBackend{{"BACKEND_PORT", "SCRIBEGATE_SIGNING_SECRET", signingSecret, []string{transcription, transcription}}},
	},
	{
		name: "full.caddyfile", soapnotePath: "/soapnote", sonioxHeader: "X-Webhook-Secret", fetches: true, deletes: true, console: true, answer: 200,
		backends: []exampleBackend{
			{"EHR_PORT", "SCRIBEGATE_SIGNING_SECRET", signingSecret, []string{generated, test, transcription, transcription}},
			{"W1_PORT", "WAREHOUSE_SIGNING_SECRET", otherSecret, []string{generated, transcription, transcription}},
		},
	},
}

// A running is an exampleFile whose gateway and backends run.
type running struct {
	exampleFile
	gateway   string // URL
	console   string // URL; "" if there is none
	providers *standin.Server
	missed    string // the id of a transcription whose webhook the gateway did not receive
	backends  []*backend
	logs      func() string // stops everything and returns the gateway's whole log
}

// startProviders starts the stand-in for the providers' APIs. It returns the variables with
// its address and keys, too.
func startProviders(t *testing.T) (providers *standin.Server, env []string) {
	t.Helper()
	providers = standin.New(standin.Options{})
	api := httptest.NewServer(providers)
	t.Cleanup(func() {
		providers.Close()
		api.Close()
	})
	return providers, []string{
		"SONIOX_API=" + api.URL, "SONIOX_API_KEY=" + standin.SonioxKey,
		"SOAPNOTE_API=" + api.URL, "SOAPNOTE_API_KEY=" + standin.SOAPNoteKey,
	}
}

// start starts the backends, and a gateway with the text that change returns for the
// text of the configuration file.
func (f exampleFile) start(ctx context.Context, t *testing.T, goKit kit, change func(string) string) running {
	t.Helper()
	port, dir := ports(ctx, t, 3), t.TempDir()
	access := filepath.Join(dir, "access.log")
	providers, apis := startProviders(t)
	env := append(apis,
		"PORT="+port[0], "W2_PORT="+port[1], "CONSOLE_PORT="+port[2], "QUEUE="+filepath.Join(dir, "queue.db"), "ACCESS_LOG="+access,
		"SCRIBEGATE_KEY=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		"SOAPNOTE_SECRET="+soapnoteSecret, "SONIOX_WEBHOOK_SECRET="+sonioxSecret)
	p := running{exampleFile: f, gateway: "http://127.0.0.1:" + port[0], providers: providers}
	if f.console {
		p.console = "http://127.0.0.1:" + port[2]
	}
	p.missed = providers.AddTranscription(standin.Transcription{
		WebhookURL: "https://hooks.example.com/soniox" + query, WebhookStatusCode: http.StatusBadGateway,
	})
	addresses := append(make([]string, 0, 2+2*len(f.backends)), "127.0.0.1:8080", "127.0.0.1:"+port[0]) // JSON has no {$PORT}
	for _, eb := range f.backends {
		b := goKit.start(ctx, t, "SCRIBEGATE_SIGNING_SECRET="+eb.value)
		p.backends = append(p.backends, b)
		address, err := url.Parse(b.url)
		if err != nil {
			t.Fatal(err)
		}
		env = append(env, eb.port+"="+address.Port(), eb.secret+"="+eb.value)
		addresses = append(addresses, "127.0.0.1:9000", address.Host)
	}

	config := f.name
	text, err := os.ReadFile(f.name)
	if err != nil {
		t.Fatal(err)
	}
	changed := string(text)
	if filepath.Ext(f.name) == ".json" {
		changed = strings.NewReplacer(addresses...).Replace(changed)
	}
	if changed = change(changed); changed != string(text) {
		config = filepath.Join(dir, f.name)
		write(t, config, changed)
	}
	gateway := startGateway(ctx, t, config, env...)
	p.logs = func() string {
		if err := gateway.Stop(); err != nil {
			t.Error(err)
		}
		for _, b := range p.backends {
			if err := b.Stop(); err != nil {
				t.Error(err)
			}
		}
		all := strings.Join(gateway.Lines(), "\n")
		if written, err := os.ReadFile(access); err == nil {
			all += string(written)
		}
		return all
	}
	return p
}

// query is a query string that must not be in a log.
const query = "?clinic=query-of-a-patient&user_id=query-of-a-patient"

// play sends the requests and waits until the backends have received their events.
func (p running) play(ctx context.Context, t *testing.T) {
	t.Helper()
	if p.soapnotePath != "" {
		p.playSOAPNoteAPI(ctx, t)
	}
	if p.sonioxHeader != "" {
		body := sender.Transcription(p.providers.AddTranscription(standin.Transcription{}), "completed")
		request, err := sender.Soniox(ctx, p.gateway+"/soniox"+query, p.sonioxHeader, p.sonioxScheme+sonioxSecret, body)
		p.expect(t, request, err, p.answer)
		request, err = sender.Soniox(ctx, p.gateway+"/soniox"+query, p.sonioxHeader, p.sonioxScheme+"guessed", body)
		p.expect(t, request, err, http.StatusUnauthorized)
		if got := get(ctx, t, p.gateway+"/soapnot"); got != http.StatusNotFound {
			t.Errorf("a path without a webhook is answered %d, want 404", got)
		}
	} else if got := get(ctx, t, p.gateway+"/healthz"); got != http.StatusOK {
		t.Errorf("the backend's own path is answered %d, want 200 from the backend", got)
	}
	if p.console != "" {
		if got := get(ctx, t, p.console); got != http.StatusOK {
			t.Errorf("the console is answered %d, want 200", got)
		}
	}

	for i, eb := range p.exampleFile.backends {
		times := make(map[string]int)
		for _, event := range eb.events {
			times[event]++
			left := times[event]
			_, err := p.backends[i].WaitLine(ctx, event, func(line string) bool {
				if strings.HasPrefix(line, "received "+event+" ") {
					left--
				}
				return left == 0
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

func (p running) playSOAPNoteAPI(ctx context.Context, t *testing.T) {
	t.Helper()
	now := time.Now()
	for _, body := range [][]byte{sender.NoteGenerated("note-1", now), sender.NoteTest(now)} {
		request, err := sender.SOAPNoteAPI(ctx, p.gateway+p.soapnotePath+query, soapnoteSecret, body, now)
		p.expect(t, request, err, p.answer)
	}
	request, err := sender.SOAPNoteAPI(ctx, p.gateway+p.soapnotePath+query, otherSecret, sender.NoteGenerated("note-2", now), now)
	p.expect(t, request, err, http.StatusUnauthorized)
}

func (p running) expect(t *testing.T, request *http.Request, err error, status int) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	answer, err := sender.Send(request)
	if err != nil {
		t.Fatal(err)
	}
	if answer.Status != status {
		t.Errorf("%s is answered %+v, want %d", request.URL.Path, answer, status)
	}
}

// get returns the status of a GET.
func get(ctx context.Context, t *testing.T, target string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode
}

// waitDeleted waits until the missed transcription is deleted at Soniox.
func (p running) waitDeleted(ctx context.Context, t *testing.T) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, kept := p.providers.Transcription(p.missed); !kept {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waiting until a transcription is deleted: %v", context.Cause(ctx))
		}
	}
}

func unchanged(text string) string { return text }

// TestFiles runs every example configuration without changes.
func TestFiles(t *testing.T) {
	ctx := bounded(t)
	goKit := prepare(ctx, t, "go")
	for _, f := range exampleFiles {
		t.Run(f.name, func(t *testing.T) {
			p := f.start(ctx, t, goKit, unchanged)
			p.play(ctx, t)
			if f.deletes {
				p.waitDeleted(ctx, t)
			}
			checkLogs(t, p.logs())
			if _, kept := p.providers.Transcription(p.missed); kept == f.deletes {
				t.Errorf("whether the transcription is kept at Soniox: %v, want %v", kept, !f.deletes)
			}
			if fetched := p.providers.Count(standin.GetTranscript) > 0; fetched != f.fetches {
				t.Errorf("whether a transcript was fetched: %v, want %v", fetched, f.fetches)
			}
			for i, eb := range f.backends {
				var got []string
				for _, a := range p.backends[i].arrivals() {
					got = append(got, a.event)
				}
				slices.Sort(got)
				if want := slices.Sorted(slices.Values(eb.events)); !slices.Equal(got, want) {
					t.Errorf("the backend at %s received %q, want %q", eb.port, got, want)
				}
				t.Logf("%s: the backend at %s received %s", f.name, eb.port, strings.Join(got, ", "))
			}
		})
	}
}

// TestLogsWithDebugAndTrace runs the configurations with all logging that Caddy has,
// and checks that their filters remove what must not be logged.
func TestLogsWithDebugAndTrace(t *testing.T) {
	ctx := bounded(t)
	goKit := prepare(ctx, t, "go")
	for _, f := range exampleFiles {
		if filepath.Ext(f.name) == ".json" {
			continue // it is equal to minimal.caddyfile, see TestJSONIsMinimal
		}
		t.Run(f.name, func(t *testing.T) {
			p := f.start(ctx, t, goKit, func(text string) string {
				return strings.Replace(text, "\n{\n", "\n{\n\tdebug\n\tservers {\n\t\ttrace\n\t}\n", 1)
			})
			p.play(ctx, t)
			logs := p.logs()
			checkLogs(t, logs)
			if !strings.Contains(logs, `"level":"debug"`) {
				t.Error("nothing was logged at the level debug, so nothing was tested")
			}
		})
	}
}

// checkLogs fails the test if the log contains a secret, a signature, a query string
// or a payload, or if it contains no access log.
func checkLogs(t *testing.T, logs string) {
	t.Helper()
	if !strings.Contains(logs, "handled request") {
		t.Error("no request was logged, so nothing was tested")
	}
	for _, secret := range []string{
		strings.TrimPrefix(soapnoteSecret, "whsec_"), sonioxSecret, "guessed",
		strings.TrimPrefix(signingSecret, "whsec_"), strings.TrimPrefix(otherSecret, "whsec_"),
		"query-of-a-patient", "Signature", "sore throat", "dry cough", "v1,", standin.SonioxKey, standin.SOAPNoteKey,
	} {
		for line := range strings.Lines(logs) {
			if strings.Contains(line, secret) {
				t.Errorf("%q is in the log: %s", secret, line)
				break
			}
		}
	}
}

// TestJSONIsMinimal checks that config.json is equal to the adapted minimal.caddyfile.
func TestJSONIsMinimal(t *testing.T) {
	ctx := bounded(t)
	text, err := os.ReadFile("config.json")
	if err != nil {
		t.Fatal(err)
	}
	var got, want any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	adapted := run(ctx, t, ".", caddy(t), "adapt", "--config", "minimal.caddyfile", "--adapter", "caddyfile")
	if err := json.Unmarshal(adapted, &want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("config.json differs from the adapted minimal.caddyfile:\n%s", adapted)
	}
}

// TestFormat checks that the Caddyfiles are formatted with `caddy fmt`.
func TestFormat(t *testing.T) {
	ctx := bounded(t)
	files, err := filepath.Glob("*.caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	below, err := filepath.Glob(filepath.Join("*", "*.caddyfile"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, below...) {
		run(ctx, t, ".", caddy(t), "fmt", file) // exits with 1 if it would change something
	}
}
