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
		{"secret with a line break", secret + "\n", good, nowText, body, []string{"white space around"}},
		{"no timestamp", secret, mac(secret, body), nowText, body, []string{"without the timestamp"}},
		{"no period", secret, mac(secret, nowText+body), nowText, body, []string{"without the period"}},
		{"milliseconds signed", secret, mac(secret, nowText+"412."+body), nowText + "412", body, nil},
		{"milliseconds signed, seconds sent", secret, mac(secret, nowText+"000."+body), nowText, body, []string{"in milliseconds: the timestamp is in seconds"}},
		{"milliseconds here", secret, good, nowText + "412", body, []string{"here is in milliseconds"}},
		{"prefixed", secret, "sha256=" + good, nowText, body, []string{"leave out what stands around"}},
		{"white space around", secret, good + "\n", nowText, body, []string{"leave out what stands around"}},
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
						t.Errorf("hint %d tells what it must not: %q", i, hint)
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
