package caddymodule

import (
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/caddymodule/internal/adminapi"
	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/verifier"
)

// evidence is the output that an operator sees, by its source.
type evidence map[string][]byte

func (e evidence) add(where, what string) { e[where] = append(append(e[where], what...), '\n') }

// mustHold fails the test if an output lacks one of the contents: then something did not happen,
// and the test would miss what leaks with it.
func (e evidence) mustHold(t *testing.T, all map[string][]string) {
	t.Helper()
	for where, contents := range all {
		for _, content := range contents {
			if !strings.Contains(string(e[where]), content) {
				t.Errorf("%s: there is no %s, so that the test would miss what leaks with it", where, content)
			}
		}
	}
}

// asked is every question to the admin API, Caddy's own and wrong ones included,
// as long as it does not allow payloads.
func (s *privateSite) asked(seen evidence) {
	s.t.Helper()
	id := soapnoteID(s.patient(1))
	for _, path := range []string{
		"/config/", "/metrics", "/reverse_proxy/upstreams", "/debug/vars", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=2", "/scribegate/status", "/scribegate/health/live", "/scribegate/health/ready",
		"/scribegate/events?limit=1000&history=true", "/scribegate/events?state=dead&upstream=refusing", "/scribegate/events?state=quarantined",
		"/scribegate/events/" + id, "/scribegate/events/" + id + "/payload", "/scribegate/events/soapnoteapi-00/payload",
	} {
		seen.add("the admin API at "+path, s.ask(http.MethodGet, path, "").body)
	}
	// The answer may quote a mistyped value. The log may not: it has the path of a request, but
	// neither its query nor its body.
	mistyped := s.place("what an operator mistypes")
	for _, q := range [][3]string{
		{"GET", "/scribegate/events?state=" + mistyped, ""},
		{"GET", "/scribegate/events?upstream=" + mistyped, ""},
		{"GET", "/scribegate/events?cursor=" + mistyped, ""},
		{"GET", "/scribegate/events?limit=" + mistyped, ""},
		{"GET", "/scribegate/status?" + mistyped + "=1", ""},
		{"PUT", "/scribegate/status", mistyped},
		{"POST", "/scribegate/replay", mistyped},
		{"POST", "/scribegate/replay", `{"ids":["` + mistyped + `"]}`},
		{"POST", "/scribegate/replay", `{"since":"` + mistyped + `"}`},
		{"POST", "/scribegate/replay", `{"dead":true,"upstream":"` + mistyped + `"}`},
		{"POST", "/scribegate/purge", `{"` + mistyped + `":true}`},
		{"POST", "/scribegate/purge", `{"ids":["` + mistyped + `"]}`},
		{"POST", "/scribegate/purge", `{"dead":true,"before":"` + mistyped + `"}`},
		{"POST", "/scribegate/compact?" + mistyped, ""},
		{"POST", "/scribegate/compact", strings.Repeat(mistyped, adminapi.MaxSelection/len(mistyped)+1)},
	} {
		if got := s.ask(q[0], q[1], q[2]); got.status < 400 || got.status == http.StatusInternalServerError {
			s.t.Errorf("%s %.80s %.80s: %d %s", q[0], q[1], q[2], got.status, got.body)
		}
	}
	// Of an Origin the audit trail keeps what an origin has.
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, "http://"+s.admin+"/scribegate/replay", strings.NewReader(`{"since":"1h","upstream":"refusing"}`))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Origin", "http://user:"+s.place("a password in an Origin")+"@"+s.admin+"/"+s.place("a path in an Origin")+s.query())
	if got := do(s.t, r); got.status != http.StatusOK {
		s.t.Errorf("a replay from a site: %d %s", got.status, got.body)
	}
}

// typed is every command, as long as the admin API does not allow payloads.
func (s *privateSite) typed(seen evidence) {
	s.t.Helper()
	path := filepath.Join(s.dir, "sqlite.db")
	files, err := filepath.Glob(path + "*")
	if err != nil {
		s.t.Fatal(err)
	}
	for _, file := range files {
		seen.add("the queue.db, while the gateway runs", fileText(s.t, file))
	}
	if !slices.Contains(files, path+"-wal") {
		s.t.Errorf("the queue's files are %q, want one that ends with -wal among them", files)
	}
	id := soapnoteID(s.patient(1))
	wrong := s.soapnote("/soapnote", s.patient(1), set(verifier.SignatureHeader, strings.Repeat("0badf00d", 8)))
	signature, timestamp := wrong.Header.Get(verifier.SignatureHeader), wrong.Header.Get(verifier.TimestampHeader)
	right := verifier.Sign(s.soapnotes[0], timestamp, []byte(s.patient(1)))
	const soapnote, soniox = "{env.PLANTED_SOAPNOTE}", "{env.PLANTED_SONIOX}"
	for _, command := range []struct {
		stdin string
		args  []string
	}{
		{"", []string{"status"}},
		{"", []string{"events", "--limit", "1000"}},
		{"", []string{"show", id}},
		{"", []string{"show", id, "--payload"}},
		{"", append([]string{"recover", "soapnoteapi"}, s.notes...)},
		{"", []string{"recover", "soniox"}},
		{"", []string{"recover", "soniox", "--source", resultSource + "missed", "--dry-run"}},
		{"", []string{"recover", "soniox", "--source", resultSource + "blab-refusing"}},
		{"", []string{"recover", "soniox", "--source", resultSource + "blab-redirecting", "--prune", "1h"}},
		{"", []string{"recover", "soniox", "--source", resultSource + "pruned", "--prune", "1ms"}},
		{"", []string{"show", s.result("failed-strangely").id}},
		{"", []string{"show", s.result("transcript-409").id}},
		{"", []string{"show", s.result("asked-402").id}},
		{"", []string{"export"}},
		{"", []string{"export", "--payloads"}},
		{"", []string{"health"}},
		{"", []string{"replay", id}},
		{"", []string{"replay", id, "--upstream", "none"}},
		{"", []string{"replay", "--dead", "--upstream", "refusing"}},
		{"", []string{"purge", soapnoteID(s.place("text that is no JSON"))}},
		{"", []string{"compact"}},
		{"", []string{"keygen"}},
		{s.patient(20), []string{"send", "soapnoteapi", "--to", s.url + "/soapnote" + s.query(), "--secret", soapnote, "--file", "-"}},
		{s.place("text that is no JSON"), []string{"send", "soapnoteapi", "--to", s.url + "/soapnote" + s.query(), "--secret", soapnote, "--file", "-"}},
		{s.patient(21), []string{"send", "soapnoteapi", "--to", "http://user:" + s.place("an upstream's password") + "@" + s.away + "/" + s.query(), "--secret", soapnote, "--file", "-"}},
		{s.patient(21), []string{"send", "soapnoteapi", "--to", "http://" + s.blabber.address + "/url/echo" + s.query(), "--secret", soapnote, "--file", "-"}},
		{s.patient(21), []string{"send", "soapnoteapi", "--to", "http://" + s.blabber.address + "/url/failing" + s.query(), "--secret", soapnote, "--file", "-"}},
		{s.spoken(20), []string{"send", "soniox", "--to", s.url + "/soniox" + s.query(), "--header", "Authorization: Bearer " + soniox, "--file", "-"}},
		{s.spoken(20), []string{"send", "soniox", "--to", s.url + "/soniox" + s.query(), "--header", "Authorization: " + soniox, "--file", "-"}},
		{s.patient(1), []string{"verify", "soapnoteapi", "--secret", soapnote, "--signature", signature, "--timestamp", timestamp}},
		{s.patient(1), []string{"verify", "soapnoteapi", "--secret", soapnote, "--signature", right, "--timestamp", timestamp}},
		{s.patient(1) + " ", []string{"verify", "soapnoteapi", "--secret", soapnote, "--signature", right, "--timestamp", timestamp}},
		{s.patient(1), []string{"verify", "soapnoteapi", "--secret", soapnote, "--signature", s.place("a signature that is none"), "--timestamp", s.place("a timestamp")}},
		{s.spoken(1), []string{"verify", "soniox", "--secret", soniox, "--header", "Authorization: Bearer " + soniox}},
		{s.place("text that is no JSON"), []string{"verify", "soniox", "--secret", soniox, "--header", "Authorization: " + soniox}},
		{s.patient(1), []string{"verify", "soapnoteapi", "--secret", "{env.PLANTED_SOAPNOTE} {" + s.place("a wrong placeholder") + "}", "--signature", right, "--timestamp", timestamp}},
		{"", []string{"export", "--path", filepath.Join(s.dir, "sqlite.db"), "--payloads", "--encryption-key", "{env.PLANTED_NO_KEY}"}},
	} {
		for _, form := range [][]string{nil, {"--json"}} {
			args := append(command.args, form...)
			switch args[0] {
			case "send", "verify", "keygen":
			default:
				if args[1%len(args)] != "--path" {
					args = append(args, "--address", s.admin)
				}
			}
			r := commandtest.Run(s.t, command.stdin, args...)
			seen.add("the command "+args[0], r.Out+r.ErrOut)
			if r.Err != nil {
				seen.add("the command "+args[0], r.Err.Error())
			}
		}
	}
}
