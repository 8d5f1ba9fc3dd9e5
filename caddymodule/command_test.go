package caddymodule

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/scribegate/scribegate/forwarder"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// A result is what came of a command.
type result struct {
	out, errOut string
	err         error
}

// commandLine runs a subcommand of `caddy scribegate` in this process.
func commandLine(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	registered, ok := caddycmd.Commands()["scribegate"]
	if !ok {
		t.Fatal("the command is not registered")
	}
	root := &cobra.Command{Use: "scribegate"}
	registered.CobraFunc(root)
	var out, errOut bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&errOut)
	root.SetIn(strings.NewReader(stdin))
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	return result{out.String(), errOut.String(), err}
}

// done fails the test unless the command did what it was asked for.
func (r result) done(t *testing.T) result {
	t.Helper()
	if r.err != nil || r.errOut != "" {
		t.Fatalf("%v\n%s%s", r.err, r.out, r.errOut)
	}
	return r
}

// failed fails the test unless the command failed and said this, once.
func (r result) failed(t *testing.T, want string) {
	t.Helper()
	if r.err == nil || strings.Count(r.errOut, "Error:") != 1 || !strings.Contains(r.errOut, want) {
		t.Errorf("%v, said %q and %q; want one error with %q", r.err, r.out, r.errOut, want)
	}
}

// decode reads a command's JSON.
func (r result) decode(t *testing.T, v any) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(r.out))
	if err := dec.Decode(v); err != nil {
		t.Fatalf("%v in %s", err, r.out)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		t.Errorf("more than one JSON value in %s", r.out)
	}
}

func TestKeygenCommand(t *testing.T) {
	t.Parallel()
	check := func(encryption, signing string) {
		if _, err := seal.ParseKey(encryption); err != nil {
			t.Errorf("encryption key: %v", err)
		}
		if _, err := forwarder.ParseSigningSecret(signing); err != nil {
			t.Errorf("signing secret: %v", err)
		}
		if b, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(signing, "whsec_")); err != nil || len(b) < 24 || len(b) > 64 {
			t.Errorf("signing secret of %d bytes, %v; want 24 to 64", len(b), err)
		}
	}
	plain := strings.Fields(commandLine(t, "", "keygen").done(t).out)
	if len(plain) != 4 || plain[0] != "encryption_key" || plain[2] != "signing_secret" {
		t.Fatalf("printed %v", plain)
	}
	check(plain[1], plain[3])
	var again map[string]string
	commandLine(t, "", "keygen", "--json").done(t).decode(t, &again)
	check(again["encryption_key"], again["signing_secret"])
	if again["encryption_key"] == plain[1] || again["signing_secret"] == plain[3] {
		t.Error("the same keys twice")
	}
}

// The commands end Caddy's process with a status of their own.
func TestCommandExitStatus(t *testing.T) {
	t.Parallel()
	nobody := closedPort(t)
	tests := []struct {
		name   string
		args   []string
		status int
	}{
		{"done", []string{"keygen"}, 0},
		{"nobody there", []string{"status", "--address", nobody}, 1},
		{"not live", []string{"health", "live", "--address", nobody}, 1},
		{"no such command", []string{"exhume"}, 1},
		{"no such flag", []string{"keygen", "--many"}, 1},
		{"missing argument", []string{"show"}, 1},
		{"too many arguments", []string{"keygen", "two"}, 1},
		{"not genuine", []string{"verify", "soapnoteapi", "--secret", "s", "--signature", strings.Repeat("0", 64), "--timestamp", "1773934200", "--file", os.DevNull}, 1},
		{"names nothing to replay", []string{"replay", "--address", nobody}, 1},
		{"names nothing to purge", []string{"purge", "--address", nobody}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cmd := caddyProcess(t, append([]string{"scribegate"}, tt.args...)...)
			var errOut bytes.Buffer
			cmd.Stderr = &errOut
			status := 0
			if err := cmd.Run(); err != nil {
				exit, ok := errors.AsType[*exec.ExitError](err)
				if !ok {
					t.Fatal(err)
				}
				status = exit.ExitCode()
			}
			if status != tt.status {
				t.Errorf("exit status %d, want %d: %s", status, tt.status, errOut.String())
			}
			if n := strings.Count(errOut.String(), "Error:"); n > 1 {
				t.Errorf("the error is printed %d times: %s", n, errOut.String())
			}
		})
	}
}

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
		r := commandLine(t, "", append([]string{"send"}, args...)...).done(t)
		if f := strings.Fields(r.out); len(f) != 3 || f[0] != "200" || f[1] != "OK" || !strings.HasPrefix(f[2], args[0]+"-") {
			t.Errorf("%v printed %q", args, r.out)
		}
		sent++
	}
	var all []struct {
		Status    int
		ID        string
		Duplicate bool
		Error     string
	}
	commandLine(t, "", "send", "soapnoteapi", "--to", soap, "--count", "3", "--rate", "1000", "--json").done(t).decode(t, &all)
	sent += 3
	if len(all) != 3 || all[0].Status != 200 || all[0].ID == all[1].ID || all[1].ID == all[2].ID {
		t.Errorf("three events: %+v", all)
	}
	payload := note("from a file")
	commandLine(t, payload, "send", "soapnoteapi", "--to", soap, "--file", "-").done(t)
	sent++
	if r := commandLine(t, payload, "send", "soapnoteapi", "--to", soap, "--file", "-").done(t); !strings.Contains(r.out, "(duplicate)") {
		t.Errorf("the same file again: %q", r.out)
	}
	b.wait(t, sent)

	failures := []struct {
		name, want string
		args       []string
	}{
		{"wrong secret", "1 of 1 events were not received", []string{"soapnoteapi", "--to", soap, "--secret", "wrong"}},
		{"wrong header", "1 of 1 events were not received", []string{"soniox", "--to", soniox, "--header", sonioxHeader + ": wrong"}},
		{"path of nobody", "1 of 1 events were not received", []string{"soapnoteapi", "--to", s.url + "/elsewhere"}},
		{"nobody there", "is the gateway running there?", []string{"soapnoteapi", "--to", "http://" + closedPort(t) + "/"}},
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
		{"authority and none", "give one of them", []string{"soapnoteapi", "--to", "https://localhost/", "--cacert", secret, "--insecure"}},
		{"authority that is none", "--cacert: the file holds no certificate in PEM", []string{"soapnoteapi", "--to", "https://localhost/", "--cacert", secret}},
		{"authority that is not there", "reading --cacert", []string{"soapnoteapi", "--to", "https://localhost/", "--cacert", filepath.Join(s.dir, "none")}},
		{"file and event", "--event selects a sample", []string{"soapnoteapi", "--to", soap, "--file", secret, "--event", "test"}},
	}
	for _, tt := range failures {
		t.Run(tt.name, func(t *testing.T) {
			r := commandLine(t, "", append([]string{"send"}, tt.args...)...)
			r.failed(t, tt.want)
			if strings.Contains(r.out+r.errOut, testSecret) || strings.Contains(r.out+r.errOut, testSoniox) {
				t.Errorf("a secret is printed: %s%s", r.out, r.errOut)
			}
		})
	}
	if n := len(b.deliveries()); n != sent {
		t.Errorf("%d deliveries, want %d", n, sent)
	}
}
