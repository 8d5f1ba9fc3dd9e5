package caddymodule

import (
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// aliceHash is the hash of the password "correct horse", with the lowest cost.
const aliceHash = "$2a$04$xzvDGazwUbHoqel/h1goguNDcAHSls3fYv9.ig21X8rXm7/yxumly"

const basicAuth = "basic_auth {\nalice " + aliceHash + "\n}\n"

// loadConsole runs a site of any Host with the console, beside an app with one upstream.
func (s *site) loadConsole(global, block string) {
	s.t.Helper()
	app := "\tscribegate {\n\t\tQUEUE\n\t\tupstream ehr http://127.0.0.1:9\n\t}\n"
	config := s.caddyfile(global+app, block)
	if err := s.run(strings.Replace(config, "http://127.0.0.1:"+s.port+" {", "http://:"+s.port+" {", 1)); err != nil {
		s.t.Fatal(err)
	}
}

// get makes a request for a page.
func (s *site) get(path string, header ...string) *http.Request {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.GetBody = func() (io.ReadCloser, error) { return http.NoBody, nil } // so that do sends it again
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		if r.Header.Set(name, value); name == "Host" {
			r.Host = value
		}
	}
	return r
}

func asAlice(r *http.Request) *http.Request {
	r.SetBasicAuth("alice", "correct horse")
	return r
}

// opened checks that a request is answered with a page of the console, or is refused with a
// reason.
func opened(t *testing.T, got reply, refusal string) {
	t.Helper()
	switch {
	case refusal == "" && got.status != http.StatusOK:
		t.Errorf("status %d, want the console:\n%s", got.status, got.body)
	case refusal != "" && (got.status != http.StatusForbidden || !strings.Contains(got.body, refusal)):
		t.Errorf("status %d, want 403 with %q:\n%s", got.status, refusal, got.body)
	}
	if got.header.Get("Cache-Control") != "no-store" || !strings.HasPrefix(got.header.Get("Content-Security-Policy"), "default-src 'none'; ") {
		t.Errorf("the answer's headers are %v", got.header)
	}
}

func TestConsoleOnLoopback(t *testing.T) {
	s := newSite(t)
	s.loadConsole("\tservers {\n\t\ttrusted_proxies static 127.0.0.1\n\t}\n", "scribegate_console {\nallow_loopback\n}")
	for _, host := range []string{"localhost:" + s.port, "127.0.0.1:" + s.port, "[::1]:" + s.port, "LOCALHOST"} {
		opened(t, do(t, s.get("/", "Host: "+host)), "")
	}
	opened(t, do(t, s.get("/", "Host: 127.0.0.1.nip.io:"+s.port)), "Its Host 127.0.0.1.nip.io:"+s.port+" is not loopback")
	opened(t, do(t, s.get("/", "X-Forwarded-For: 127.0.0.1")), "the header X-Forwarded-For")
	opened(t, do(t, s.get("/", "X-Forwarded-For: 203.0.113.7")), "A trusted proxy passed it on for another client")
	opened(t, do(t, s.get("/", "Cf-Ray: 1")), "the header Cf-Ray")

	w := s.dial()
	w.write("GET / HTTP/1.0\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
	_, got := w.answer()
	opened(t, got, "HTTP/1.0")

	s.url = "http://[::1]:" + s.port
	opened(t, do(t, s.get("/")), "")
}

// A proxy on this machine passes on the requests of all its clients from a loopback address.
func TestConsoleBehindAProxyOnThisMachine(t *testing.T) {
	s := newSite(t)
	front := freePort(t)
	s.loadConsole("", "scribegate_console {\nallow_loopback\n}\n}\nhttp://:"+front+" {\nreverse_proxy 127.0.0.1:"+s.port+" {\nheader_up Host {upstream_hostport}\n}")
	opened(t, do(t, s.get("/")), "")
	s.url = "http://127.0.0.1:" + front
	opened(t, do(t, s.get("/")), "which a proxy or a tunnel may have added")
}

func TestConsoleOnAUnixSocket(t *testing.T) {
	s := newSite(t)
	socket := filepath.Join(s.dir, "console.sock")
	s.loadConsole("", "bind unix/"+socket+"\nscribegate_console {\nallow_loopback\n}")
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	t.Cleanup(client.CloseIdleConnections)
	resp, err := client.Do(s.get("/", "Host: localhost"))
	if err != nil {
		t.Fatal(err)
	}
	opened(t, read(t, resp), "Unix socket")
}

func TestConsoleOverHTTP2(t *testing.T) {
	s := newSite(t)
	send := s.loadH2("http://127.0.0.1:9", "scribegate_console {\nallow_loopback\n}")
	opened(t, send(t, s.get("/")), "")
	opened(t, send(t, s.get("/", "Via: 1.1 proxy")), "the header Via")
}

func TestConsoleOverHTTP3(t *testing.T) {
	s := newSite(t)
	send := s.loadH3("http://127.0.0.1:9", "scribegate_console {\nallow_loopback\n}")
	for header, refusal := range map[string]string{"Accept: text/html": "", "Via: 1.1 proxy": "the header Via"} {
		resp, err := send(s.get("/", header))
		if err != nil {
			t.Fatal(err)
		}
		opened(t, read(t, resp), refusal)
	}
}

// read reads an answer whole.
func read(t *testing.T, resp *http.Response) reply {
	t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(body)}
}

// The console works under any path, and its links are relative.
func TestConsoleUnderAPath(t *testing.T) {
	s := newSite(t)
	const console = "scribegate_console {\nallow_loopback\n}"
	client := *http.DefaultClient
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for name, c := range map[string]struct {
		block, path string
		location    string // "" if the page is served
	}{
		"the whole site":      {console, "/", ""},
		"stripped":            {"handle_path /ops/* {\n" + console + "\n}", "/ops/", ""},
		"stripped, asset":     {"handle_path /ops/* {\n" + console + "\n}", "/ops/style.css", ""},
		"stripped, no slash":  {"handle_path /ops* {\n" + console + "\n}", "/ops?state=dead", "./ops/?state=dead"},
		"stripped, deeper":    {"handle_path /a/ops* {\n" + console + "\n}", "/a/ops", "./ops/"},
		"not stripped":        {strings.Replace(console, "console", "console /ops/*", 1), "/ops/", ""},
		"not stripped, asset": {strings.Replace(console, "console", "console /ops/*", 1), "/ops/style.css", ""},
		"another host's path": {"handle_path /* {\n" + console + "\n}", "//evil.example.com/", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s.loadConsole("", c.block)
			resp, err := client.Do(s.get(c.path))
			if err != nil {
				t.Fatal(err)
			}
			got := read(t, resp)
			if got.header.Get("Location") != c.location || (c.location == "") != (got.status == http.StatusOK) {
				t.Errorf("status %d, Location %q, want %q", got.status, got.header.Get("Location"), c.location)
			}
			if c.location == "" {
				return
			}
			if resp, err = http.DefaultClient.Do(s.get(c.path)); err != nil {
				t.Fatal(err)
			}
			opened(t, read(t, resp), "")
		})
	}
}

// Without a gateway the console says so, and shows it again once there is one.
func TestConsoleWithoutAGateway(t *testing.T) {
	s := newSite(t)
	const console = "scribegate_console {\nallow_loopback\n}"
	notRunning := func() {
		t.Helper()
		got := do(t, s.get("/events"))
		if got.status != http.StatusServiceUnavailable || !strings.Contains(got.body, "The gateway is not running") || got.header.Get("Retry-After") == "" {
			t.Errorf("status %d, header %v, page\n%s", got.status, got.header, got.body)
		}
		if got := do(t, s.get("/style.css")); got.status != http.StatusOK {
			t.Errorf("the style: status %d", got.status)
		}
	}
	s.load("", console)
	notRunning()
	s.loadConsole("", console)
	opened(t, do(t, s.get("/")), "")
	s.load("", console)
	notRunning()
}

// A form that is arriving while its configuration is replaced is answered.
func TestConsoleOutlivesItsConfiguration(t *testing.T) {
	s := newSite(t)
	s.loadConsole("", "scribegate_console {\nallow_loopback\n}")
	before := caddy.ActiveContext()
	w := s.dial()
	w.write("POST /style.css HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
	if interim, err := w.buf.ReadString('\n'); err != nil || !strings.HasPrefix(interim, "HTTP/1.1 100 ") {
		t.Fatalf("%q, error %v: the handler does not read the form", interim, err)
	}
	if _, err := w.buf.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	s.loadConsole("", "scribegate_console {\nallow_loopback\nread_only\n}")
	eventually(t, "the end of the configuration before", func() bool { return before.Err() != nil })
	w.write("a=b")
	if _, got := w.answer(); got.status != http.StatusOK {
		t.Errorf("status %d\n%s", got.status, got.body)
	}
}
