package caddymodule

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
)

const (
	reportsMissing  = "events for a raw upstream wait, since the handler that received them is no longer configured"
	reportsConflict = "events for a raw upstream wait, since handlers with the same provider, source and header have different secrets"
)

// sonioxHandler is a handler of Soniox at a path.
func sonioxHandler(path, value, options string) string {
	return "scribegate " + path + " soniox {\nheader " + sonioxHeader + " " + value + "\n" + options + "\n}\n"
}

// rawTo are upstreams with the format raw, by their names and URLs.
func rawTo(pairs ...string) string {
	app := captureInfo + "scribegate {\nQUEUE\n"
	for i := 0; i < len(pairs); i += 2 {
		app += "upstream " + pairs[i] + " " + pairs[i+1] + " {\nformat raw\nretry 50ms\n}\n"
	}
	return app + "}"
}

// spoken makes the request of an account of Soniox with a secret of its own.
func (s *site) spoken(path, value, id string) *http.Request {
	r := s.soniox(path, transcription(id))
	r.Header.Set(sonioxHeader, value)
	return r
}

// secretsOf are the values of the secret header that a backend got.
func secretsOf(b *backend) (values []string) {
	for _, d := range b.deliveries() {
		values = append(values, d.header.Values(sonioxHeader)...)
	}
	return values
}

// Each raw upstream is sent the secret of the handler that received the event,
// and of no other, also where two have one header and one upstream.
func TestCredentialOfItsHandler(t *testing.T) {
	t.Setenv("SONIOX_A", "secret-of-account-a")
	t.Setenv("SONIOX_B", "secret-of-account-b")
	for range 5 { // what depends on the order of a map shows sooner or later
		s, a, b := newSite(t), newBackend(t), newBackend(t)
		s.load(rawTo("a", a.URL, "b", b.URL),
			sonioxHandler("/a", "{env.SONIOX_A}", "source urn:a\ndeliver_to a b")+sonioxHandler("/b", "{env.SONIOX_B}", "deliver_to b"))
		do(t, s.spoken("/a", "secret-of-account-a", "one")).id(t)
		a.wait(t, 1)
		b.wait(t, 1)
		do(t, s.spoken("/b", "secret-of-account-b", "two")).id(t)
		b.wait(t, 2)
		if got := fmt.Sprint(secretsOf(a), secretsOf(b)); got != "[secret-of-account-a] [secret-of-account-a secret-of-account-b]" {
			t.Errorf("the backends got %s", got)
		}
	}
}

// While the handler that received an event is not configured, the event waits. It
// is not sent with the secret of another one, uses no attempt, pauses nothing and
// holds nothing up, and goes out when the handler is back.
func TestCredentialOfAMissingHandler(t *testing.T) {
	t.Setenv("SONIOX_A", "secret-of-account-a")
	t.Setenv("SONIOX_B", "secret-of-account-b")
	captured.reset()
	s, lab := newSite(t), newBackend(t)
	lab.respond(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	handlerA, handlerB := sonioxHandler("/a", "{env.SONIOX_A}", "source urn:a\ndeliver_to lab"), sonioxHandler("/b", "{env.SONIOX_B}", "source urn:b\ndeliver_to lab")
	app := strings.Replace(rawTo("lab", lab.URL), "retry 50ms", "retry 1s 1h", 1)
	s.load(app, handlerA+handlerB)
	id := do(t, s.spoken("/a", "secret-of-account-a", "waits")).id(t)
	settled(t, id, 1) // and due again within a second
	lab.respond(nil)
	s.load(app, handlerB)

	eventually(t, "the error", func() bool { return len(captured.with(t, reportsMissing)) > 0 })
	for i := range 20 {
		do(t, s.spoken("/b", "secret-of-account-b", fmt.Sprint("goes-", i))).id(t)
	}
	lab.wait(t, 21)
	line := captured.with(t, reportsMissing)[0]
	if line["level"] != "error" || line["upstream"] != "lab" || line["provider"] != "soniox" || line["source"] != "urn:a" || line["header"] != sonioxHeader {
		t.Errorf("line %v", line)
	}
	eventually(t, "all others to be settled", func() bool { return queued(t).Upstreams[0].Pending == 1 })
	now := queued(t).Upstreams[0]
	record, err := gateway.Current().Queue().Event(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if d := record.Deliveries[0]; now.Pending != 1 || now.Dead != 0 || now.InFlight != 0 || now.Paused || d.Attempts != 1 || d.Used != 1 {
		t.Errorf("status %+v, delivery %+v, want it to wait after the one attempt", now, d)
	}
	for _, value := range secretsOf(lab)[1:] {
		if value != "secret-of-account-b" {
			t.Errorf("the backend got %s", value)
		}
	}

	// The header's name may be written in another way.
	s.load(app, strings.Replace(handlerA, sonioxHeader, strings.ToLower(sonioxHeader), 1)+handlerB)
	got := lab.wait(t, 22)[21]
	if got.header.Get("Webhook-Id") != id || got.header.Get(sonioxHeader) != "secret-of-account-a" || got.header.Get("Scribegate-Attempt") != "2" {
		t.Errorf("delivered %v", got.header)
	}
	if n := len(captured.with(t, reportsMissing)); n > 2 {
		t.Errorf("reported %d times", n)
	}
	if strings.Contains(captured.String(), "secret-of-account") {
		t.Error("the log holds a secret")
	}
}

// An event waits for a raw upstream while its handler becomes a checkpoint, as on the way
// back from deliver_to: it is sent with the secret of the checkpoint.
func TestCredentialOfACheckpoint(t *testing.T) {
	t.Setenv("SONIOX_A", "secret-of-account-a")
	s, lab := newSite(t), newBackend(t)
	lab.respond(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	app := strings.Replace(rawTo("lab", lab.URL), "retry 50ms", "retry 1s 1h", 1)
	s.load(app, sonioxHandler("/a", "{env.SONIOX_A}", "deliver_to lab"))
	settled(t, do(t, s.spoken("/a", "secret-of-account-a", "waits")).id(t), 1)
	lab.respond(nil)
	s.load(app, sonioxHandler("/a", "{env.SONIOX_A}", "format raw"))
	lab.wait(t, 2)
	if got := fmt.Sprint(secretsOf(lab)); got != "[secret-of-account-a secret-of-account-a]" {
		t.Errorf("the backend got %s", got)
	}
}

// Two handlers that events do not distinguish are an error if a secret could be sent to the wrong
// backend, and validate finds it.
func TestMistakesAmongHandlers(t *testing.T) {
	t.Setenv("SONIOX_A", "secret-of-account-a")
	t.Setenv("SONIOX_B", "secret-of-account-b")
	raw := "upstream lab http://127.0.0.1:9000 {\nformat raw\n}\nupstream ehr http://127.0.0.1:9001\nupstream notes http://127.0.0.1:9002 {\nformat raw\nevents note.generated\n}"
	for name, c := range map[string]struct {
		site     string
		conflict bool
	}{
		"different values, both to raw":            {sonioxHandler("/a", "{env.SONIOX_A}", "deliver_to lab") + sonioxHandler("/b", "{env.SONIOX_B}", "deliver_to lab"), true},
		"different values, the first to raw":       {sonioxHandler("/a", "{env.SONIOX_A}", "deliver_to lab") + sonioxHandler("/b", "{env.SONIOX_B}", "deliver_to ehr"), true},
		"different values, the second to raw":      {sonioxHandler("/a", "{env.SONIOX_A}", "deliver_to ehr") + sonioxHandler("/b", "{env.SONIOX_B}", "deliver_to ehr lab"), true},
		"different values, a third to raw":         {sonioxHandler("/a", "{env.SONIOX_A}", "deliver_to ehr") + sonioxHandler("/b", "{env.SONIOX_B}", "deliver_to ehr") + sonioxHandler("/c", "{env.SONIOX_B}", "deliver_to lab"), true},
		"different values, one header":             {sonioxHandler("/a", "{env.SONIOX_A}", "deliver_to lab") + strings.ToLower(sonioxHandler("/b", "x", "deliver_to lab")), true},
		"the same first value by other names":      {sonioxHandler("/a", "{env.SONIOX_A}", "deliver_to lab") + sonioxHandler("/b", "secret-of-{env.ACCOUNT} {env.SONIOX_B}", "deliver_to lab"), false},
		"the first that is set":                    {sonioxHandler("/a", "{env.NOT_SET} {env.SONIOX_A}", "deliver_to lab") + sonioxHandler("/b", "{env.SONIOX_A}", "deliver_to lab"), false},
		"the same value":                           {sonioxHandler("/a", "{env.SONIOX_A}", "deliver_to lab") + sonioxHandler("/b", "{env.SONIOX_A}", "deliver_to lab"), false},
		"different values, none to raw":            {sonioxHandler("/a", "{env.SONIOX_A}", "deliver_to ehr") + sonioxHandler("/b", "{env.SONIOX_B}", "deliver_to ehr"), false},
		"different values, none of its types raw":  {sonioxHandler("/a", "{env.SONIOX_A}", "deliver_to notes ehr") + sonioxHandler("/b", "{env.SONIOX_B}", "deliver_to notes ehr"), false},
		"different values, all raw types dropped":  {sonioxHandler("/a", "{env.SONIOX_A}", "drop *\ndeliver_to lab") + sonioxHandler("/b", "{env.SONIOX_B}", "deliver_to ehr"), false},
		"different values and sources":             {sonioxHandler("/a", "{env.SONIOX_A}", "source urn:a\ndeliver_to lab") + sonioxHandler("/b", "{env.SONIOX_B}", "deliver_to lab"), false},
		"different values and headers":             {sonioxHandler("/a", "{env.SONIOX_A}", "deliver_to lab") + strings.Replace(sonioxHandler("/b", "{env.SONIOX_B}", "deliver_to lab"), sonioxHeader, "Authorization", 1), false},
		"different values, one of them checkpoint": {sonioxHandler("/a", "{env.SONIOX_A}", "deliver_to lab") + sonioxHandler("/b", "{env.SONIOX_B}", ""), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("ACCOUNT", "account-a")
			cfg, err := adapt("{\nscribegate {\n" + raw + "\n}\n}\nhttp://localhost:8080 {\n" + c.site + "}\n")
			if err != nil {
				t.Fatal(err)
			}
			err = validate(cfg)
			if (err != nil) != c.conflict {
				t.Fatalf("error %v, want one: %v", err, c.conflict)
			}
			if err == nil {
				return
			}
			logRow(t, "error", name, err.Error())
			for _, want := range []string{"header " + sonioxHeader, "https://soniox.com", "upstream lab has the format raw", "give one of the handlers a source of its own"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "secret-of") {
				t.Errorf("error %q quotes a secret", err)
			}
		})
	}
}

// Where files come to differ, events wait until they agree again.
func TestCredentialsThatComeToConflict(t *testing.T) {
	captured.reset()
	s, lab := newSite(t), newBackend(t)
	file := func(name string) string { return filepath.Join(s.dir, name) }
	write := func(name, value string) {
		if err := os.WriteFile(file(name), []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a", "secret-of-account-a")
	write("b", "secret-of-account-a")
	s.load(rawTo("lab", lab.URL), sonioxHandler("/a", "{file."+file("a")+"}", "deliver_to lab")+sonioxHandler("/b", "{file."+file("b")+"}", "deliver_to lab"))
	do(t, s.spoken("/a", "secret-of-account-a", "before")).id(t)
	lab.wait(t, 1)

	write("b", "secret-of-account-b")
	eventually(t, "the changed file to be in force", func() bool {
		return do(t, s.spoken("/b", "secret-of-account-b", fmt.Sprint("while-", time.Now().UnixNano()))).status == http.StatusOK
	})
	eventually(t, "the error", func() bool { return len(captured.with(t, reportsConflict)) == 1 })
	if line := captured.with(t, reportsConflict)[0]; line["level"] != "error" || line["upstream"] != "lab" || line["source"] != "https://soniox.com" || line["header"] != sonioxHeader {
		t.Errorf("line %v", line)
	}
	if n := len(lab.deliveries()); n != 1 {
		t.Errorf("%d deliveries, want none while the secrets differ", n-1)
	}

	write("a", "secret-of-account-b")
	got := lab.wait(t, 2)
	if value := got[1].header.Get(sonioxHeader); value != "secret-of-account-b" || got[1].header.Get("Scribegate-Attempt") != "1" {
		t.Errorf("delivered %v", got[1].header)
	}
	if n := len(captured.with(t, reportsConflict)); n != 1 {
		t.Errorf("reported %d times, want once", n)
	}
	if strings.Contains(captured.String(), "secret-of-account") {
		t.Error("the log holds a secret")
	}
}
