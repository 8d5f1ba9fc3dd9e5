package command

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/scribegate/scribegate/caddymodule/internal/build"
	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
)

// An invalid flag or argument is an error that names the correction. No server is asked.
func TestFlagMistakes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"events", "--state", ""}, "--state is empty; give it a value, or leave it out"},
		{[]string{"events", "--upstream="}, "--upstream is empty"},
		{[]string{"events", "--address="}, "--address is empty"},
		{[]string{"replay", "--dead", "--upstream", ""}, "--upstream is empty"},
		{[]string{"purge", "--dead", "--before", ""}, "--before is empty"},
		{[]string{"export", "--path="}, "--path is empty"},
		{[]string{"send", "soapnoteapi", "--file", ""}, "--file is empty"},
		{[]string{"show", ""}, "an argument is empty; give it a value, or leave it out"},
		{[]string{"replay", "one", ""}, "an argument is empty"},
		{[]string{"purge", ""}, "an argument is empty"},
		{[]string{"events", "--limit", "0"}, "--limit must be at least 1"},
		{[]string{"events", "--limit", "-1"}, "--limit must be at least 1"},
		{[]string{"events", "--limit", "ten"}, `invalid argument "ten" for "--limit"`},
		{[]string{"events", "dead"}, "this command takes no arguments"},
		{[]string{"status", "--adapter", "caddyfile"}, "--adapter needs --config"},
		{[]string{"status", "--address", "http://localhost:2019"}, "it must be a host and a port, without http://; write it as in localhost:2019, or unix//run/caddy/admin.sock for a socket"},
		{[]string{"status", "--address", "localhost"}, "its port is missing"},
		{[]string{"status", "--address", "::1"}, "its port is missing"},
		{[]string{"status", "--address", "localhost:0"}, "its port is missing"},
		{[]string{"status", "--address", "localhost:99999"}, "it is not a host and a port"},
		{[]string{"status", "--address", "localhost:http"}, "it is not a host and a port"},
		{[]string{"status", "--address", "localhost:2019-2020"}, "it has more than one port"},
		{[]string{"status", "--address", "local host:2019"}, "it is not a host and a port"},
		{[]string{"status", "--address", "localhost:2019/scribegate"}, "its network is not tcp or unix"},
		{[]string{"status", "--address", "udp/localhost:2019"}, "its network is not tcp or unix"},
		{[]string{"status", "--address", "fd/3"}, "its network is not tcp or unix"},
		{[]string{"status", "--address", "/run/caddy/admin.sock"}, "a socket's path needs unix/ in front"},
		{[]string{"status", "--address", "unix/"}, "the socket's path is missing"},
		{[]string{"status", "--address", "unix//nonexistent/admin.sock"}, "no such file or directory"},
		{[]string{"verify", "nope", "--secret", "s"}, `unknown provider "nope"`},
		{[]string{"verify", "soapnoteapi", "--secret", "s", "--timestamp", "1"}, "--signature and --timestamp are needed"},
		{[]string{"verify", "soapnoteapi", "--secret", "s", "--signature", "s", "--timestamp", "1", "--header", "A: b"}, "--header is for soniox"},
		{[]string{"verify", "soniox", "--secret", "s", "--header", "A: b", "--signature", "s"}, "are for soapnoteapi"},
		{[]string{"verify", "soapnoteapi", "--secret", "s", "--signature", "s", "--timestamp", "1", "--tolerance", "0"}, "--tolerance must be a duration above zero"},
		{[]string{"verify", "soapnoteapi", "--secret", "s", "--signature", "s", "--timestamp", "1", "--tolerance", "-5m"}, "--tolerance must be a duration above zero"},
		{[]string{"verify", "soapnoteapi", "--secret", "s", "--signature", "s", "--timestamp", "1", "--tolerance", "long"}, "--tolerance must be a duration above zero"},
		{[]string{"status", "--config", "/nonexistent"}, "finding the admin API's address"},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			t.Parallel()
			commandtest.Run(t, "", tt.args...).Failed(t, tt.want)
		})
	}
}

// The commands use a unix socket too, and report missing permissions.
func TestUnixSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "admin.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		commandtest.AnswerJSON(w, http.StatusOK, []byte(`{"status":"ok"}`))
	}))
	_ = s.Listener.Close()
	s.Listener = listener
	s.Start()
	t.Cleanup(s.Close)
	for _, address := range []string{"unix/" + path, "unix/" + path + "|0600"} {
		if out := commandtest.Run(t, "", "health", "--address", address).Done(t).Out; out != "ready: ok\n" {
			t.Errorf("%s: printed %q", address, out)
		}
	}
	if os.Getuid() != 0 { // who may use everything
		if err := os.Chmod(path, 0); err != nil {
			t.Fatal(err)
		}
		commandtest.Run(t, "", "health", "--address", "unix/"+path).Failed(t, "run it as a user who may use it")
	}
}

func TestVersionCommand(t *testing.T) {
	t.Parallel()
	rows := commandtest.Rows(commandtest.Run(t, "", "version").Done(t).Out)
	if len(rows) != 3 || rows[0][0] != "scribegate" || rows[1][0] != "caddy" || rows[2][0] != "go" || rows[2][1] != runtime.Version() {
		t.Errorf("printed %v", rows)
	}
	var v map[string]string
	if err := json.Unmarshal([]byte(commandtest.Run(t, "", "version", "--json").Done(t).Out), &v); err != nil {
		t.Fatal(err)
	}
	simple, _ := caddy.Version()
	if len(v) != 3 || v["scribegate"] != build.Version() || v["caddy"] != simple || v["go"] != runtime.Version() {
		t.Errorf("printed %v", v)
	}
}

// An answer of another server than the gateway is described.
func TestSendJudgesTheAnswer(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status     int
		body, want string
	}{
		"a redirect":        {http.StatusPermanentRedirect, "", "308 Permanent Redirect  the answer is a redirect, and redirects are not followed: write its target in --to"},
		"nothing there":     {http.StatusNotFound, "", "404 Not Found  the answer is not Scribegate's"},
		"refused":           {http.StatusUnauthorized, `{"error":"unauthorized"}`, "401 Unauthorized  unauthorized"},
		"no id":             {http.StatusOK, "", "200 OK  no event id in the answer"},
		"an id of an error": {http.StatusServiceUnavailable, `{"id":"x","error":"temporarily unavailable"}`, "503 Service Unavailable  temporarily unavailable"},
		"bad request":       {http.StatusBadRequest, "", "where the site speaks HTTPS, write --to with https://"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := commandtest.FakeServer(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body))
			})
			r := commandtest.Run(t, "", "send", "soapnoteapi", "--to", "http://"+address)
			if r.Failed(t, "1 of 1 events were not received"); !strings.Contains(r.Out, tt.want) {
				t.Errorf("printed %q, want %q", r.Out, tt.want)
			}
		})
	}
}
