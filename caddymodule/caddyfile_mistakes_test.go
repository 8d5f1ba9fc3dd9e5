package caddymodule

import (
	"fmt"
	"strings"
	"testing"
)

// literal stands in every mistake where a secret does; no error may quote it.
const literal = "whsec_SECRETsecret+/="

// A mistake is a Caddyfile of which one line, marked with "# here", is wrong.
// What it does not say is right.
type mistake struct {
	name string
	app  string // the content of the global option
	site string // the content of the site block
	says string // the error says this, and so what to change
}

// caddyfile is the whole file, and the number of the line that is wrong.
func (m mistake) caddyfile(t *testing.T) (text string, line int) {
	t.Helper()
	app, site := m.app, m.site
	if app == "" {
		app = "upstream ehr http://127.0.0.1:9000"
	}
	text = fmt.Sprintf("{\n\tscribegate {\n%s\n\t}\n}\n\nhttp://localhost:8080 {\n%s\n}\n", app, site)
	if m.app == noApp {
		text = fmt.Sprintf("http://localhost:8080 {\n%s\n}\n", site)
	}
	return text, wrongLine(t, text)
}

// wrongLine is the number of the line that is marked.
func wrongLine(t *testing.T, text string) int {
	t.Helper()
	before, _, ok := strings.Cut(text, "# here")
	if !ok {
		t.Fatal("no line is marked as wrong")
	}
	return 1 + strings.Count(before, "\n")
}

// noApp is a mistake's app where there is no global option at all.
const noApp = "none"

// These put a wrong line into its block.
func inApp(line string) (app, site string) {
	return "upstream ehr http://127.0.0.1:9000\n" + line + " # here", ""
}

func inUpstream(line string) (app, site string) {
	return "upstream ehr http://127.0.0.1:9000 {\n" + line + " # here\n}", ""
}

func inBolt(line string) (app, site string) {
	return "queue bolt {\n" + line + " # here\n}", ""
}

func inSoapnote(line string) (app, site string) {
	return "", "scribegate /soapnote soapnoteapi {\nsecret {env.SOAPNOTE_SECRET}\n" + line + " # here\n}"
}

func inSoniox(line string) (app, site string) {
	return "", "scribegate /soniox soniox {\nmetadata a\n" + line + " # here\n}"
}

func TestMistakesInTheCaddyfile(t *testing.T) {
	for block, lines := range map[string]struct {
		in    func(string) (app, site string)
		wrong map[string]string // line -> what the error says
	}{
		"app": {inApp, map[string]string{
			"no_such_option 5m":              `scribegate: unknown subdirective "no_such_option"; known are queue, dedupe_window, dead_retention, history_retention, keep_delivered, signing_secret, admin_payloads, upstream`,
			literal:                          "scribegate: unknown subdirective; known are queue",
			"queue":                          "write it as: queue <engine>",
			"queue memory":                   `queue: unknown engine "memory"; the embedded one is bolt`,
			"queue nats":                     "xcaddy build --with github.com/scribegate/scribegate/caddymodule --with github.com/scribegate/scribegate/caddymodule/nats",
			"queue bolt /var/lib/queue.db":   "path and the rest stand in its block",
			"dedupe_window":                  "write it as: dedupe_window <duration>",
			"dedupe_window 1h 2h":            "write it as: dedupe_window <duration>",
			"dedupe_window soon":             `dedupe_window: "soon" is no duration; write a number with a unit`,
			"dedupe_window 24":               `"24" is no duration`,
			"dedupe_window -24h":             "dedupe_window: the duration -24h is negative",
			"dedupe_window 0s":               "dedupe_window: it must be longer than zero",
			"dead_retention":                 "write it as: dead_retention <duration>",
			"dead_retention 1d 1d":           "write it as: dead_retention <duration>",
			"dead_retention 14 d":            "write it as: dead_retention <duration>",
			"dead_retention fortnight":       "is no duration",
			"dead_retention -1d":             "is negative",
			"dead_retention 0s":              "longer than zero",
			"history_retention":              "write it as: history_retention <duration>",
			"history_retention 1h 1h":        "write it as: history_retention <duration>",
			"history_retention 72":           "is no duration",
			"history_retention -1s":          "is negative",
			"keep_delivered":                 "write it as: keep_delivered <duration>",
			"keep_delivered 1h 1h":           "write it as: keep_delivered <duration>",
			"keep_delivered ever":            "is no duration",
			"keep_delivered -1s":             "is negative",
			"signing_secret":                 "write it as: signing_secret",
			"admin_payloads on":              "write it as: admin_payloads",
			"upstream":                       "write it as: upstream <name> [<url>]",
			"upstream b http://b " + literal: "write it as: upstream <name> [<url>]",
			"upstream http://b":              "a name has 1 to 64 letters",
			`upstream "" http://b`:           "a name has 1 to 64 letters",
			"upstream b":                     "neither a URL nor a route",
			"upstream ehr http://b":          "upstream ehr is defined twice",
			"upstream b b:9000/events":       "must begin with http:// or https://",
			"upstream b ftp://b/events":      "must begin with http:// or https://",
			"upstream b http:///events":      "name a host",
			"upstream b http://b/#x":         "fragment",
			"upstream b http://u:" + literal + "@b:9000/events": "its URL cannot be parsed",
		}},
		"upstream": {inUpstream, map[string]string{
			"path /x":                             `upstream ehr: unknown subdirective "path"; known are events, format, timeout, concurrency, retry, rate_limit, signing_secret, route`,
			literal:                               "upstream ehr: unknown subdirective; known are events",
			"events":                              "write it as: events <type>...",
			"format":                              "write it as: format structured|binary|raw",
			"format binary raw":                   "write it as: format structured|binary|raw",
			"format cloudevents":                  `format "cloudevents" is unknown; it is structured, binary or raw`,
			`format ""`:                           "it is structured, binary or raw",
			"timeout":                             "write it as: timeout <duration>",
			"timeout 1s 2s":                       "write it as: timeout <duration>",
			"timeout long":                        "is no duration",
			"timeout -1s":                         "is negative",
			"timeout 0s":                          "longer than zero",
			"concurrency":                         "write it as: concurrency <number>",
			"concurrency 1 2":                     "write it as: concurrency <number>",
			"concurrency 0":                       "no whole number from 1 on",
			"concurrency -1":                      "no whole number from 1 on",
			"concurrency 1.5":                     "no whole number from 1 on",
			"concurrency many":                    "no whole number from 1 on",
			"concurrency 99999999999999999999999": "no whole number from 1 on",
			"retry":                               "write it as: retry <wait>...",
			"retry 5s often":                      "is no duration",
			"retry 5s -1s":                        "is negative",
			"rate_limit":                          "write it as: rate_limit",
			"rate_limit 1 2":                      "write it as: rate_limit",
			"rate_limit 0":                        "no number of deliveries per second above zero",
			"rate_limit -1":                       "no number of deliveries per second above zero",
			"rate_limit NaN":                      "no number of deliveries per second above zero",
			"rate_limit Inf":                      "no number of deliveries per second above zero",
			"rate_limit 10/s":                     "no number of deliveries per second above zero",
			"signing_secret":                      "write it as: signing_secret",
			"route /x":                            "write it as: route",
			"route":                               "its route is empty",
		}},
		"queue bolt": {inBolt, map[string]string{
			"file /var/lib/queue.db":    `queue bolt: unknown subdirective "file"; known are path, max_size, encryption_key`,
			literal:                     "queue bolt: unknown subdirective; known are path",
			"path":                      "write it as: path <file>",
			"path a b":                  "write it as: path <file>",
			`path ""`:                   "write it as: path <file>",
			"max_size":                  "write it as: max_size <size>",
			"max_size 10 GiB":           "write it as: max_size <size>",
			"max_size big":              `max_size: "big" is no size; write a number with a unit`,
			"max_size -1GiB":            "is no size",
			"max_size 0":                "is no size",
			"max_size 99999999EiB":      "is no size",
			"encryption_key":            "write it as: encryption_key <key>",
			"encryption_key " + literal: "it is not base64",
			"encryption_key {env.SCRIBEGATE_KEY} c2VjcmV0": "it has 6 bytes and must have 32",
		}},
		"soapnoteapi": {inSoapnote, map[string]string{
			"header X-Secret " + literal: `scribegate soapnoteapi: unknown subdirective "header"; known are secret, tolerance, deliver_to, max_body, metadata, source, format`,
			literal:                      "scribegate soapnoteapi: unknown subdirective; known are secret",
			"tolerance":                  "write it as: tolerance <duration>",
			"tolerance 1m 2m":            "write it as: tolerance <duration>",
			"tolerance 300":              "is no duration",
			"tolerance -5m":              "is negative",
			"tolerance 0s":               "longer than zero",
			"max_body":                   "write it as: max_body <size>",
			"max_body 1 MiB":             "write it as: max_body <size>",
			"max_body huge":              "is no size",
			"max_body 0":                 "is no size",
			"max_body -1":                "is no size",
			"max_body 257MiB":            "max_body: it must be at most",
			"metadata":                   "write it as: metadata <parameter>...",
			"source":                     "write it as: source <uri>",
			"source a b":                 "write it as: source <uri>",
			`source "two words"`:         "source must be a URI in printable ASCII",
			"source :":                   "source is no URI",
			"format":                     "write it as: format structured|binary|raw",
			"format json":                "is unknown; it is structured, binary or raw",
			"deliver_to":                 "write it as: deliver_to <upstream>...",
			"deliver_to warehouse":       "the upstream warehouse is not defined; define it in the scribegate block of the global options",
			"deliver_to ehr warehouse":   "the upstream warehouse is not defined",
			"deliver_to ehr ehr":         "it names the upstream ehr twice",
		}},
		"soniox": {inSoniox, map[string]string{
			"secret " + literal:                     `scribegate soniox: unknown subdirective "secret"; known are header, deliver_to, max_body`,
			"header":                                "write it as: header <name> <value>...",
			"header X-Secret":                       "write it as: header <name> <value>...",
			"header " + literal:                     "write it as: header <name> <value>...",
			"header " + literal + " x":              "choose a name with hyphens",
			"header X_Secret " + literal:            "Caddy drops headers with an underscore or a dot",
			"header X.Secret " + literal:            "Caddy drops headers with an underscore or a dot",
			`header "X Secret" ` + literal:          "not a valid header name",
			`header "Bearer abc" x`:                 "not a valid header name",
			"header X-Schlüssel " + literal:         "not a valid header name",
			`header "" ` + literal:                  "its name is missing",
			"header Connection " + literal:          "is hop-by-hop",
			"header keep-alive " + literal:          "is hop-by-hop",
			"header TE " + literal:                  "is hop-by-hop",
			"header Upgrade " + literal:             "is hop-by-hop",
			"header Proxy-Authorization " + literal: "is hop-by-hop",
			"header Transfer-Encoding " + literal:   "is hop-by-hop",
			"header Host " + literal:                "can prove none",
			"header content-type " + literal:        "can prove none",
		}},
	} {
		for line, says := range lines.wrong {
			app, site := lines.in(line)
			mistake{block + ": " + line, app, site, says}.test(t)
		}
	}
}

// test adapts the Caddyfile and judges the error.
func (m mistake) test(t *testing.T) {
	t.Helper()
	t.Run(m.name, func(t *testing.T) {
		text, line := m.caddyfile(t)
		_, err := adapt(text)
		if err == nil {
			t.Fatalf("no error in\n%s", text)
		}
		if place := fmt.Sprintf("Caddyfile:%d", line); !strings.Contains(err.Error()+" ", place+" ") && !strings.Contains(err.Error(), place+":") && !strings.Contains(err.Error(), place+",") {
			t.Errorf("error %q does not say %s", err, place)
		}
		if !strings.Contains(err.Error(), m.says) {
			t.Errorf("error %q does not say %q", err, m.says)
		}
		if strings.Contains(strings.ToLower(err.Error()), "secretsecret") || strings.Contains(err.Error(), "Bearer abc") {
			t.Errorf("error %q quotes a secret", err)
		}
	})
}

func TestMistakesAcrossBlocks(t *testing.T) {
	const secret = "\nsecret {env.SOAPNOTE_SECRET}\n"
	route := func(content string) string { return "upstream ehr {\nroute {\n" + content + "\n}\n}" }
	for _, m := range []mistake{
		{"the provider is missing", "", "scribegate /soapnote { # here\n}", "the provider is missing; write it behind the path: soapnoteapi, soniox"},
		{"no argument at all", "", "scribegate # here", "the provider is missing"},
		{"unknown provider", "", "scribegate /x deepgram { # here\n}", `unknown provider "deepgram"; known are soapnoteapi, soniox`},
		{"a secret for a provider", "", "scribegate /x " + literal + " { # here\n}", "unknown provider; known are soapnoteapi, soniox"},
		{"an argument too many", "", "scribegate /x soapnoteapi " + literal + " { # here" + secret + "}", "write it as: scribegate [<matcher>] <provider>"},
		{"the path behind the provider", "", "scribegate soapnoteapi /x { # here" + secret + "}", "write it as: scribegate [<matcher>] <provider>"},
		{"no secret", "", "scribegate /x soapnoteapi { # here\ndeliver_to ehr\n}", "secret is missing"},
		{"no secret and no block", "", "scribegate /x soapnoteapi # here", "secret is missing"},
		{"a secret without a value", "", "scribegate /x soapnoteapi {\nsecret # here\n}", "write it as: secret <secret>..."},
		{"no header", "", "scribegate /x soniox { # here\ndeliver_to ehr\n}", "header is missing"},
		{"no app block", noApp, "scribegate /x soapnoteapi {" + secret + "deliver_to ehr # here\n}", "define it in the scribegate block of the global options"},
		{"an app block without upstreams", "admin_payloads", "scribegate /x soapnoteapi {" + secret + "deliver_to ehr # here\n}", "the upstream ehr is not defined"},
		{"format behind deliver_to", "", "scribegate /x soapnoteapi {" + secret + "deliver_to ehr\nformat raw # here\n}", "format belongs to the upstreams"},
		{"format before deliver_to", "", "scribegate /x soapnoteapi {" + secret + "format raw\ndeliver_to ehr # here\n}", "format belongs to the upstreams"},
		{"dedupe_window below twice the default tolerance", "dedupe_window 9m59s\nupstream ehr http://127.0.0.1:9000", "scribegate soapnoteapi { # here" + secret + "deliver_to ehr\n}", "dedupe_window is 9m59s and must be at least 10m0s"},
		{"dedupe_window below twice the tolerance", "dedupe_window 2h\nupstream ehr http://127.0.0.1:9000", "scribegate soapnoteapi { # here" + secret + "tolerance 61m\ndeliver_to ehr\n}", "dedupe_window is 2h0m0s and must be at least 2h2m0s"},
		{"the default dedupe_window below twice the tolerance", "", "scribegate soapnoteapi { # here" + secret + "tolerance 13h\ndeliver_to ehr\n}", "dedupe_window is 24h0m0s and must be at least 26h0m0s"},

		{"URL and route", "upstream ehr http://127.0.0.1:9000 { # here\nroute {\nrespond 204\n}\n}", "", "both a URL and a route"},
		{"neither URL nor route", "upstream ehr { # here\nevents *\n}", "", "neither a URL nor a route"},
		{"an empty route", "upstream ehr {\nroute { # here\n}\n}", "", "its route is empty"},
		{"a route of nothing but a matcher", "upstream ehr {\nroute { # here\n@x path /x\n}\n}", "", "its route is empty"},
		{"a route of an empty handle", "upstream ehr {\nroute { # here\nhandle /x {\n}\n}\n}", "", "its route is empty"},
		{"a route with an unknown directive", "upstream ehr {\nroute { # here\nno_such_directive\n}\n}", "", "no_such_directive"},
		{"a route with a mistaken directive", route("reverse_proxy 127.0.0.1:9000 {\nlb_policy no_such_policy # here\n}"), "", "no_such_policy"},
		{"a route with an unknown matcher", "upstream ehr {\nroute { # here\nrespond @nobody 204\n}\n}", "", "nobody"},
		{"a scribegate in a route", route("scribegate soapnoteapi { # here" + secret + "}"), "", "events in a circle; take it out"},
		{"a scribegate deep in a route", route("handle /x {\nroute {\nscribegate @x soapnoteapi { # here" + secret + "}\n}\n}"), "", "events in a circle; take it out"},
		{"a route with a log", "upstream ehr {\nroute { # here\nlog\nrespond 204\n}\n}", "", "only handler directives"},
		{"a route with a tls", "upstream ehr {\nroute { # here\ntls internal\nrespond 204\n}\n}", "", "only handler directives"},
		{"a route with a bind", "upstream ehr {\nroute { # here\nbind 127.0.0.1\nrespond 204\n}\n}", "", "only handler directives"},
		{"a route with an invoke", "upstream ehr {\nroute { # here\ninvoke x\n}\n}", "", "x"},
		{"a route with a handle_errors", "upstream ehr {\nroute { # here\nhandle_errors {\nrespond 500\n}\n}\n}", "", "only handler directives"},

		{"queue twice", "queue bolt\nqueue bolt # here", "", "queue stands here twice"},
		{"dedupe_window twice", "dedupe_window 1h\ndedupe_window 1h # here", "", "dedupe_window stands here twice"},
		{"dead_retention twice", "dead_retention 1h\ndead_retention 1h # here", "", "dead_retention stands here twice"},
		{"history_retention twice", "history_retention 0s\nhistory_retention 0s # here", "", "history_retention stands here twice"},
		{"keep_delivered twice", "keep_delivered 0s\nkeep_delivered 0s # here", "", "keep_delivered stands here twice"},
		{"signing_secret twice", "signing_secret {env.A}\nsigning_secret " + literal + " # here", "", "signing_secret stands here twice"},
		{"admin_payloads twice", "admin_payloads\nadmin_payloads # here", "", "admin_payloads stands here twice"},
		{"path twice", "queue bolt {\npath a\npath a # here\n}", "", "path stands here twice"},
		{"max_size twice", "queue bolt {\nmax_size 1GiB\nmax_size 1GiB # here\n}", "", "max_size stands here twice"},
		{"encryption_key twice", "queue bolt {\nencryption_key {env.A}\nencryption_key {env.B} # here\n}", "", "encryption_key stands here twice"},
		{"events twice", "upstream ehr http://a {\nevents *\nevents * # here\n}", "", "events stands here twice"},
		{"timeout twice", "upstream ehr http://a {\ntimeout 1s\ntimeout 1s # here\n}", "", "timeout stands here twice"},
		{"retry twice", "upstream ehr http://a {\nretry 1s\nretry 1s # here\n}", "", "retry stands here twice"},
		{"route twice", "upstream ehr {\nroute {\nrespond 204\n}\nroute { # here\nrespond 204\n}\n}", "", "route stands here twice"},
		{"an upstream's signing_secret twice", "upstream ehr http://a {\nsigning_secret {env.A}\nsigning_secret " + literal + " # here\n}", "", "signing_secret stands here twice"},
		{"deliver_to twice", "", "scribegate soapnoteapi {" + secret + "deliver_to ehr\ndeliver_to ehr # here\n}", "deliver_to stands here twice"},
		{"max_body twice", "", "scribegate soapnoteapi {" + secret + "max_body 1KiB\nmax_body 1KiB # here\n}", "max_body stands here twice"},
		{"metadata twice", "", "scribegate soapnoteapi {" + secret + "metadata a\nmetadata b # here\n}", "metadata stands here twice"},
		{"source twice", "", "scribegate soapnoteapi {" + secret + "source urn:a\nsource urn:b # here\n}", "source stands here twice"},
		{"format twice", "", "scribegate soapnoteapi {" + secret + "format raw\nformat raw # here\n}", "format stands here twice"},
		{"secret twice", "", "scribegate soapnoteapi {" + secret + "secret " + literal + " # here\n}", "secret stands here twice"},
		{"tolerance twice", "", "scribegate soapnoteapi {" + secret + "tolerance 1m\ntolerance 1m # here\n}", "tolerance stands here twice"},
		{"header twice", "", "scribegate soniox {\nheader X-A {env.A}\nheader X-B " + literal + " # here\n}", "header stands here twice"},
	} {
		m.test(t)
	}
}

func TestGlobalOptionMistakes(t *testing.T) {
	for name, c := range map[string]struct{ text, says string }{
		"twice":            {"{\nscribegate {\nadmin_payloads\n}\nscribegate { # here\n}\n}\n", "put everything into one block"},
		"with an argument": {"{\nscribegate " + literal + " { # here\nadmin_payloads\n}\n}\n", "takes no argument"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := adapt(c.text)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range []string{fmt.Sprintf("Caddyfile:%d", wrongLine(t, c.text)), c.says} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), literal) {
				t.Errorf("error %q quotes a secret", err)
			}
		})
	}
}

// TestRefusedPlaceholders puts what a stranger could choose, and what is none at
// all, into every place for a secret.
func TestRefusedPlaceholders(t *testing.T) {
	places := map[string]func(value string) mistake{
		"secret": func(v string) mistake {
			return mistake{site: "scribegate soapnoteapi {\nsecret {env.SOAPNOTE_SECRET} " + v + " # here\n}"}
		},
		"header value": func(v string) mistake {
			return mistake{site: "scribegate soniox {\nheader X-Secret {env.SONIOX_SECRET} " + v + " # here\n}"}
		},
		"encryption_key": func(v string) mistake {
			return mistake{app: "queue bolt {\nencryption_key {env.SCRIBEGATE_KEY} " + v + " # here\n}"}
		},
		"signing_secret": func(v string) mistake {
			return mistake{app: "signing_secret {env.SIGNING_SECRET} " + v + " # here"}
		},
		"signing_secret of an upstream": func(v string) mistake {
			return mistake{app: "upstream ehr http://127.0.0.1:9000 {\nsigning_secret {env.SIGNING_SECRET} " + v + " # here\n}"}
		},
	}
	values := map[string]string{
		"{http.request.header.x}":        "the placeholder {http.request.header.x} is not allowed here, since whoever sends a request could choose its value; use one of {env.NAME} and {file./absolute/path}",
		"\"Bearer {http.vars.x}\"":       "the placeholder {http.vars.x} is not allowed here",
		"{query.x}":                      "could choose its value",
		"{header.x}":                     "could choose its value",
		"{cookie.x}":                     "could choose its value",
		"{vars.x}":                       "could choose its value",
		"{path}":                         "could choose its value",
		"{path.0}":                       "could choose its value",
		"{query}":                        "could choose its value",
		"{host}":                         "could choose its value",
		"{uuid}":                         "could choose its value",
		"{re.a.1}":                       "could choose its value",
		"{remote_host}":                  "could choose its value",
		"{time.now.unix}":                "use one of {env.NAME} and {file./absolute/path}",
		"{system.hostname}":              "use one of {env.NAME} and {file./absolute/path}",
		"{env.}":                         "use one of {env.NAME} and {file./absolute/path}",
		"{env}":                          "use one of {env.NAME} and {file./absolute/path}",
		"{env.A}{query.x}":               "could choose its value",
		"{file.secret}":                  "a file is named by its absolute path, as in {file./run/secrets/secret}",
		"\"Bearer {file.soniox-token}\"": "a file is named by its absolute path, as in {file./run/secrets/soniox-token}",
		"a{SECRETsecret}b":               `write a brace that belongs to the value "\{"`,
		"a{SECRETsecret":                 `a brace that belongs to the value is written "\{"`,
	}
	for place, with := range places {
		for value, says := range values {
			m := with(value)
			m.name, m.says = place+" "+value, says
			m.test(t)
		}
	}
}
