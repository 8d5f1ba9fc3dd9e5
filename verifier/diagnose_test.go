package verifier_test

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/verifier"
)

func TestDiagnose(t *testing.T) {
	t.Parallel()
	const body = `{"a":["é",1.0],"b":{}}`
	decoded, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	good := mac(secret, nowText+"."+body)
	raw, err := hex.DecodeString(good)
	if err != nil {
		t.Fatal(err)
	}
	bare := strings.TrimPrefix(secret, "whsec_")
	of := func(body string) string { return mac(secret, nowText+"."+body) }
	tests := []struct {
		name, secret, signature, timestamp, body string
		want                                     []string // a part of each hint
	}{
		{"genuine", secret, good, nowText, body, nil},
		{"genuine in upper case", secret, strings.ToUpper(good), nowText, body, nil},
		{"no usual mistake", otherSecret, good, nowText, body, []string{"another environment"}},
		{"another body", secret, good, nowText, `{"a":2}`, []string{"another environment"}},
		{"no secret", "", good, nowText, body, []string{"unset or empty"}},
		{"prefix stripped by the signer", secret, mac(bare, nowText+"."+body), nowText, body, []string{"without its prefix"}},
		{"prefix stripped here", bare, good, nowText, body, []string{"lacks its prefix"}},
		{"secret decoded", secret, mac(string(decoded), nowText+"."+body), nowText, body, []string{"decoded from base64"}},
		{"secret with a line break", secret + "\n", good, nowText, body, []string{"here has white space or a line break at its"}},
		{"secret of two lines", secret + "\nsecond", good, nowText, body, []string{"here has a line break in the middle"}},
		{"secret with a byte order mark", "\uFEFF" + secret, good, nowText, body, []string{"here begins with a byte order mark"}},
		{"secret in UTF-16", "\xff\xfe" + utf16LE(secret+"\r\n"), good, nowText, body, []string{"as a file in UTF-16 does"}},
		{"secret in quotes", `"` + secret + `"`, good, nowText, body, []string{"here is enclosed in quotes"}},
		{"secret with its name", "SOAPNOTE_SECRET=" + secret, good, nowText, body, []string{"here begins with the name of a variable"}},
		{"secret with an invisible character", secret[:9] + "\u200b" + secret[9:], good, nowText, body, []string{"another invisible character"}},
		{"secret with all of that", "\uFEFFSOAPNOTE_SECRET='" + secret + " '", good, nowText, body, []string{"byte order mark", "name of a variable", "in quotes", "white space"}},
		{"secret in quotes without its prefix", `"` + bare + `"`, good, nowText, body, []string{"in quotes", "lacks its prefix"}},
		{"name of the variable", "$SOAPNOTE_SECRET", good, nowText, body, []string{"write it as {env.NAME}", "another environment"}},
		{"another secret in quotes", `"` + otherSecret + `"`, good, nowText, body, []string{"in quotes", "another environment"}},
		{"no timestamp", secret, mac(secret, body), nowText, body, []string{"without the timestamp"}},
		{"no period", secret, mac(secret, nowText+body), nowText, body, []string{"without the period"}},
		{"milliseconds signed", secret, mac(secret, nowText+"412."+body), nowText + "412", body, nil},
		{"milliseconds signed, seconds sent", secret, mac(secret, nowText+"000."+body), nowText, body, []string{"in milliseconds: the timestamp is in seconds"}},
		{"milliseconds here", secret, good, nowText + "412", body, []string{"here is in milliseconds"}},
		{"prefixed", secret, "sha256=" + good, nowText, body, []string{"remove the text around"}},
		{"white space around", secret, good + "\n", nowText, body, []string{"remove the text around"}},
		{"base64", secret, base64.StdEncoding.EncodeToString(raw), nowText, body, []string{"base64"}},
		{"cut", secret, good[:60], nowText, body, []string{"64 hexadecimal digits"}},
		{"empty", secret, "", nowText, body, []string{"64 hexadecimal digits"}},
		{"line break added", secret, good, nowText, body + "\n", []string{"ends with a line break"}},
		{"line break removed", secret, of(body + "\n"), nowText, body, []string{"lacks the line break"}},
		{"line break of Windows removed", secret, of(body + "\r\n"), nowText, body, []string{"lacks the line break"}},
		{"byte order mark", secret, good, nowText, "\uFEFF" + body, []string{"byte order mark"}},
		{"line breaks to Windows", secret, of("{\n\"a\":1}"), nowText, "{\r\n\"a\":1}", []string{"those of Windows"}},
		{"line breaks to Unix", secret, of("{\r\n\"a\":1}"), nowText, "{\n\"a\":1}", []string{"those of Unix"}},
		{"indented", secret, good, nowText, "{\n  \"a\": [\n    \"é\",\n    1.0\n  ],\n  \"b\": {}\n}", []string{"without white space;"}},
		{"escaped", secret, good, nowText, `{"a": ["\u00e9", 1.0], "b": {}}`, []string{"other escapes"}},
		{"compacted", secret, of("{\n  \"a\": [\n    \"é\",\n    1.0\n  ],\n  \"b\": {}\n}"), nowText, body, []string{"signed indented"}},
		{"compacted from four spaces", secret, of("{\n    \"a\": 1\n}"), nowText, `{"a":1}`, []string{"signed indented"}},
		{"compacted from spaces", secret, of(`{"a": ["é", 1.0], "b": {}}`), nowText, body, []string{"a space behind each"}},
		{"two mistakes", secret, mac(bare, nowText+"."+body), nowText, body + "\n", []string{"without its prefix", "ends with a line break"}},
		{"body that is not JSON", secret, good, nowText, "\x00", []string{"another environment"}},
		{"no body", secret, good, nowText, "", []string{"another environment"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := soapNoteAPI(tt.secret).Diagnose(tt.signature, tt.timestamp, []byte(tt.body))
			if len(got) != len(tt.want) {
				t.Fatalf("hints are %q, want %d", got, len(tt.want))
			}
			for i, hint := range got {
				if !strings.Contains(hint, tt.want[i]) {
					t.Errorf("hint %d is %q, want one about %q", i, hint, tt.want[i])
				}
				for _, private := range []string{bare, good, "é", string(decoded)} {
					if strings.Contains(strings.ToLower(hint), strings.ToLower(private)) {
						t.Errorf("hint %d contains a secret: %q", i, hint)
					}
				}
			}
		})
	}
}

func TestDiagnoseTriesEverySecret(t *testing.T) {
	t.Parallel()
	p := soapNoteAPI("", otherSecret, secret)
	if got := p.Diagnose(mac(secret, nowText+".{}"), nowText, []byte("{}")); got != nil {
		t.Errorf("hints are %q for a genuine request", got)
	}
	if got := (verifier.SOAPNoteAPI{}).Diagnose(mac("", nowText+".{}"), nowText, nil); len(got) != 1 {
		t.Errorf("hints are %q without a list of secrets", got)
	}
}

func TestDiagnoseSoniox(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		got    string
		values []string
		want   []string // a part of each hint
	}{
		"genuine":                          {"Bearer abc", []string{"Bearer abc"}, nil},
		"genuine by the second":            {"Bearer abc", []string{"Bearer def", "Bearer abc"}, nil},
		"another":                          {"Bearer abc", []string{"Bearer def"}, []string{"another environment"}},
		"no secret":                        {"Bearer abc", []string{""}, []string{"unset or empty"}},
		"scheme in the header only":        {"Bearer abc", []string{"abc"}, []string{"it belongs to both"}},
		"scheme in the secret only":        {"abc", []string{"def", "Bearer abc"}, []string{"it belongs to both"}},
		"another scheme":                   {"Token abc", []string{"Bearer abc"}, []string{"or is another one"}},
		"scheme in small letters":          {"bearer abc", []string{"Bearer abc"}, []string{"upper and lower case"}},
		"secret in quotes":                 {"Bearer abc", []string{`Bearer "abc"`}, []string{"here is enclosed in quotes"}},
		"secret in quotes without scheme":  {"Bearer abc", []string{`"abc"`}, []string{"in quotes", "it belongs to both"}},
		"secret with a line break":         {"abc", []string{"abc\n"}, []string{"here has white space or a line break"}},
		"secret with a byte order mark":    {"abc", []string{"\uFEFFabc"}, []string{"byte order mark"}},
		"secret with its name":             {"Bearer abc", []string{"Bearer TOKEN=abc"}, []string{"name of a variable"}},
		"header in quotes":                 {`Bearer "abc"`, []string{"Bearer abc"}, []string{"the header's value is enclosed in quotes"}},
		"scheme alone in the header":       {"Bearer", []string{"Bearer abc"}, []string{"value is an authentication scheme without", "unset where the transcription was created"}},
		"scheme alone for a secret":        {"Bearer abc", []string{"Bearer"}, []string{"here is an authentication scheme without", "another environment"}},
		"a wrong one with a byte order":    {"abc", []string{"\uFEFFdef"}, []string{"byte order mark", "another environment"}},
		"a variable that was not replaced": {"Bearer $TOKEN", []string{"Bearer abc"}, []string{"value is the name of a variable", "another environment"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := verifier.Soniox{Header: "Authorization", Values: func() []string { return c.values }}.Diagnose(c.got)
			if len(got) != len(c.want) {
				t.Fatalf("hints are %q, want %d", got, len(c.want))
			}
			for i, hint := range got {
				if !strings.Contains(hint, c.want[i]) {
					t.Errorf("hint %d is %q, want one about %q", i, hint, c.want[i])
				}
				if strings.Contains(hint, "abc") || strings.Contains(hint, "def") {
					t.Errorf("hint %d quotes a value: %q", i, hint)
				}
			}
		})
	}
}
