package caddymodule

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

const (
	warnsPlainHTTP    = "an upstream uses plain HTTP to another host"
	warnsLiteral      = "a secret is written literally in the configuration"
	warnsShort        = "a secret is shorter than 16 bytes"
	warnsNoPrefix     = "a SOAPNoteAPI secret does not begin with whsec_"
	warnsNotASCII     = "a secret contains a non-ASCII character"
	warnsLong         = "a header value is longer than the 256 characters"
	warnsUnset        = "an entry of a list of secrets is unset or empty"
	warnsAutomaticKey = "events are sealed with a key that was made beside the queue's file"
	warnsLogged       = "access logs are on and record the header that holds the secret"
)

// warned validates a configuration and returns the fields of its warnings.
func warned(t *testing.T, app, site, message string) []map[string]any {
	t.Helper()
	captured.reset()
	cfg, err := adapt(fmt.Sprintf("{\n%s\nscribegate {\n%s\n}\n}\nhttp://localhost:8080 {\n%s\n}\n", captureLog, app, site))
	if err != nil {
		t.Fatal(err)
	}
	if err := validate(cfg); err != nil {
		t.Fatal(err)
	}
	lines := captured.with(t, message)
	for _, line := range lines {
		if line["level"] != "warn" {
			t.Errorf("not a warning: %v", line)
		}
		logRow(t, "warning", rowName(t), fmt.Sprint(line["msg"]))
	}
	return lines
}

func TestWarnsOfPlainHTTP(t *testing.T) {
	t.Setenv("ELSEWHERE", "http://ehr.example.com/events")
	t.Setenv("HERE", "http://127.0.0.1:9000/events")
	route := func(proxy string) string { return "upstream ehr {\nroute {\n" + proxy + "\n}\n}" }
	for name, c := range map[string]struct {
		app  string
		host string // "" for no warning
	}{
		"URL elsewhere":                {"upstream ehr http://ehr.example.com/events", "ehr.example.com"},
		"URL to a private address":     {"upstream ehr http://10.0.0.7:9000", "10.0.0.7"},
		"URL to IPv6":                  {"upstream ehr http://[2001:db8::1]:9000", "2001:db8::1"},
		"URL by placeholder elsewhere": {"upstream ehr {env.ELSEWHERE}", "ehr.example.com"},
		"HTTPS":                        {"upstream ehr https://ehr.example.com/events", ""},
		"localhost":                    {"upstream ehr http://localhost:9000", ""},
		"loopback":                     {"upstream ehr http://127.0.0.1:9000", ""},
		"all of the loopback":          {"upstream ehr http://127.8.9.10:9000", ""},
		"loopback of IPv6":             {"upstream ehr http://[::1]:9000", ""},
		"URL by placeholder here":      {"upstream ehr {env.HERE}", ""},
		"route elsewhere":              {route("reverse_proxy w1:9000"), "w1"},
		"route with one elsewhere":     {route("reverse_proxy 127.0.0.1:9000 w1:9000"), "w1"},
		"route deep inside":            {route("handle /x {\nroute {\nreverse_proxy w1:9000\n}\n}"), "w1"},
		"route with h2c":               {route("reverse_proxy h2c://w1:9000"), "w1"},
		"route with a transport":       {route("reverse_proxy w1:9000 {\ntransport http {\ndial_timeout 1s\n}\n}"), "w1"},
		"route with dynamic upstreams": {route("reverse_proxy {\ndynamic a w1 9000\n}"), "w1"},
		"route with TLS":               {route("reverse_proxy w1:9000 {\ntransport http {\ntls\n}\n}"), ""},
		"route with dynamic and TLS":   {route("reverse_proxy {\ndynamic a w1 9000\ntransport http {\ntls\n}\n}"), ""},
		"route with https":             {route("reverse_proxy https://w1:9000"), ""},
		"route here":                   {route("reverse_proxy localhost:9000 127.0.0.1:9001 [::1]:9002 :9003"), ""},
		"route to a socket":            {route("reverse_proxy unix//run/ehr.sock"), ""},
		"route that answers by itself": {route("respond 204"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			lines := warned(t, c.app, "", warnsPlainHTTP)
			if c.host == "" {
				if len(lines) != 0 {
					t.Errorf("warned without cause: %v", lines)
				}
				return
			}
			if len(lines) != 1 || lines[0]["upstream"] != "ehr" || lines[0]["host"] != c.host {
				t.Errorf("warnings %v, want one of the host %s", lines, c.host)
			}
		})
	}
}

func TestWarnsOfLiteralAndUnsetSecrets(t *testing.T) {
	const ehr = "upstream ehr http://127.0.0.1:9000"
	const signing = "whsec_U0VDUkVUc2VjcmV0IG9mIGF0IGxlYXN0IDI0IGJ5dGVz"
	for name, c := range map[string]struct{ app, site, secret string }{
		"secret":                        {ehr, "scribegate soapnoteapi {\nsecret %s {env.SOAPNOTE_SECRET}\n}", "secret of soapnoteapi"},
		"header value":                  {ehr, "scribegate soniox {\nheader X-Secret %s {env.SONIOX_SECRET}\n}", "header X-Secret of soniox"},
		"signing_secret":                {"signing_secret %s {env.SIGNING_SECRET}\n" + ehr, "", "signing_secret"},
		"signing_secret of an upstream": {ehr + " {\nsigning_secret %s {env.SIGNING_SECRET}\n}", "", "signing_secret of upstream ehr"},
		"encryption_key":                {"queue sqlite {\nencryption_key %s {env.SCRIBEGATE_KEY}\n}\n" + ehr, "", "encryption_key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("SCRIBEGATE_KEY", testKey)
			value := signing
			if name == "encryption_key" {
				value = testKey
			}
			for entry, message := range map[string]string{value: warnsLiteral, "{env.NOT_SET}": warnsUnset} {
				with := func(s string) string { return strings.ReplaceAll(s, "%s", entry) }
				lines := warned(t, with(c.app), with(c.site), message)
				if len(lines) != 1 || lines[0]["secret"] != c.secret || lines[0]["entry"] != 1.0 {
					t.Errorf("warnings %v, want one of entry 1 of %q", lines, c.secret)
				}
				// Caddy itself logs the configuration at the level debug, which is the
				// reason for the warning about a literal secret.
				for line := range strings.Lines(captured.String()) {
					if strings.Contains(line, value) && !strings.Contains(line, `"logger":"http.auto_https"`) {
						t.Errorf("the line quotes the literal secret: %s", line)
					}
				}
			}
			with := func(s string) string { return strings.ReplaceAll(s, "%s ", "") }
			for _, message := range []string{warnsLiteral, warnsUnset} {
				if lines := warned(t, with(c.app), with(c.site), message); len(lines) != 0 {
					t.Errorf("warned without cause: %v", lines)
				}
			}
		})
	}
}

func TestWarnsOfDoubtfulSecrets(t *testing.T) {
	for name, c := range map[string]struct {
		option, value string // %s in the option stands for the value
		warns         []string
	}{
		"whole":                                 {"soapnoteapi secret %s", testSecret, nil},
		"without its prefix":                    {"soapnoteapi secret %s", strings.TrimPrefix(testSecret, "whsec_"), []string{warnsNoPrefix}},
		"cut off":                               {"soapnoteapi secret %s", "whsec_MfKQ9r8GK", []string{warnsShort}},
		"short, without prefix":                 {"soapnoteapi secret %s", "MfKQ9r8GK", []string{warnsShort, warnsNoPrefix}},
		"of 16 bytes":                           {"soniox header X-Secret %s", "0123456789abcdef", nil},
		"of 15":                                 {"soniox header X-Secret %s", "0123456789abcde", []string{warnsShort}},
		"of one":                                {"soniox header X-Secret %s", "x", []string{warnsShort}},
		"behind a scheme, of 16":                {`soniox header Authorization "Bearer %s"`, "0123456789abcdef", nil},
		"behind a scheme, of 15":                {`soniox header Authorization "Bearer %s"`, "0123456789abcde", []string{warnsShort}},
		"behind bearer, of 15":                  {`soniox header Authorization "bearer %s"`, "0123456789abcde", []string{warnsShort}},
		"behind Basic, of one":                  {`soniox header Authorization "Basic %s"`, "x", []string{warnsShort}},
		"behind Token, of one":                  {`soniox header Authorization "Token %s"`, "x", []string{warnsShort}},
		"with a letter that looks like another": {"soniox header X-Secret %s", "0123456789\u0430bcdef", []string{warnsNotASCII}},
		"of 256":                                {"soniox header X-Secret %s", strings.Repeat("x", 256), nil},
		"of 257":                                {"soniox header X-Secret %s", strings.Repeat("x", 257), []string{warnsLong}},
		"behind another word of 9":              {`soniox header Authorization "some-key-%s"`, "0123456", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("DOUBTFUL", c.value)
			provider, option, _ := strings.Cut(c.option, " ")
			site := "scribegate " + provider + " {\n" + strings.ReplaceAll(option, "%s", "{env.DOUBTFUL}") + "\n}"
			for _, message := range []string{warnsShort, warnsNoPrefix, warnsNotASCII, warnsLong} {
				lines := warned(t, "upstream ehr http://127.0.0.1:9000", site, message)
				want := 0
				if slices.Contains(c.warns, message) {
					want = 1
				}
				if len(lines) != want || want == 1 && lines[0]["entry"] != 1.0 {
					t.Errorf("warnings %v, want %d that begin with %q", lines, want, message)
				}
				if strings.Contains(captured.String(), c.value) && len(c.value) > 1 {
					t.Errorf("a line quotes the secret: %s", captured.String())
				}
			}
		})
	}
}

func TestWarnsOfHeadersThatAccessLogsHold(t *testing.T) {
	for name, c := range map[string]struct {
		site string
		want int
	}{
		"a header of its own":            {"log\nscribegate soniox {\nheader X-Webhook-Secret {env.SONIOX_SECRET}\n}", 1},
		"without an access log":          {"scribegate soniox {\nheader X-Webhook-Secret {env.SONIOX_SECRET}\n}", 0},
		"Authorization":                  {"log\nscribegate soniox {\nheader authorization {env.SONIOX_SECRET}\n}", 0},
		"Cookie":                         {"log\nscribegate soniox {\nheader Cookie {env.SONIOX_SECRET}\n}", 0},
		"a provider that has signatures": {"log\nscribegate soapnoteapi {\nsecret {env.SOAPNOTE_SECRET}\n}", 0},
	} {
		t.Run(name, func(t *testing.T) {
			lines := warned(t, "upstream ehr http://127.0.0.1:9000", c.site, warnsLogged)
			if len(lines) != c.want || (c.want == 1 && lines[0]["header"] != "X-Webhook-Secret") {
				t.Errorf("warnings %v, want %d", lines, c.want)
			}
		})
	}
	for name, c := range map[string]struct {
		logs string // the global options
		log  string // the site's access log
		want int
	}{
		"the format, default logger":     {"log {\nformat scribegate\n}", "log", 0},
		"the format, the site's logger":  {"log {\nformat scribegate\n}", "log {\noutput capture\nformat scribegate {\nwrap json\n}\n}", 0},
		"the format, but not by default": {"log {\nformat json\n}", "log {\noutput capture\nformat scribegate\n}", 1},
		"the format in a filter":         {"log {\nformat filter {\nwrap scribegate\nuser_id delete\n}\n}", "log", 0},
		"the format, another logger":     {"log {\nformat scribegate\n}", "log {\noutput capture\nformat json\n}", 1},
		"the format, two loggers":        {"log {\nformat scribegate\n}\nlog all {\noutput capture\nformat json\ninclude http.log.access\n}", "log", 1},
		"the format, not of access logs": {"log {\nformat scribegate\n}\nlog admin {\noutput capture\nformat json\ninclude admin.api\n}", "log", 0},
		"a filter of all headers":        {"log {\nformat filter {\nrequest>headers delete\n}\n}", "log", 0},
		"a filter of the header":         {"log {\nformat filter {\nrequest>headers>X-Webhook-Secret delete\n}\n}", "log", 0},
		"a filter of another header":     {"log {\nformat filter {\nrequest>headers>X-Other delete\n}\n}", "log", 1},
		"the site's logger by host": {
			"log {\nformat scribegate\n}",
			"log mine {\nhostnames localhost\noutput capture\nformat json\n}", 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			captured.reset()
			logs := strings.Replace(c.logs, "log {\n", "log {\noutput capture\n", 1)
			cfg, err := adapt(fmt.Sprintf("{\n%s\n}\nhttp://localhost:8080 {\n%s\nscribegate soniox {\nheader x-webhook-secret {env.SONIOX_SECRET}\n}\n}\n", logs, c.log))
			if err != nil {
				t.Fatal(err)
			}
			if err := validate(cfg); err != nil {
				t.Fatal(err)
			}
			lines := captured.with(t, warnsLogged)
			if len(lines) != c.want || c.want == 1 && (lines[0]["header"] != "X-Webhook-Secret" || !strings.Contains(lines[0]["msg"].(string), "format scribegate")) {
				t.Errorf("warnings %v, want %d", lines, c.want)
			}
		})
	}
	t.Run("Authorization where credentials are logged", func(t *testing.T) {
		captured.reset()
		cfg, err := adapt("{\n" + captureLog + "\nservers {\nlog_credentials\n}\n}\nhttp://localhost:8080 {\nlog\nscribegate soniox {\nheader Authorization {env.SONIOX_SECRET}\n}\n}\n")
		if err != nil {
			t.Fatal(err)
		}
		if err := validate(cfg); err != nil {
			t.Fatal(err)
		}
		if lines := captured.with(t, warnsLogged); len(lines) != 1 {
			t.Errorf("warnings %v, want one", lines)
		}
	})
}

func TestWarnsOfTheAutomaticKey(t *testing.T) {
	t.Setenv("SCRIBEGATE_KEY", testKey)
	for name, c := range map[string]struct {
		key  string
		want int
	}{"automatic": {"", 1}, "configured": {"encryption_key {env.SCRIBEGATE_KEY}", 0}} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			captured.reset()
			s.load(captureLog+"scribegate {\nqueue sqlite {\npath "+s.dir+"/queue.db\n"+c.key+"\n}\nupstream ehr http://127.0.0.1:9\n}", "respond 404")
			if lines := captured.with(t, warnsAutomaticKey); len(lines) != c.want || (c.want == 1 && lines[0]["level"] != "warn") {
				t.Errorf("warnings %v, want %d", lines, c.want)
			}
			checkRecorded(t)
		})
	}
}
