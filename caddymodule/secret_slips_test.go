package caddymodule

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/scribegate/scribegate/caddymodule/internal/secret/secrettest"
)

func TestSlipsInFilesOfSecrets(t *testing.T) {
	for option, c := range map[string]struct {
		app, site string // %s is the placeholder
		value     string
	}{
		"secret of soapnoteapi":           {site: "scribegate soapnoteapi {\nsecret {env.SOAPNOTE_SECRET} %s\n}", value: testSecret},
		"header X-Secret of soniox":       {site: "scribegate soniox {\nheader X-Secret {env.SONIOX_SECRET} %s\n}", value: testSoniox},
		"header Authorization of soniox":  {site: "scribegate soniox {\nheader Authorization \"Bearer {env.SONIOX_SECRET}\" \"Bearer %s\"\n}", value: testSoniox},
		"header X-Key of soniox":          {site: "scribegate soniox {\nheader X-Key {env.SONIOX_SECRET} \"Api-Key %s\"\n}", value: testSoniox},
		"encryption_key":                  {app: "queue sqlite {\nencryption_key {env.SCRIBEGATE_KEY} %s\n}", value: testKey},
		"signing_secret":                  {app: "signing_secret {env.SIGNING_SECRET} %s", value: testSigning},
		"signing_secret of upstream beds": {app: "upstream beds http://127.0.0.1:9000 {\nsigning_secret {env.SIGNING_SECRET} %s\n}", value: testSigning},
	} {
		t.Run(option, func(t *testing.T) {
			t.Setenv("SCRIBEGATE_KEY", testKey)
			path, placeholder := secrettest.File(t, c.value)
			check := func() error {
				app, site := strings.ReplaceAll(c.app, "%s", placeholder), strings.ReplaceAll(c.site, "%s", placeholder)
				cfg, err := adapt(fmt.Sprintf("{\nscribegate {\n%s\n}\n}\nhttp://localhost:8080 {\n%s\n}\n", app, site))
				if err != nil {
					t.Fatal(err)
				}
				return validate(cfg)
			}
			if err := check(); err != nil {
				t.Fatalf("without a slip: %v", err)
			}
			for name, slip := range secrettest.Slips(c.value) {
				secrettest.Put(t, path, slip.Content)
				err := check()
				if err == nil {
					t.Errorf("%s: no error", name)
					continue
				}
				for _, want := range []string{option + ", entry 2: ", placeholder, slip.Error} {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%s: error %q does not say %q", name, err, want)
					}
				}
				if strings.Contains(err.Error(), c.value) {
					t.Errorf("%s: error %q quotes the value", name, err)
				}
			}
		})
	}
}

func TestSlipsInTheEnvironment(t *testing.T) {
	for name, slip := range secrettest.Slips(testSoniox) {
		if strings.ContainsRune(slip.Content, 0) {
			continue // the environment cannot hold it
		}
		t.Run(name, func(t *testing.T) {
			t.Setenv("SLIPPED", strings.TrimSuffix(slip.Content, "\n"))
			for entry, option := range map[string]string{"{env.SLIPPED}": "X-Secret", "Bearer {env.SLIPPED}": "Authorization"} {
				err := validate(inJSON("", `{"handler":"scribegate","provider":{"name":"soniox","header":"`+option+`","values":["`+entry+`"]}}`))
				if err == nil || !strings.Contains(err.Error(), "header "+option+" of soniox, entry 1: {env.SLIPPED}: ") || !strings.Contains(err.Error(), slip.Error) {
					t.Errorf("error %v, want one that names the option and says %q", err, slip.Error)
				}
			}
		})
	}
}

// TestSlipInAFileReachesNoDelivery spoils the first of two of Soniox's values
// while the gateway runs: it is neither announced nor sent.
func TestSlipInAFileReachesNoDelivery(t *testing.T) {
	s, b := newSite(t), newBackend(t)
	path := filepath.Join(s.dir, "soniox")
	secrettest.Put(t, path, "the-first-good-value\n")
	captured.reset()
	s.load(captureLog+"scribegate {\nQUEUE\nupstream raw "+b.URL+" {\nformat raw\n}\n}",
		"scribegate /soniox soniox {\nheader "+sonioxHeader+" {file."+path+"} {env.SONIOX_SECRET}\ndeliver_to raw\n}")
	secrettest.Put(t, path, "the-next-good-value\nanother line\n")
	eventually(t, "an error in the log", func() bool { return len(captured.with(t, logsUnusable)) > 0 })
	if text := fmt.Sprint(captured.with(t, logsUnusable)); !strings.Contains(text, "line break in the middle") {
		t.Errorf("the error %s does not say what is wrong", text)
	}
	if got := do(t, s.soniox("/soniox", transcription("tr-1"))); got.status != http.StatusOK {
		t.Errorf("answer %d %s by the second value", got.status, got.body)
	}
	if got := b.wait(t, 1)[0].header.Get(sonioxHeader); got != "the-first-good-value" {
		t.Errorf("delivered with %q, want the last good value", got)
	}
	if strings.Contains(captured.String(), "is in force") {
		t.Error("the log announces a value that cannot be used")
	}
	secrettest.Put(t, path, "the-next-good-value\n")
	eventually(t, "the next value in force", func() bool { return strings.Contains(captured.String(), "is in force") })
	if err := caddy.Stop(); err != nil {
		t.Error(err)
	}
}
