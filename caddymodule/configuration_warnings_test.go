package caddymodule

import (
	"fmt"
	"path"
	"regexp"
	"strings"
	"testing"
)

// A suspect is a valid configuration that Scribegate warns about when it starts. Options that it
// does not set are usual.
type suspect struct {
	name string
	app  string         // the content of the global option, without the queue
	site string         // the content of the site block
	says string         // the beginning of the warning; "" for no warning at all
	has  map[string]any // fields of the warning
}

// The usual options of a suspect.
const (
	usualApp  = "upstream ehr http://127.0.0.1:9"
	usualSite = "scribegate /soapnote soapnoteapi {\nsecret {env.SOAPNOTE_SECRET}\ndeliver_to ehr\n}"
)

// inRoute is the global option with one upstream, of this route.
func inRoute(route string) string { return "upstream ehr {\nroute {\n" + route + "\n}\n}" }

// maxSize is a suspect's option of the queue.
var maxSize = regexp.MustCompile(`MAX_SIZE .*\n`)

func TestConfigurationWarnings(t *testing.T) {
	const unreached = "handlers in an upstream's route are never reached: a route runs in the order in which it is written"
	behind := func(takesAll string, unreached ...string) map[string]any {
		return map[string]any{"upstream": "ehr", "takes_all": takesAll, "unreached": unreached}
	}
	const unheld = "an allow-list does not protect a scribegate handler: the directive that denies requests runs after scribegate has answered them"
	denies := func(directive string) map[string]any {
		return map[string]any{"directive": directive, "provider": "soapnoteapi", "paths": []string{"/soapnote"}}
	}
	const unreachedHandler = "a scribegate handler receives no requests, since a directive before it takes all of them"
	prevents := func(directive, reason string) map[string]any {
		return map[string]any{"directive": directive, "reason": reason, "provider": "soapnoteapi", "paths": []string{"/soapnote"}}
	}
	const unlikely = "an option has an unlikely value"
	values := func(option, value string) map[string]any { return map[string]any{"option": option, "value": value} }
	for _, c := range []suspect{
		{name: "nothing unusual"},

		{name: "rewrite behind reverse_proxy", app: inRoute("reverse_proxy 127.0.0.1:9\nrewrite /ingest"), says: unreached, has: behind("reverse_proxy", "rewrite")},
		{name: "two behind reverse_proxy", app: inRoute("reverse_proxy 127.0.0.1:9\nheader A b\nrewrite /ingest"), says: unreached, has: behind("reverse_proxy", "header", "rewrite")},
		{name: "reverse_proxy behind respond", app: inRoute("respond 204\nreverse_proxy 127.0.0.1:9"), says: unreached, has: behind("respond", "reverse_proxy")},
		{name: "reverse_proxy behind abort", app: inRoute("abort\nreverse_proxy 127.0.0.1:9"), says: unreached, has: behind("abort", "reverse_proxy")},
		{name: "reverse_proxy behind redir", app: inRoute("redir https://example.com\nreverse_proxy 127.0.0.1:9"), says: unreached, has: behind("respond", "reverse_proxy")},
		{name: "reverse_proxy behind error", app: inRoute("error 500\nreverse_proxy 127.0.0.1:9"), says: unreached, has: behind("error", "reverse_proxy")},
		{name: "reverse_proxy behind file_server", app: inRoute("file_server\nreverse_proxy 127.0.0.1:9"), says: unreached, has: behind("file_server", "reverse_proxy")},
		{name: "rewrite behind php_fastcgi", app: inRoute("php_fastcgi 127.0.0.1:9\nrewrite /ingest"), says: unreached, has: behind("php_fastcgi", "rewrite")},
		{name: "rewrite behind php_fastcgi with files", app: inRoute("php_fastcgi 127.0.0.1:9 {\ntry_files {path} app.php\n}\nrewrite /ingest"), says: unreached, has: behind("php_fastcgi", "rewrite")},
		{name: "rewrite behind any path", app: inRoute("reverse_proxy * 127.0.0.1:9\nrewrite /ingest"), says: unreached, has: behind("reverse_proxy", "rewrite")},
		{name: "rewrite behind a handle", app: inRoute("handle {\nreverse_proxy 127.0.0.1:9\n}\nrewrite /ingest"), says: unreached, has: behind("reverse_proxy", "rewrite")},
		{name: "rewrite behind handles for all", app: inRoute("handle /x {\nrespond 204\n}\nhandle {\nreverse_proxy 127.0.0.1:9\n}\nrewrite /ingest"), says: unreached, has: behind("reverse_proxy", "rewrite")},
		{name: "a handle behind one for all", app: inRoute("handle {\nrewrite /y\n}\nhandle /x {\nrespond 204\n}\nreverse_proxy 127.0.0.1:9"), says: unreached, has: behind("handle", "handle")},
		{name: "rewrite behind reverse_proxy in a block", app: inRoute("handle /x {\nroute {\nreverse_proxy 127.0.0.1:9\nrewrite /ingest\n}\n}\nrespond 204"), says: unreached, has: behind("reverse_proxy", "rewrite")},

		{name: "a route that answers nothing", app: inRoute("rewrite /ingest\nheader A b"), says: "an upstream's route answers nothing, so that every delivery to it fails", has: map[string]any{"upstream": "ehr"}},

		{name: "timeout in ms", app: usualApp + " {\ntimeout 30ms\n}", says: unlikely, has: values("timeout of upstream ehr", "30ms")},
		{name: "retry as an interval", app: usualApp + " {\nretry 5s\n}", says: unlikely, has: values("retry of upstream ehr", "5s in all")},
		{name: "retry at once", app: usualApp + " {\nretry 0s 0s\n}", says: unlikely, has: values("retry of upstream ehr", "0s in all")},
		{name: "dead_retention in m", app: "dead_retention 14m\n" + usualApp, says: unlikely, has: values("dead_retention", "14m0s")},
		{name: "max_body without a unit", site: strings.Replace(usualSite, "deliver_to", "max_body 10\ndeliver_to", 1), says: unlikely, has: values("max_body of soapnoteapi", "10 B")},
		{name: "max_size without a unit", app: "MAX_SIZE 10\n" + usualApp, says: unlikely, has: values("max_size", "10 B")},
		{name: "small values", app: "dead_retention 1h\nMAX_SIZE 1MiB\n" + usualApp + " {\ntimeout 1s\nretry 5s 30s 1m\n}", site: strings.Replace(usualSite, "deliver_to", "max_body 64KiB\ndeliver_to", 1)},

		{name: "abort beside scribegate", site: "@denied not remote_ip 203.0.113.0/24\nabort @denied\n" + usualSite, says: unheld, has: denies("abort")},
		{name: "abort by the client's address", site: "@denied not client_ip 203.0.113.0/24\nabort @denied\n" + usualSite, says: unheld, has: denies("abort")},
		{name: "respond beside scribegate", site: "@denied not remote_ip 203.0.113.0/24\nrespond @denied 403\n" + usualSite, says: unheld, has: denies("respond")},
		{name: "respond without a status", site: "@denied not remote_ip 203.0.113.0/24\nrespond @denied Forbidden\n" + usualSite, says: unheld, has: denies("respond")},
		{name: "error beside scribegate", site: "@denied not header X-Token secret\nerror @denied 403\n" + usualSite, says: unheld, has: denies("error")},
		{name: "an expression of the address", site: "@denied expression !remote_ip('203.0.113.0/24')\nabort @denied\n" + usualSite, says: unheld, has: denies("abort")},
		{name: "a handle that denies", site: "@denied not remote_ip 203.0.113.0/24\nhandle @denied {\nrespond 403\n}\n" + usualSite, says: unheld, has: denies("respond")},
		{name: "abort behind scribegate in a route", site: "route {\n@denied not remote_ip 203.0.113.0/24\n" + usualSite + "\nabort @denied\n}", says: unheld, has: denies("abort")},
		{name: "abort beside scribegate in a handle", site: "handle {\n@denied not remote_ip 203.0.113.0/24\nabort @denied\n" + usualSite + "\n}", says: unheld, has: denies("abort")},
		{name: "abort behind scribegate in a handle", site: "@denied not remote_ip 203.0.113.0/24\nabort @denied\nhandle {\n" + usualSite + "\n}", says: unheld, has: denies("abort")},
		{name: "abort for the same path", site: "@denied {\npath /soap*\nnot remote_ip 203.0.113.0/24\n}\nabort @denied\n" + usualSite, says: unheld, has: denies("abort")},
		{name: "an allow-list before for another path", site: "route {\n@admin {\npath /admin/*\nnot remote_ip 203.0.113.0/24\n}\nabort @admin\n" + usualSite + "\n@denied not remote_ip 203.0.113.0/24\nabort @denied\n}", says: unheld, has: denies("abort")},

		{name: "another scribegate before", site: "scribegate /hooks soniox {\nheader X-Secret {env.SONIOX_SECRET}\nsource urn:b\ndeliver_to ehr\n}\n" + strings.Replace(usualSite, "/soapnote", "/hooks", 1), says: unreachedHandler, has: map[string]any{"provider": "soapnoteapi", "paths": []string{"/hooks"}, "directive": "scribegate"}},
		{name: "redir before scribegate", site: "redir https://example.com{uri}\n" + usualSite, says: unreachedHandler, has: prevents("redir", "it answers them itself")},
		{name: "basic_auth before scribegate", site: "basic_auth {\nalice $2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG\n}\n" + usualSite, says: unreachedHandler, has: prevents("basic_auth", "it asks them for credentials that a provider does not have")},
		{name: "basic_auth for the path", site: "basic_auth /soap* {\nalice $2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG\n}\n" + usualSite, says: unreachedHandler, has: prevents("basic_auth", "it asks them for credentials that a provider does not have")},
		{name: "forward_auth before scribegate", site: "forward_auth 127.0.0.1:9 {\nuri /auth\n}\n" + usualSite, says: unreachedHandler, has: prevents("forward_auth", "it asks them for credentials that a provider does not have")},
		{name: "rewrite before scribegate", site: "rewrite * /index.html\n" + usualSite, says: unreachedHandler, has: prevents("rewrite", "it rewrites their path to another")},
		{name: "try_files before scribegate", site: "root * /srv\ntry_files {path} /index.html\nfile_server\n" + usualSite, says: unreachedHandler, has: prevents("rewrite", "it rewrites their path to another")},
		{name: "respond before scribegate in a route", site: "route {\nrespond 404\n" + usualSite + "\n}", says: unreachedHandler, has: prevents("respond", "it answers them itself")},
		{name: "reverse_proxy before scribegate in a route", site: "route {\nreverse_proxy 127.0.0.1:9\n" + usualSite + "\n}", says: unreachedHandler, has: prevents("reverse_proxy", "it answers them itself")},

		{name: "reverse_proxy before the console", site: usualSite + "\nhandle {\nreverse_proxy 127.0.0.1:9\n}\nscribegate_console /ops/*", says: "a scribegate_console handler receives no requests, since a directive before it takes all of them", has: map[string]any{"directive": "reverse_proxy", "reason": "it answers them itself", "paths": []string{"/ops/*"}}},
		{name: "the console before scribegate in a route", site: "route {\nscribegate_console\n" + usualSite + "\n}", says: unreachedHandler, has: prevents("scribegate_console", "it answers them itself")},
		{name: "respond that denies beside the console", site: usualSite + "\n@denied not remote_ip 203.0.113.0/24\nrespond @denied 403\nscribegate_console /ops/*", says: "an allow-list does not protect a scribegate_console handler: the directive that denies requests runs after scribegate_console has answered them", has: map[string]any{"directive": "respond", "paths": []string{"/ops/*"}}},
		{name: "templates over the console", site: usualSite + "\ntemplates\nscribegate_console /ops/*", says: "templates executes the pages of scribegate_console", has: map[string]any{"paths": []string{"/ops/*"}}},
		{name: "a console for everyone", site: usualSite + "\nscribegate_console /ops/* {\nallow_unauthenticated\n}", says: "allow_unauthenticated serves the console to everyone who can reach it"},

		{name: "basic_auth before the console", site: usualSite + "\nbasic_auth /ops/* {\nalice $2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG\n}\nscribegate_console /ops/*"},
		{name: "forward_auth before the console", site: usualSite + "\nhandle_path /ops/* {\nforward_auth 127.0.0.1:9 {\nuri /auth\ncopy_headers Remote-User\n}\nscribegate_console {\nuser {header.Remote-User}\n}\n}"},
		{name: "abort that denies before the console", site: usualSite + "\nhandle_path /ops/* {\n@denied not remote_ip 203.0.113.0/24\nabort @denied\nscribegate_console\n}"},
		{name: "templates of another path", site: usualSite + "\ntemplates /docs/*\nscribegate_console /ops/*"},
		{name: "the console beside a page", site: usualSite + "\nscribegate_console /ops/* {\nallow_loopback\n}\nreverse_proxy 127.0.0.1:9"},

		{name: "redir of another path", site: "redir /old https://example.com\n" + usualSite},
		{name: "redir of a page below", site: "redir /soapnote/old https://example.com\n" + usualSite},
		{name: "basic_auth of another path", site: "basic_auth /ops/* {\nalice $2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG\n}\n" + usualSite},
		{name: "basic_auth with a matcher", site: "@ops not path /soapnote\nbasic_auth @ops {\nalice $2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG\n}\n" + usualSite},
		{name: "a rewrite that keeps the path", site: "rewrite * {path}?a=b\nuri strip_prefix /hooks\n" + usualSite},
		{name: "try_files of what is there", site: "root * /srv\ntry_files {path}.html {path}\nfile_server\n" + usualSite},
		{name: "a rewrite to scribegate's path", site: "rewrite /hooks /soapnote\n" + usualSite},
		{name: "scribegate in a handle beside others", site: "handle /soapnote {\n" + usualSite + "\n}\nhandle {\nroot * /srv\ntry_files {path} /index.html\nfile_server\n}"},
		{name: "scribegates of one path and different methods", site: "@put {\npath /soapnote\nmethod PUT\n}\nrespond @put 405\n" + usualSite},
		{name: "handle_path around scribegate", site: "handle_path /hooks/* {\n" + usualSite + "\n}"},

		{name: "an allow-list on the matcher", site: "@soapnote {\npath /soapnote\nremote_ip 203.0.113.0/24\n}\nscribegate @soapnote" + strings.TrimPrefix(usualSite, "scribegate /soapnote") + "\n@denied not remote_ip 203.0.113.0/24\nabort @denied"},
		{name: "an allow-list in a route", site: "route {\n@denied not remote_ip 203.0.113.0/24\nabort @denied\n" + usualSite + "\n}"},
		{name: "an allow-list around a handle", site: "@allowed remote_ip 203.0.113.0/24\nhandle @allowed {\n" + usualSite + "\n}\n@denied not remote_ip 203.0.113.0/24\nabort @denied"},
		{name: "a handle that denies before, in a route", site: "route {\n@denied not remote_ip 203.0.113.0/24\nhandle @denied {\nabort\n}\n" + usualSite + "\n}"},
		{name: "respond without a matcher", site: usualSite + "\nrespond 404"},
		{name: "respond for a path", site: usualSite + "\nrespond /health 200\nrespond 404"},
		{name: "respond for all other paths", site: usualSite + "\n@other not path /soapnote\nrespond @other 404"},
		{name: "respond for other methods", site: usualSite + "\n@other not method POST\nrespond @other 405"},
		{name: "respond 200 to a probe", site: usualSite + "\n@probe header User-Agent kube-probe/*\nrespond @probe 200"},
		{name: "an allow-list of another path", site: usualSite + "\n@admin {\npath /admin/*\nnot remote_ip 203.0.113.0/24\n}\nabort @admin"},
		{name: "an allow-list in another handle", site: usualSite + "\nhandle /admin/* {\n@denied not remote_ip 203.0.113.0/24\nabort @denied\n}"},
		{name: "an allow-list of another site", site: usualSite + "\n}\nhttp://admin.example.com:PORT {\n@denied not remote_ip 203.0.113.0/24\nabort @denied"},
		{name: "an expression of the path", site: usualSite + "\n@admin expression path('/admin/*')\nrespond @admin 403"},

		{name: "rewrite before reverse_proxy", app: inRoute("rewrite /ingest\nreverse_proxy 127.0.0.1:9")},
		{name: "respond with a path", app: inRoute("respond /x 204\nreverse_proxy 127.0.0.1:9")},
		{name: "respond with a matcher", app: inRoute("@x header X y\nrespond @x 204\nreverse_proxy 127.0.0.1:9")},
		{name: "php_fastcgi with a path", app: inRoute("php_fastcgi /x/* 127.0.0.1:9\nreverse_proxy 127.0.0.1:9")},
		{name: "php_fastcgi without an index", app: inRoute("php_fastcgi 127.0.0.1:9 {\nindex off\n}\nreverse_proxy 127.0.0.1:9")},
		{name: "file_server that passes on", app: inRoute("file_server {\npass_thru\n}\nreverse_proxy 127.0.0.1:9")},
		{name: "forward_auth before reverse_proxy", app: inRoute("forward_auth 127.0.0.1:9 {\nuri /auth\n}\nreverse_proxy 127.0.0.1:9")},
		{name: "handles that exclude each other", app: inRoute("handle /x {\nreverse_proxy 127.0.0.1:9\n}\nhandle {\nrewrite /ingest\n}\nreverse_proxy 127.0.0.1:9")},
		{name: "early hints before respond", app: inRoute("header Link x\nrespond 103\nrespond 204")},
		{name: "a handle sorts its directives", app: inRoute("handle {\nreverse_proxy 127.0.0.1:9\nrewrite /ingest\n}")},
	} {
		c.test(t)
	}
}

// test runs the configuration and checks the warnings.
func (c suspect) test(t *testing.T) {
	t.Helper()
	t.Run(c.name, func(t *testing.T) {
		t.Setenv("SCRIBEGATE_KEY", testKey)
		s := newSite(t)
		app, site := c.app, c.site
		if app == "" {
			app = usualApp
		}
		if site == "" {
			site = usualSite
		}
		site = strings.ReplaceAll(site, "PORT", s.port)
		queue := fmt.Sprintf("queue sqlite {\npath %s/queue.db\nencryption_key {env.SCRIBEGATE_KEY}\n", s.dir)
		if size := maxSize.FindString(app); size != "" {
			app = strings.Replace(app, size, "", 1)
			queue += strings.ToLower(size)
		}
		queue += "}\n"
		captured.reset()
		s.load(captureLog+"scribegate {\n"+queue+app+"\n}", site)

		checkRecorded(t)
		if c.says == "" {
			if lines := warnings(t); len(lines) != 0 {
				t.Errorf("warnings without cause: %v", lines)
			}
			return
		}
		lines := captured.with(t, c.says)
		if len(lines) != 1 || lines[0]["level"] != "warn" {
			t.Fatalf("the lines that say %q are %v, want one warning; all warnings: %v", c.says, lines, warnings(t))
		}
		logRow(t, "warning", c.name, fmt.Sprint(lines[0]["msg"]))
		for field, want := range c.has {
			if fmt.Sprint(lines[0][field]) != fmt.Sprint(want) {
				t.Errorf("%s is %v, want %v", field, lines[0][field], want)
			}
		}
	})
}

// warnings returns Scribegate's own lines so far that are warnings or errors.
func warnings(t *testing.T) (lines []map[string]any) {
	t.Helper()
	for _, line := range captured.with(t, "") {
		logger, _ := line["logger"].(string)
		if strings.Contains(logger, appName) && (line["level"] == "warn" || line["level"] == "error") {
			lines = append(lines, line)
		}
	}
	return lines
}

// rowName is the name of a test's row in the table of configurations.
func rowName(t *testing.T) string {
	t.Helper()
	return strings.ReplaceAll(path.Base(t.Name()), "_", " ")
}
