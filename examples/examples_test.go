//go:build examples

package examples_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/scribegate/scribegate/examples/internal/sender"
)

// Synthetic secrets, used only in these tests.
const (
	soapnoteSecret = "whsec_c3ludGhldGljLXNvYXBub3RlLXNlY3JldA"
	sonioxSecret   = "synthetic-soniox-secret"
	signingSecret  = "whsec_c3ludGhldGljLXNpZ25pbmctc2VjcmV0LTAx"
	otherSecret    = "whsec_c3ludGhldGljLXNpZ25pbmctc2VjcmV0LTAy"
)

// secrets are the environment variables of the example configurations and backends.
var secrets = []string{
	"SOAPNOTE_SECRET=" + soapnoteSecret,
	"SONIOX_WEBHOOK_SECRET=" + sonioxSecret,
	"SCRIBEGATE_SIGNING_SECRET=" + signingSecret,
}

// receivers are the example backends as upstreams of the gateway in TestBackends.
var receivers = []struct {
	name, folder, format string
}{
	{"go-structured", "go", "structured"},
	{"go-binary", "go", "binary"},
	{"express-structured", "express", "structured"},
	{"express-binary", "express", "binary"},
	{"flask-structured", "flask", "structured"},
	{"flask-binary", "flask", "binary"},
	{"express-postgres", "express-postgres", "structured"},
	{"fastapi-postgres", "fastapi-postgres", "structured"},
	{"express-soapnoteapi", "express-soapnoteapi", "raw"},
	{"flask-soapnoteapi", "flask-soapnoteapi", "raw"},
}

// TestBackends sends events through one gateway to all example backends, and then
// sends requests to each backend without the gateway, as a forger would.
func TestBackends(t *testing.T) {
	ctx := bounded(t)
	backends := make(map[string]*backend)
	server := startPostgres(t)
	for _, r := range receivers {
		backends[r.name] = prepare(ctx, t, r.folder).start(ctx, t, append(newDatabase(t, server, r.folder), secrets...)...)
	}

	port := ports(ctx, t, 1)[0]
	config := filepath.Join(t.TempDir(), "gateway.caddyfile")
	write(t, config, gatewayFor(port, backends))
	gateway := startGateway(ctx, t, config, secrets...)
	events := sendEvents(ctx, t, "http://127.0.0.1:"+port)
	if err := gateway.WaitIdle(ctx); err != nil {
		t.Fatal(err)
	}

	var table bytes.Buffer
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "backend\tformat\tevent\tid\tattempt\ttimes")
	for _, r := range receivers {
		t.Run(r.name, func(t *testing.T) {
			b := backends[r.name]
			expected := expect(events, r.format)
			for _, want := range expected {
				if err := b.wait(ctx, "received", want.id); err != nil {
					t.Fatal(err)
				}
			}
			checkDirect(ctx, t, b, r.format, expected[0].id)
			if err := b.Stop(); err != nil { // after Stop, all its lines have been read
				t.Fatal(err)
			}

			got := b.arrivals()
			for _, want := range expected {
				times := count(got, "received", want.id)
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\n", r.name, r.format, want.event, want.id, want.attempt, times)
				if times != 1 || !slices.Contains(got, want) {
					t.Errorf("%+v was handled %d times, want exactly this once; the backend printed:\n%s", want, times, b.Tail(50))
				}
			}
			// The only other lines are those of checkDirect.
			received := slices.DeleteFunc(got, func(a arrival) bool { return a.word != "received" || strings.HasPrefix(a.id, "direct-") })
			if len(received) != len(expected) {
				t.Errorf("%d events were handled, want %d; the backend printed:\n%s", len(received), len(expected), b.Tail(50))
			}
		})
	}
	w.Flush()
	t.Logf("what each backend received\n%s", table.String())
}

// gatewayFor returns a Caddyfile with every backend as an upstream. Soniox's events
// go to the backends that do not verify SOAPNoteAPI's own signature.
func gatewayFor(port string, backends map[string]*backend) string {
	var upstreams, all, normalized strings.Builder
	for _, r := range receivers {
		fmt.Fprintf(&upstreams, "\t\tupstream %s %s/events {\n\t\t\tformat %s\n\t\t}\n", r.name, backends[r.name].url, r.format)
		fmt.Fprintf(&all, " %s", r.name)
		if r.format != "raw" {
			fmt.Fprintf(&normalized, " %s", r.name)
		}
	}
	return fmt.Sprintf(`{
	scribegate {
		signing_secret {env.SCRIBEGATE_SIGNING_SECRET}
%s	}
}

:%s {
	bind 127.0.0.1
	scribegate /soapnote soapnoteapi {
		secret {env.SOAPNOTE_SECRET}
		deliver_to%s
	}
	scribegate /soniox soniox {
		header Authorization "Bearer {env.SONIOX_WEBHOOK_SECRET}"
		deliver_to%s
	}
}
`, upstreams.String(), port, all.String(), normalized.String())
}

// sendEvents plays both providers and returns the ids of the events that were
// accepted, by their short types.
func sendEvents(ctx context.Context, t *testing.T, gateway string) map[string]string {
	t.Helper()
	now := time.Now()
	ids := make(map[string]string)
	for event, body := range map[string][]byte{
		"note.generated": sender.NoteGenerated("note-1", now),
		"note.failed":    sender.NoteFailed("note-2", now),
		"test":           sender.NoteTest(now),
	} {
		request, err := sender.SOAPNoteAPI(ctx, gateway+"/soapnote?clinic=7", soapnoteSecret, body, now)
		ids[event] = accepted(t, request, err)
	}
	request, err := sender.Soniox(ctx, gateway+"/soniox?user_id=123", "Authorization", "Bearer "+sonioxSecret,
		sender.Transcription("73d4357d-cad2-4338-a60d-ec6f2044f721", "completed"))
	ids["transcription.completed"] = accepted(t, request, err)
	return ids
}

func accepted(t *testing.T, request *http.Request, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	answer, err := sender.Send(request)
	if err != nil {
		t.Fatal(err)
	}
	if answer.Status != http.StatusOK || !answer.Received || answer.Duplicate || answer.ID == "" {
		t.Fatalf("the gateway answers %+v, want 200 and an id", answer)
	}
	return answer.ID
}

// expect returns what a backend should print about the events. The test event goes
// to no upstream, since none has it in `events`; Soniox's event goes to no raw one.
func expect(ids map[string]string, format string) []arrival {
	if format == "raw" {
		return []arrival{
			{"received", "note.generated", ids["note.generated"], 1},
			{"received", "note.failed", ids["note.failed"], 1},
		}
	}
	return []arrival{
		{"received", "com.soapnoteapi.note.generated", ids["note.generated"], 1},
		{"received", "com.soapnoteapi.note.failed", ids["note.failed"], 1},
		{"received", "com.soniox.transcription.completed", ids["transcription.completed"], 1},
	}
}

func count(all []arrival, word, id string) int {
	n := 0
	for _, a := range all {
		if a.word == word && a.id == id {
			n++
		}
	}
	return n
}

// TestBackendsRefuseToStartWithoutASecret checks that no backend accepts unsigned requests.
func TestBackendsRefuseToStartWithoutASecret(t *testing.T) {
	ctx := bounded(t)
	folders, err := os.ReadDir("backends")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		t.Run(folder.Name(), func(t *testing.T) {
			variable := "SCRIBEGATE_SIGNING_SECRET"
			if strings.HasSuffix(folder.Name(), "-soapnoteapi") {
				variable = "SOAPNOTE_SECRET"
			}
			p, err := prepare(ctx, t, folder.Name()).launch(t)
			if err != nil {
				t.Fatal(err)
			}
			if url, err := p.WaitURL(ctx); err == nil {
				t.Errorf("it listens on %s", url)
			} else if !strings.Contains(err.Error(), variable) || !strings.Contains(err.Error(), "exit status 1") {
				t.Errorf("error %v, want exit status 1 and the name %s", err, variable)
			}
		})
	}
}
