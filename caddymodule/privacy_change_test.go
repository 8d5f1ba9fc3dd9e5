package caddymodule

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
	"github.com/scribegate/scribegate/caddymodule/internal/notify"
)

// reloaded are configurations that cannot be loaded, sent to the admin API.
func (s *privateSite) reloaded(seen evidence) {
	s.t.Helper()
	config := s.config("sqlite")
	for _, change := range [][2]string{
		{"{env.PLANTED_KEY}", "{env.PLANTED_NO_KEY}"},
		{"{env.PLANTED_KEY} {file.SECRETS/older-key}", "{env.PLANTED_OTHER_KEY}"},
		{"{env.PLANTED_SIGNING}", "{env.PLANTED_NO_KEY}"},
		{"{env.PLANTED_OWN_SIGNING}", "{env.PLANTED_TOKEN}"},
		{"https://BLABBER/", "{env.PLANTED_NO_URL}"},
		{"https://BLABBER/", "{env.PLANTED_TOKEN}"},
		{"{file.SECRETS/soapnote}", "{env.PLANTED_SOAPNOTE}{file.SECRETS/none}{"},
		{"X-Webhook-Secret {env.PLANTED_SONIOX}", "X-Webhook-Secret {env.PLANTED_SONIOX}{query.x}"},
		{"secret {env.PLANTED_SOAPNOTE}\n", "secret {env.NOT_SET} {file.SECRETS/none}\n"},
		{"deliver_to good\n", "deliver_to nobody\n"},
		{"api_key {env.PLANTED_API_KEY}", "api_key {env.PLANTED_API_KEY}{file.SECRETS/none}{"},
		{"api_base http://", "api_base {env.PLANTED_NO_URL} #"},
		{"api_base http://", "api_base {env.PLANTED_API_KEY} #"},
		{"webhook_url http://", "webhook_url {env.PLANTED_NO_URL} #"},
		{"webhook_url http://", "webhook_url {env.PLANTED_API_KEY} #"},
	} {
		for i := range change {
			change[i] = strings.NewReplacer("SECRETS", s.secrets, "BLABBER", s.blabber.address).Replace(change[i])
		}
		mistaken := strings.Replace(config, change[0], change[1], 1)
		r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, "http://"+s.admin+"/load", strings.NewReader(mistaken))
		if err != nil {
			s.t.Fatal(err)
		}
		r.Header.Set("Content-Type", "text/caddyfile")
		got := do(s.t, r)
		if mistaken == config || got.status < 400 {
			s.t.Errorf("with %s in place of %s: %d %s", change[1], change[0], got.status, got.body)
		}
		seen.add("the answer to a configuration with a mistake", got.body)
	}
}

// rotated has a secret's file change, go missing, and come back.
func (s *privateSite) rotated() {
	s.t.Helper()
	next := "whsec_" + s.place("the next of SOAPNoteAPI's secrets")
	s.soapnotes = append(s.soapnotes, next)
	status := func(n int) int {
		time.Sleep(50 * time.Millisecond) // lest there are hundreds of requests until it is seen
		return s.sendAll(false, []*http.Request{s.soapnote("/soapnote", s.patient(n), signed(next, 0))})[0].status
	}
	s.secretFile("soapnote", next)
	eventually(s.t, "the next secret to be in force", func() bool { return status(30) == http.StatusOK })
	if err := os.Remove(filepath.Join(s.secrets, "soapnote")); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "the missing secret to be logged", func() bool {
		return status(31) == http.StatusOK && strings.Contains(fileText(s.t, filepath.Join(s.dir, "unfiltered.log")), "a secret's file cannot be used")
	})
}

// allowed reads payloads with the configuration's leave: they are there, and the
// search finds them.
func (s *privateSite) allowed() {
	s.t.Helper()
	s.load(strings.Replace(s.config("sqlite"), "signing_secret", "admin_payloads\n\t\tsigning_secret", 1))
	s.allowedResults(s.command("export", "--payloads").Out)
	id := soapnoteID(s.patient(2))
	for where, content := range map[string]string{
		"the admin API": s.ask(http.MethodGet, "/scribegate/events/"+id+"/payload", "").body,
		"show":          s.command("show", id, "--payload").Out,
		"export":        s.command("export", "--payloads").Out,
	} {
		for _, what := range []string{"patient text", "a note_id", "a query value", "a file name in data"} {
			if s.found([]byte(content))[what] == "" {
				s.t.Errorf("%s: there is no %s in a payload that may be read: %.300s", where, what, content)
			}
		}
	}
}

// recovered has the blabber take what comes, and dead events delivered again.
func (s *privateSite) recovered() {
	s.t.Helper()
	s.blabber.recover()
	s.object(http.MethodPost, "/scribegate/replay", `{"dead":true}`)
	eventually(s.t, "an upstream to be resumed", func() bool { return len(heardOf(notify.UpstreamResumed)) > 0 })
}

// unwritable has events come while the queue cannot be written, and while it
// answers nothing.
func (s *privateSite) unwritable(seen evidence) {
	s.t.Helper()
	shorten(s.t, &storeTimeout, 300*time.Millisecond)
	s.load(s.config("gated"))
	full := errors.New("no space left on device")
	for _, fails := range []error{full, nil} {
		release := storeGate.shut(fails)
		gateway.Current().Queue().(*gated).onFailure(fails)
		for _, a := range s.sendAll(false, []*http.Request{s.soapnote("/soapnote", s.patient(40)), s.soniox("/soniox", s.spoken(40)), s.soapnote("/soapnote", s.place("text that is no JSON"))}) {
			if a.status != http.StatusServiceUnavailable && a.status != http.StatusBadRequest {
				s.t.Errorf("%s: %d %s although the queue takes nothing", a.URL.Path, a.status, a.body)
			}
		}
		seen.add("the admin API at /scribegate/health/ready", s.ask(http.MethodGet, "/scribegate/health/ready", "").body)
		release()
	}
}

func (s *privateSite) load(config string) {
	s.t.Helper()
	adapted, err := adapt(config)
	if err == nil {
		err = caddy.Load(adapted, true)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	http.DefaultClient.CloseIdleConnections()
}

// after is what is left once Caddy has stopped: the queue read from its file,
// with keys and with none that fits.
func (s *privateSite) after(seen evidence) {
	s.t.Helper()
	path := filepath.Join(s.dir, "sqlite.db")
	older := "{file." + s.secrets + "/older-key}"
	for _, args := range [][]string{
		{}, {"--json"}, {"--payloads"}, {"--payloads", "--encryption-key", "{env.PLANTED_OTHER_KEY}"}, {"--payloads", "--encryption-key", older},
	} {
		r := commandtest.Run(s.t, "", append([]string{"export", "--path", path}, args...)...)
		seen.add("the command export of a file", r.Out+r.ErrOut)
	}
	r := commandtest.Run(s.t, "", "export", "--path", path, "--payloads", "--encryption-key", "{env.PLANTED_KEY}")
	if s.found([]byte(r.Out))["patient text"] == "" {
		s.t.Errorf("there is no payload in an export with the right key: %.300s %s", r.Out, r.ErrOut)
	}
	for _, wrong := range []string{"{env.PLANTED_OTHER_KEY}", "{env.PLANTED_NO_KEY}"} {
		config := strings.Replace(s.config("sqlite"), "{env.PLANTED_KEY} {file."+s.secrets+"/older-key}", wrong, 1)
		adapted, err := adapt(config)
		if err == nil {
			err = caddy.Load(adapted, true)
		}
		if err == nil {
			s.t.Fatalf("the queue opens with %s", wrong)
		}
		seen.add("the error of a start with a wrong key", err.Error())
	}
}
