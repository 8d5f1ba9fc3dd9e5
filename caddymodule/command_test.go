package caddymodule

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
)

func TestSendCommand(t *testing.T) {
	s, b := newSite(t), newBackend(t)
	s.load(oneUpstream+b.URL+" {\n\t\t\tevents *\n\t\t}\n\t}", bothProviders)
	t.Setenv("SONIOX_WEBHOOK_SECRET", testSoniox)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(testSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	header := sonioxHeader + ": {env.SONIOX_WEBHOOK_SECRET}"
	soap, soniox := s.url+"/soapnote", s.url+"/soniox"

	sent := 0
	for _, args := range [][]string{
		{"soapnoteapi", "--to", soap},
		{"soapnoteapi", "--to", soap, "--event", "note.failed", "--secret", "{file." + secret + "}"},
		{"soapnoteapi", "--to", soap, "--event", "test", "--secret", testSecret},
		{"soniox", "--to", soniox, "--header", header},
		{"soniox", "--to", soniox, "--header", header, "--event", "transcription.error"},
	} {
		r := commandtest.Run(t, "", append([]string{"send"}, args...)...).Done(t)
		if f := strings.Fields(r.Out); len(f) != 3 || f[0] != "200" || f[1] != "OK" || !strings.HasPrefix(f[2], args[0]+"-") {
			t.Errorf("%v printed %q", args, r.Out)
		}
		sent++
	}
	var all []struct {
		Status    int
		ID        string
		Duplicate bool
		Error     string
	}
	commandtest.Run(t, "", "send", "soapnoteapi", "--to", soap, "--count", "3", "--rate", "1000", "--json").Done(t).Decode(t, &all)
	sent += 3
	if len(all) != 3 || all[0].Status != 200 || all[0].ID == all[1].ID || all[1].ID == all[2].ID {
		t.Errorf("three events: %+v", all)
	}
	payload := note("from a file")
	commandtest.Run(t, payload, "send", "soapnoteapi", "--to", soap, "--file", "-").Done(t)
	sent++
	if r := commandtest.Run(t, payload, "send", "soapnoteapi", "--to", soap, "--file", "-").Done(t); !strings.Contains(r.Out, "(duplicate)") {
		t.Errorf("the same file again: %q", r.Out)
	}
	b.wait(t, sent)

	failures := []struct {
		name, want string
		args       []string
	}{
		{"wrong secret", "1 of 1 events were not received", []string{"soapnoteapi", "--to", soap, "--secret", "wrong"}},
		{"wrong header", "1 of 1 events were not received", []string{"soniox", "--to", soniox, "--header", sonioxHeader + ": wrong"}},
		{"path of nobody", "1 of 1 events were not received", []string{"soapnoteapi", "--to", s.url + "/elsewhere"}},
		{"nobody there", "is the gateway running there?", []string{"soapnoteapi", "--to", "http://" + commandtest.ClosedPort(t) + "/"}},
		{"no URL", "--to is not a URL", []string{"soapnoteapi", "--to", "http://[::1"}},
		{"unset secret", "is unset or empty", []string{"soapnoteapi", "--to", soap, "--secret", "{env.SCRIBEGATE_TEST_UNSET}"}},
		{"request placeholder", "--secret:", []string{"soapnoteapi", "--to", soap, "--secret", "{http.request.host}"}},
		{"unknown provider", `unknown provider "other"`, []string{"other", "--to", soap}},
		{"unknown event", `--event "note.lost" is unknown`, []string{"soapnoteapi", "--to", soap, "--event", "note.lost"}},
		{"header for soapnoteapi", "--header is for soniox", []string{"soapnoteapi", "--to", soap, "--header", "A: b"}},
		{"secret for soniox", "--secret is for soapnoteapi", []string{"soniox", "--to", soniox, "--secret", "x"}},
		{"header without a name", "--header: write it as", []string{"soniox", "--to", soniox, "--header", "wrong"}},
		{"count of none", "--count must be at least 1", []string{"soapnoteapi", "--to", soap, "--count", "0"}},
		{"negative rate", "--rate must be a number", []string{"soapnoteapi", "--to", soap, "--rate", "-1"}},
		{"file that is not there", "reading --file", []string{"soapnoteapi", "--to", soap, "--file", filepath.Join(s.dir, "none")}},
		{"rate that is none", "--rate must be a number", []string{"soapnoteapi", "--to", soap, "--rate", "NaN"}},
		{"rate without end", "--rate must be a number", []string{"soapnoteapi", "--to", soap, "--rate", "Inf"}},
		{"URL without a scheme", "--to is not a URL with http:// or https://", []string{"soapnoteapi", "--to", strings.TrimPrefix(soap, "http://")}},
		{"URL without a host", "--to is not a URL with http:// or https://", []string{"soapnoteapi", "--to", "/soapnote"}},
		{"URL of another kind", "--to is not a URL with http:// or https://", []string{"soapnoteapi", "--to", "ftp://127.0.0.1/"}},
		{"another provider's event", `--event "test" is unknown for soniox; it is transcription.completed or transcription.error`, []string{"soniox", "--to", soniox, "--event", "test"}},
		{"header's name", "check --to, --secret and --header", []string{"soniox", "--to", soniox, "--header", "Bad Name: x"}},
		{"file that is a folder", "is a directory", []string{"soapnoteapi", "--to", soap, "--file", s.dir}},
		{"file without end", "it is larger than 64 MiB", []string{"soapnoteapi", "--to", soap, "--file", "/dev/zero"}},
		{"file and the default event", "--event selects a sample", []string{"soapnoteapi", "--to", soap, "--file", secret, "--event", "note.generated"}},
		{"authority for no TLS", "--cacert and --insecure are for a --to with https://", []string{"soapnoteapi", "--to", soap, "--cacert", secret}},
		{"no authority for no TLS", "--cacert and --insecure are for a --to with https://", []string{"soapnoteapi", "--to", soap, "--insecure"}},
		{"authority and none", "use one or the other", []string{"soapnoteapi", "--to", "https://localhost/", "--cacert", secret, "--insecure"}},
		{"authority that is none", "--cacert: the file contains no certificate in PEM", []string{"soapnoteapi", "--to", "https://localhost/", "--cacert", secret}},
		{"authority that is not there", "reading --cacert", []string{"soapnoteapi", "--to", "https://localhost/", "--cacert", filepath.Join(s.dir, "none")}},
		{"file and event", "--event selects a sample", []string{"soapnoteapi", "--to", soap, "--file", secret, "--event", "test"}},
	}
	for _, tt := range failures {
		t.Run(tt.name, func(t *testing.T) {
			r := commandtest.Run(t, "", append([]string{"send"}, tt.args...)...)
			r.Failed(t, tt.want)
			if strings.Contains(r.Out+r.ErrOut, testSecret) || strings.Contains(r.Out+r.ErrOut, testSoniox) {
				t.Errorf("a secret is printed: %s%s", r.Out, r.ErrOut)
			}
		})
	}
	if n := len(b.deliveries()); n != sent {
		t.Errorf("%d deliveries, want %d", n, sent)
	}
}
