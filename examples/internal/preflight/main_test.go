package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/examples/internal/stage"
)

// adapted returns the adapted root Caddyfile with these addresses.
func adapted(site, admin, upstream string) string {
	return `{"admin":` + admin + `,"apps":{"http":{"servers":{"srv0":{"listen":["` + site + `"]}}},"scribegate":{"upstreams":[{"name":"backend","url":"` + upstream + `"}]}}}`
}

// free returns a loopback address that nothing listens on.
func free(t *testing.T) string {
	t.Helper()
	ports, err := stage.Ports(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	return "127.0.0.1:" + ports[0]
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestPlan(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		site, block, admin, upstream string
		want                         string
		places                       int
	}{
		"the default":         {"127.0.0.1:8080", "", `{"listen":"localhost:2019"}`, "http://127.0.0.1:9000/events", "gateway='http://127.0.0.1:8080' admin='' backend='127.0.0.1:9000' events='http://127.0.0.1:9000/events'", 3},
		"other ports":         {"127.0.0.1:8081", ":8081", `{"listen":"localhost:2020"}`, "http://localhost:9001", "gateway='http://127.0.0.1:8081' admin='localhost:2020' backend='localhost:9001' events='http://localhost:9001'", 3},
		"every address":       {"0.0.0.0:8080", "", `{"listen":"localhost:2019"}`, "http://127.0.0.1:9000/events", "gateway='http://127.0.0.1:8080' admin='' backend='127.0.0.1:9000' events='http://127.0.0.1:9000/events'", 3},
		"a host":              {"127.0.0.1:443", "hooks.example.com", `{"listen":"localhost:2019"}`, "https://ehr.example.com/events", "gateway='https://hooks.example.com' admin='' backend='' events='https://ehr.example.com/events'", 2},
		"two hosts":           {"127.0.0.1:8443", "https://a.example.com:8443, b.example.com:8443", `{}`, "https://ehr.example.com", "gateway='https://a.example.com:8443' admin='' backend='' events='https://ehr.example.com'", 2},
		"a host in the clear": {"127.0.0.1:80", "http://localhost", `{}`, "http://10.0.0.1/", "gateway='http://localhost' admin='' backend='' events='http://10.0.0.1/'", 2},
		"IPv6":                {"[::1]:8080", "", `{}`, "http://[::1]:9000/", "gateway='http://[::1]:8080' admin='' backend='[::1]:9000' events='http://[::1]:9000/'", 3},
		"no admin API":        {"127.0.0.1:8080", "", `{"disabled":true}`, "http://127.0.0.1:9000", "gateway='http://127.0.0.1:8080' admin='off' backend='127.0.0.1:9000' events='http://127.0.0.1:9000'", 2},
		"an admin socket":     {"127.0.0.1:8080", "", `{"listen":"unix//run/caddy.sock"}`, "http://127.0.0.1:9000", "gateway='http://127.0.0.1:8080' admin='unix//run/caddy.sock' backend='127.0.0.1:9000' events='http://127.0.0.1:9000'", 2},
		"a password":          {"127.0.0.1:8080", "", `{}`, "https://user:secret@ehr.example.com/it's", `gateway='http://127.0.0.1:8080' admin='' backend='' events='https://user:xxxxx@ehr.example.com/it'\''s'`, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := newPlan(strings.NewReader(adapted(c.site, c.admin, c.upstream)), func(string) string { return c.block })
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(strings.Fields(p.assignments()), " "); got != c.want || len(p.places) != c.places {
				t.Errorf("assignments %s\nand %d places, want\n%s\nand %d", got, len(p.places), c.want, c.places)
			}
		})
	}
}

func TestRunPrintsThePlan(t *testing.T) {
	t.Parallel()
	site, admin, backend := free(t), free(t), free(t)
	var out strings.Builder
	err := run(t.Context(), strings.NewReader(adapted(site, `{"listen":"`+admin+`"}`, "http://"+backend)), &out, func(string) string { return "" })
	if want := "gateway='http://" + site + "'\nadmin='" + admin + "'\nbackend='" + backend + "'\nevents='http://" + backend + "'\n"; err != nil || out.String() != want {
		t.Errorf("error %v, output\n%s\nwant\n%s", err, out.String(), want)
	}
}

func TestRunRefusesAddressesThatAreTaken(t *testing.T) {
	t.Parallel()
	answering := func(header, value, path string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set(header, value)
			if r.URL.Path != path && path != "" {
				w.WriteHeader(http.StatusNotFound)
			}
		}))
		t.Cleanup(s.Close)
		return strings.TrimPrefix(s.URL, "http://")
	}
	mute := listen(t)
	for name, c := range map[string]struct {
		site, admin, upstream string // "" where nothing listens
		says                  []string
	}{
		"a Caddy":      {site: answering("Server", "Caddy", "/"), says: []string{"the site", "Caddy", "SCRIBEGATE_SITE=:"}},
		"a Scribegate": {admin: answering("Content-Type", "application/json", "/scribegate/health/live"), says: []string{"the admin API", "the admin API of a Scribegate", "CADDY_ADMIN=127.0.0.1:"}},
		"a bare Caddy": {admin: answering("Etag", `"/config/ abc"`, "/config/"), says: []string{"the admin API of a Caddy"}},
		"a web server": {upstream: answering("X", "y", ""), says: []string{"the backend", "a web server", "SCRIBEGATE_UPSTREAM=http://127.0.0.1:", "/events "}},
		"a mute one":   {site: mute.Addr().String(), says: []string{"a program that does not answer HTTP"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := func(taken string) string {
				if taken != "" {
					return taken
				}
				return free(t)
			}
			site, admin, backend := at(c.site), at(c.admin), at(c.upstream)
			var out strings.Builder
			err := run(t.Context(), strings.NewReader(adapted(site, `{"listen":"`+admin+`"}`, "http://"+backend+"/events")), &out, func(string) string { return "" })
			if err == nil || out.Len() > 0 {
				t.Fatalf("error %v, output %q", err, out.String())
			}
			for _, want := range append(c.says, "Another program already listens", `XDG_DATA_HOME="$PWD/.run/`, "make run") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not contain %q:\n%v", want, err)
				}
			}
			if n := strings.Count(err.Error(), "127.0.0.1:"); c.site != "" && n != 1 {
				t.Errorf("the error names addresses that are not in use:\n%v", err)
			}
		})
	}
}

// A site on two addresses has one variable.
func TestRunNamesAVariableOnce(t *testing.T) {
	t.Parallel()
	a, b := listen(t).Addr().String(), listen(t).Addr().String()
	err := run(t.Context(), strings.NewReader(adapted(a+`","`+b, `{"disabled":true}`, "https://ehr.example.com")), new(strings.Builder), func(string) string { return "" })
	if err == nil || strings.Count(err.Error(), "SCRIBEGATE_SITE") != 1 || !strings.Contains(err.Error(), a) || !strings.Contains(err.Error(), b) {
		t.Errorf("error %v", err)
	}
}

// If SCRIBEGATE_UPSTREAM is set, the program that listens there is the user's backend.
func TestRunLeavesTheUsersBackendAlone(t *testing.T) {
	t.Parallel()
	backend := listen(t).Addr().String()
	var out strings.Builder
	err := run(t.Context(), strings.NewReader(adapted(free(t), `{"disabled":true}`, "http://"+backend)), &out, func(name string) string {
		return map[string]string{"SCRIBEGATE_UPSTREAM": "http://" + backend}[name]
	})
	if err != nil || !strings.Contains(out.String(), "backend=''\nevents='http://"+backend+"'") {
		t.Errorf("error %v, output\n%s", err, out.String())
	}
}

// A port that is in use on all addresses is in use on each of them.
func TestListening(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"127.0.0.1:" + port, "localhost:" + port, ":" + port, "0.0.0.0:" + port} {
		if !listening(t.Context(), address) {
			t.Errorf("listening(%s) = false, want true", address)
		}
	}
	if address := free(t); listening(t.Context(), address) {
		t.Errorf("listening(%s) = true, want false", address)
	}
}
