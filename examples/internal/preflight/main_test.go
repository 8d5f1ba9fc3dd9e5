package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/examples/internal/stage"
)

// adapted returns the adapted root Caddyfile with these addresses. The site of the console may
// be the site of the handlers, or be missing.
func adapted(site, console, admin, upstream string) string {
	const handler, page = `{"handler":"subroute","routes":[{"handle":[{"handler":"scribegate"}]}]}`, `{"allow_loopback":true,"handler":"scribegate_console"}`
	servers := `"srv0":{"listen":["` + site + `"],"routes":[{"handle":[` + handler + `]}]}`
	switch console {
	case "":
	case site:
		servers = `"srv0":{"listen":["` + site + `"],"routes":[{"handle":[` + handler + `,` + page + `]}]}`
	default:
		servers += `,"srv1":{"listen":["` + console + `"],"routes":[{"handle":[` + page + `]}]}`
	}
	return `{"admin":` + admin + `,"apps":{"http":{"servers":{` + servers + `}},"scribegate":{"upstreams":[{"name":"backend","url":"` + upstream + `"}]}}}`
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
		site, block, console, admin, upstream string
		want                                  string
		places                                int
	}{
		"the default":                {"127.0.0.1:8080", "", "127.0.0.1:8089", `{"listen":"localhost:2019"}`, "http://127.0.0.1:9000/events", "gateway='http://127.0.0.1:8080' console='http://127.0.0.1:8089' admin='' backend='127.0.0.1:9000' events='http://127.0.0.1:9000/events'", 4},
		"other ports":                {"127.0.0.1:8081", ":8081", "127.0.0.1:8089", `{"listen":"localhost:2020"}`, "http://localhost:9001", "gateway='http://127.0.0.1:8081' console='http://127.0.0.1:8089' admin='localhost:2020' backend='localhost:9001' events='http://localhost:9001'", 4},
		"every address":              {"0.0.0.0:8080", "", "127.0.0.1:8089", `{"listen":"localhost:2019"}`, "http://127.0.0.1:9000/events", "gateway='http://127.0.0.1:8080' console='http://127.0.0.1:8089' admin='' backend='127.0.0.1:9000' events='http://127.0.0.1:9000/events'", 4},
		"a host":                     {"127.0.0.1:443", "hooks.example.com", "127.0.0.1:8089", `{"listen":"localhost:2019"}`, "https://ehr.example.com/events", "gateway='https://hooks.example.com' console='http://127.0.0.1:8089' admin='' backend='' events='https://ehr.example.com/events'", 3},
		"two hosts":                  {"127.0.0.1:8443", "https://a.example.com:8443, b.example.com:8443", "127.0.0.1:8089", `{}`, "https://ehr.example.com", "gateway='https://a.example.com:8443' console='http://127.0.0.1:8089' admin='' backend='' events='https://ehr.example.com'", 3},
		"a host in the clear":        {"127.0.0.1:80", "http://localhost", "127.0.0.1:8089", `{}`, "http://10.0.0.1/", "gateway='http://localhost' console='http://127.0.0.1:8089' admin='' backend='' events='http://10.0.0.1/'", 3},
		"IPv6":                       {"[::1]:8080", "", "127.0.0.1:8089", `{}`, "http://[::1]:9000/", "gateway='http://[::1]:8080' console='http://127.0.0.1:8089' admin='' backend='[::1]:9000' events='http://[::1]:9000/'", 4},
		"no admin API":               {"127.0.0.1:8080", "", "127.0.0.1:8089", `{"disabled":true}`, "http://127.0.0.1:9000", "gateway='http://127.0.0.1:8080' console='http://127.0.0.1:8089' admin='off' backend='127.0.0.1:9000' events='http://127.0.0.1:9000'", 3},
		"an admin socket":            {"127.0.0.1:8080", "", "127.0.0.1:8089", `{"listen":"unix//run/caddy.sock"}`, "http://127.0.0.1:9000", "gateway='http://127.0.0.1:8080' console='http://127.0.0.1:8089' admin='unix//run/caddy.sock' backend='127.0.0.1:9000' events='http://127.0.0.1:9000'", 3},
		"a password":                 {"127.0.0.1:8080", "", "127.0.0.1:8089", `{}`, "https://user:secret@ehr.example.com/it's", `gateway='http://127.0.0.1:8080' console='http://127.0.0.1:8089' admin='' backend='' events='https://user:xxxxx@ehr.example.com/it'\''s'`, 3},
		"no console":                 {"127.0.0.1:8080", "", "", `{}`, "https://ehr.example.com", "gateway='http://127.0.0.1:8080' console='' admin='' backend='' events='https://ehr.example.com'", 2},
		"a console on the same port": {"127.0.0.1:8080", "", "127.0.0.1:8080", `{}`, "https://ehr.example.com", "gateway='http://127.0.0.1:8080' console='http://127.0.0.1:8080' admin='' backend='' events='https://ehr.example.com'", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := newPlan(strings.NewReader(adapted(c.site, c.console, c.admin, c.upstream)), func(name string) string {
				return map[string]string{"SCRIBEGATE_SITE": c.block}[name]
			})
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
	site, console, admin, backend := free(t), free(t), free(t), free(t)
	var out strings.Builder
	err := run(t.Context(), strings.NewReader(adapted(site, console, `{"listen":"`+admin+`"}`, "http://"+backend)), &out, func(string) string { return "" })
	if want := "gateway='http://" + site + "'\nconsole='http://" + console + "'\nadmin='" + admin + "'\nbackend='" + backend + "'\nevents='http://" + backend + "'\n"; err != nil || out.String() != want {
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
		site, console, admin, upstream string // "" where nothing listens
		says                           []string
	}{
		"a Caddy":      {site: answering("Server", "Caddy", "/"), says: []string{"the site", "Caddy", "SCRIBEGATE_SITE=:"}},
		"a console":    {console: answering("Server", "Caddy", "/"), says: []string{"the console", "Caddy", "SCRIBEGATE_CONSOLE=:"}},
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
			site, console, admin, backend := at(c.site), at(c.console), at(c.admin), at(c.upstream)
			var out strings.Builder
			err := run(t.Context(), strings.NewReader(adapted(site, console, `{"listen":"`+admin+`"}`, "http://"+backend+"/events")), &out, func(string) string { return "" })
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
	err := run(t.Context(), strings.NewReader(adapted(a+`","`+b, "", `{"disabled":true}`, "https://ehr.example.com")), new(strings.Builder), func(string) string { return "" })
	if err == nil || strings.Count(err.Error(), "SCRIBEGATE_SITE") != 1 || !strings.Contains(err.Error(), a) || !strings.Contains(err.Error(), b) {
		t.Errorf("error %v", err)
	}
}

// Each of two addresses gets a port that the other does not use, even though their next ports
// are the same or belong to each other. It needs successive ports, so no other test runs meanwhile.
func TestRunSuggestsDifferentPorts(t *testing.T) {
	site, console := neighbours(t)
	for name, busy := range map[string][]string{"the site": {site}, "both": {site, console}} {
		var listeners []net.Listener
		for _, address := range busy {
			l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			listeners = append(listeners, l)
		}
		err := run(t.Context(), strings.NewReader(adapted(site, console, `{"disabled":true}`, "https://ehr.example.com")), new(strings.Builder), func(string) string { return "" })
		for _, l := range listeners {
			_ = l.Close()
		}
		if err == nil {
			t.Fatalf("%s: no error", name)
		}
		used := map[string]bool{portOf(t, site): true, portOf(t, console): true}
		suggested := variables.FindAllStringSubmatch(err.Error(), -1)
		if len(suggested) != len(busy) {
			t.Errorf("%s: %d variables in\n%v", name, len(suggested), err)
		}
		for _, v := range suggested {
			if used[v[1]] {
				t.Errorf("%s: the port %s is used already:\n%v", name, v[1], err)
			}
			used[v[1]] = true
		}
	}
}

// neighbours returns two free loopback addresses with successive ports.
func neighbours(t *testing.T) (first, second string) {
	t.Helper()
	for range 100 {
		first = free(t)
		port, err := strconv.Atoi(portOf(t, first))
		if err != nil {
			t.Fatal(err)
		}
		if second = "127.0.0.1:" + strconv.Itoa(port+1); !listening(t.Context(), second) {
			return first, second
		}
	}
	t.Fatal("no two successive ports are free")
	return "", ""
}

func portOf(t *testing.T, address string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// variables matches the variables with ports that the error suggests.
var variables = regexp.MustCompile(`SCRIBEGATE_(?:SITE|CONSOLE)=:([0-9]+)`)

// If SCRIBEGATE_UPSTREAM is set, the program that listens there is the user's backend.
func TestRunLeavesTheUsersBackendAlone(t *testing.T) {
	t.Parallel()
	backend := listen(t).Addr().String()
	var out strings.Builder
	err := run(t.Context(), strings.NewReader(adapted(free(t), free(t), `{"disabled":true}`, "http://"+backend)), &out, func(name string) string {
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
