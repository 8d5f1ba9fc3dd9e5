package command

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/caddymodule/internal/secret/secrettest"
	"github.com/scribegate/scribegate/verifier"
)

func TestVerifyCommand(t *testing.T) {
	at := func(age time.Duration) string { return strconv.FormatInt(time.Now().Add(-age).Unix(), 10) }
	const secret = soapnoteSecret
	body := capturedNote
	spaced := strings.ReplaceAll(body, ",", ", ")
	old := at(100 * time.Hour)
	tests := []struct {
		name      string
		body      string
		secret    string
		signature func(timestamp string) string // nil: the right one for body
		timestamp string
		tolerance string
		genuine   bool
		want      []string
		not       []string
	}{
		{name: "genuine", body: body, timestamp: at(90 * time.Second), genuine: true, want: []string{"genuine yes", "age 1m3", "payload valid", "id soapnoteapi-"}, not: []string{"hint"}},
		{name: "old, without a tolerance", body: body, timestamp: old, genuine: true, want: []string{"genuine yes", "age 100h0m0"}},
		{name: "old, with a tolerance", body: body, timestamp: old, tolerance: "5m", want: []string{"genuine no", "reason timestamp_stale", "age 100h0m0"}},
		{name: "fresh, with a tolerance", body: body, timestamp: at(0), tolerance: "1d", genuine: true, want: []string{"genuine yes"}},
		{name: "from the future, with a tolerance", body: body, timestamp: at(-time.Hour), tolerance: "5m", want: []string{"genuine no", "reason timestamp_future", "age -"}},
		{name: "genuine, not JSON", body: "{", timestamp: at(0), genuine: true, want: []string{"genuine yes", "payload invalid payload: "}, not: []string{"payload valid"}},
		{name: "upper case", body: body, timestamp: old, signature: func(ts string) string {
			return strings.ToUpper(verifier.Sign(secret, ts, []byte(body)))
		}, genuine: true, want: []string{"genuine yes"}},
		{name: "body re-serialized", body: spaced, timestamp: old, signature: func(ts string) string {
			return verifier.Sign(secret, ts, []byte(body))
		}, want: []string{"genuine no", "reason signature_mismatch", "hint the body was re-serialized"}},
		{name: "secret decoded", body: body, timestamp: old, signature: func(ts string) string {
			return verifier.Sign("1\xf2\x90\xf6\xbf\x06)\x8a\xab\xc1\x06\xd4\x8f\x0f\xf1<\xb3\xd2#f\x8bh\xb4\xb0", ts, []byte(body))
		}, want: []string{"genuine no", "signature_mismatch"}},
		{name: "wrong environment's secret", body: body, secret: "whsec_b3RoZXI=", timestamp: old, signature: func(ts string) string {
			return verifier.Sign(secret, ts, []byte(body))
		}, want: []string{"genuine no", "signature_mismatch", "hint", "another environment"}},
		{name: "line break added", body: body + "\n", timestamp: old, signature: func(ts string) string {
			return verifier.Sign(secret, ts, []byte(body))
		}, want: []string{"genuine no", "hint the body given here ends with a line break"}},
		{name: "signature in base64", body: body, timestamp: old, signature: func(string) string {
			return "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="
		}, want: []string{"genuine no", "reason signature_malformed", "hint", "base64"}},
		{name: "timestamp in milliseconds", body: body, timestamp: old + "000", signature: func(string) string {
			return verifier.Sign(secret, old, []byte(body))
		}, want: []string{"genuine no", "reason timestamp_malformed", "hint", "in milliseconds"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "body")
			if err := os.WriteFile(file, []byte(tt.body), 0o600); err != nil {
				t.Fatal(err)
			}
			signature := verifier.Sign(secret, tt.timestamp, []byte(tt.body))
			if tt.signature != nil {
				signature = tt.signature(tt.timestamp)
			}
			given := tt.secret
			if given == "" {
				given = "{env.SOAPNOTE_SECRET}"
			}
			args := []string{"verify", "soapnoteapi", "--secret", given, "--signature", signature, "--timestamp", tt.timestamp}
			if tt.tolerance != "" {
				args = append(args, "--tolerance", tt.tolerance)
			}
			r := commandtest.Run(t, "", append(args, "--file", file)...)
			if (r.Err == nil) != tt.genuine || r.ErrOut != "" {
				t.Errorf("error %v, %s", r.Err, r.ErrOut)
			}
			var lines []string
			for line := range strings.Lines(r.Out) {
				lines = append(lines, strings.Join(strings.Fields(line), " "))
			}
			printed := strings.Join(lines, "\n")
			for _, want := range tt.want {
				if !strings.Contains(printed, want) {
					t.Errorf("printed\n%s\nwithout %q", printed, want)
				}
			}
			for _, not := range append(tt.not, secret, "PATIENT", strings.ToLower(verifier.Sign("x", "1", nil))) {
				if strings.Contains(printed, not) {
					t.Errorf("printed\n%s\nwith %q", printed, not)
				}
			}

			var j map[string]any
			piped := commandtest.Run(t, tt.body, append(args, "--json")...) // from standard input
			piped.Decode(t, &j)
			if j["genuine"] != tt.genuine || (piped.Err == nil) != tt.genuine {
				t.Errorf("as JSON: %v, %v", j, piped.Err)
			}
		})
	}
}

func TestVerifyCommandOfSoniox(t *testing.T) {
	args := func(header, secret string) []string {
		return []string{"verify", "soniox", "--header", header, "--secret", secret}
	}
	body := capturedTranscription
	r := commandtest.Run(t, body, args("X-Key: "+sonioxSecret, "{env.SONIOX_SECRET}")...).Done(t)
	if !strings.Contains(r.Out, "soniox-") {
		t.Errorf("printed %s", r.Out)
	}
	r = commandtest.Run(t, body, args("Authorization: Bearer "+sonioxSecret, "{env.SONIOX_SECRET}")...)
	if r.Err == nil || !strings.Contains(r.Out, "auth_mismatch") || !strings.Contains(r.Out, "hint") || strings.Contains(r.Out, sonioxSecret) {
		t.Errorf("%v, printed %s", r.Err, r.Out)
	}
}

func TestVerifyCommandMistakes(t *testing.T) {
	signature := []string{"--signature", strings.Repeat("0", 64), "--timestamp", "1773934200"}
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"unknown provider": {append([]string{"other", "--secret", "x"}, signature...), `unknown provider "other"`},
		"no signature":     {[]string{"soapnoteapi", "--secret", "x", "--timestamp", "1"}, "--signature and --timestamp are needed"},
		"no timestamp":     {[]string{"soapnoteapi", "--secret", "x", "--signature", "1"}, "--signature and --timestamp are needed"},
		"unset secret":     {append([]string{"soapnoteapi", "--secret", "{env.SCRIBEGATE_TEST_UNSET}"}, signature...), "is unset or empty"},
		"no file":          {append([]string{"soapnoteapi", "--secret", "x", "--file", "/nowhere/at/all"}, signature...), "reading --file"},
		"no header":        {[]string{"soniox", "--secret", "x"}, "--header: write it as"},
	} {
		t.Run(name, func(t *testing.T) {
			commandtest.Run(t, "", append([]string{"verify"}, tt.args...)...).Failed(t, tt.want)
		})
	}
}

// For a secret from a file with more than the secret in it, verify prints a hint, and
// send returns an error.
func TestVerifyCommandHintsAtTheSecret(t *testing.T) {
	soapnote, transcript := capturedNote, capturedTranscription
	signature := verifier.Sign(soapnoteSecret, "1773934200", []byte(soapnote))
	for provider, c := range map[string]struct {
		value, body string
		args        []string
	}{
		"soapnoteapi": {soapnoteSecret, soapnote, []string{"--signature", signature, "--timestamp", "1773934200"}},
		"soniox":      {sonioxSecret, transcript, []string{"--header", "X-Key: " + sonioxSecret}},
	} {
		path, placeholder := secrettest.File(t, c.value)
		args := append([]string{"verify", provider, "--secret", placeholder}, c.args...)
		commandtest.Run(t, c.body, args...).Done(t)
		for name, slip := range secrettest.Slips(c.value) {
			secrettest.Put(t, path, slip.Content)
			r := commandtest.Run(t, c.body, args...)
			if r.Err == nil || !strings.Contains(r.Out, "hint     the secret given here ") || !strings.Contains(r.Out, slip.Error) || strings.Contains(r.Out, c.value) {
				t.Errorf("%s, %s: %v, printed %s", provider, name, r.Err, r.Out)
			}
			send := []string{"send", provider, "--secret", placeholder}
			if provider == "soniox" {
				send = []string{"send", provider, "--header", "X-Key: " + placeholder}
			}
			commandtest.Run(t, "", send...).Failed(t, slip.Error)
		}
	}
}
