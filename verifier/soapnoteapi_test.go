package verifier_test

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/verifier"
)

func TestSOAPNoteAPIRejects(t *testing.T) {
	t.Parallel()
	good := mac(secret, nowText+"."+noteBody)
	at := func(timestamp string) http.Header { return signed(mac(secret, timestamp+"."+noteBody), timestamp) }
	from := func(seconds int64) http.Header { return at(strconv.FormatInt(now.Unix()+seconds, 10)) }
	key := func(key string) http.Header { return signed(mac(key, nowText+"."+noteBody), nowText) }
	of := func(message string) http.Header { return signed(mac(secret, message), nowText) }
	decoded, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	empty := signed(good, nowText)
	empty["X-Soapnoteapi-Signature"] = []string{}

	tests := []struct {
		name   string
		header http.Header
		want   verifier.Reason
	}{
		{"no header", http.Header{}, verifier.SignatureMissing},
		{"nil header", nil, verifier.SignatureMissing},
		{"no signature", header(verifier.TimestampHeader, nowText), verifier.SignatureMissing},
		{"empty signature", signed("", nowText), verifier.SignatureMissing},
		{"signature without values", empty, verifier.SignatureMissing},
		{"no timestamp", header(verifier.SignatureHeader, good), verifier.TimestampMissing},
		{"empty timestamp", signed(good, ""), verifier.TimestampMissing},
		{"presence before form", header(verifier.SignatureHeader, "x"), verifier.TimestampMissing},

		{"signature twice", header(verifier.SignatureHeader, good, verifier.SignatureHeader, good, verifier.TimestampHeader, nowText), verifier.HeaderRepeated},
		{"signature and an empty one", header(verifier.SignatureHeader, good, verifier.SignatureHeader, "", verifier.TimestampHeader, nowText), verifier.HeaderRepeated},
		{"signature in two spellings", header(verifier.SignatureHeader, good, "x-soapnoteapi-signature", good, verifier.TimestampHeader, nowText), verifier.HeaderRepeated},
		{"timestamp twice", header(verifier.SignatureHeader, good, verifier.TimestampHeader, nowText, verifier.TimestampHeader, nowText), verifier.HeaderRepeated},
		{"timestamp twice and no signature", header(verifier.TimestampHeader, nowText, verifier.TimestampHeader, nowText), verifier.HeaderRepeated},
		{"timestamp twice and a malformed signature", header(verifier.SignatureHeader, "x", verifier.TimestampHeader, nowText, verifier.TimestampHeader, nowText), verifier.HeaderRepeated},

		{"two signatures in one", signed(good+", "+good, nowText), verifier.SignatureMalformed},
		{"63 digits", signed(good[1:], nowText), verifier.SignatureMalformed},
		{"65 digits", signed(good+"0", nowText), verifier.SignatureMalformed},
		{"64 letters that are no digits", signed(strings.Repeat("g", 64), nowText), verifier.SignatureMalformed},
		{"prefix", signed("sha256="+good, nowText), verifier.SignatureMalformed},
		{"0x", signed("0x"+good[2:], nowText), verifier.SignatureMalformed},
		{"space before", signed(" "+good, nowText), verifier.SignatureMalformed},
		{"space behind", signed(good+" ", nowText), verifier.SignatureMalformed},
		{"space for a digit", signed(good[:63]+" ", nowText), verifier.SignatureMalformed},
		{"base64", signed(base64.StdEncoding.EncodeToString(decoded), nowText), verifier.SignatureMalformed},
		{"one space", signed(" ", nowText), verifier.SignatureMalformed},
		{"form of the signature before that of the timestamp", signed("x", "x"), verifier.SignatureMalformed},

		{"plus", at("+" + nowText), verifier.TimestampMalformed},
		{"minus", at("-" + nowText), verifier.TimestampMalformed},
		{"leading zero", at("0" + nowText), verifier.TimestampMalformed},
		{"zero", at("0"), verifier.TimestampMalformed},
		{"12 digits", at("177393420000"), verifier.TimestampMalformed},
		{"milliseconds", at("1773934200000"), verifier.TimestampMalformed},
		{"overflow", at("18446744075483485816"), verifier.TimestampMalformed},
		{"space before the number", at(" " + nowText), verifier.TimestampMalformed},
		{"space behind the number", at(nowText + " "), verifier.TimestampMalformed},
		{"one space for a timestamp", at(" "), verifier.TimestampMalformed},
		{"tab", at(nowText + "\t"), verifier.TimestampMalformed},
		{"decimals", at(nowText + "."), verifier.TimestampMalformed},
		{"decimal zero", at("177393420.0"), verifier.TimestampMalformed},
		{"exponent", at("17739342e2"), verifier.TimestampMalformed},
		{"hexadecimal", at("0x69BC157"), verifier.TimestampMalformed},
		{"hexadecimal digits", at("69BC1578"), verifier.TimestampMalformed},
		{"underscore", at("1_773_93420"), verifier.TimestampMalformed},
		{"digits of another script", at("١٧٧٣٩"), verifier.TimestampMalformed},
		{"full-width digit", at("１7739342"), verifier.TimestampMalformed},
		{"two timestamps in one", at("177393420,1"), verifier.TimestampMalformed},
		{"a date", at("2026-03-19T"), verifier.TimestampMalformed},
		{"NUL", at(nowText + "\x00"), verifier.TimestampMalformed},

		{"one second too old", from(-301), verifier.TimestampStale},
		{"a year old", from(-31536000), verifier.TimestampStale},
		{"the first second", at("1"), verifier.TimestampStale},
		{"one second too early", from(301), verifier.TimestampFuture},
		{"the last second", at("99999999999"), verifier.TimestampFuture},

		{"another secret", key(otherSecret), verifier.SignatureMismatch},
		{"empty key", key(""), verifier.SignatureMismatch},
		{"prefix stripped", key(strings.TrimPrefix(secret, "whsec_")), verifier.SignatureMismatch},
		{"key decoded", key(string(decoded)), verifier.SignatureMismatch},
		{"key in lower case", key(strings.ToLower(secret)), verifier.SignatureMismatch},
		{"key with a line break", key(secret + "\n"), verifier.SignatureMismatch},
		{"body alone signed", of(noteBody), verifier.SignatureMismatch},
		{"no period signed", of(nowText + noteBody), verifier.SignatureMismatch},
		{"another timestamp signed", of("1773934201." + noteBody), verifier.SignatureMismatch},
		{"milliseconds signed", of(nowText + "000." + noteBody), verifier.SignatureMismatch},
		{"another body signed", of(nowText + "." + strings.Replace(noteBody, "rest", "Rest", 1)), verifier.SignatureMismatch},
		{"line break signed", of(nowText + "." + noteBody + "\n"), verifier.SignatureMismatch},
		{"nothing signed", of(""), verifier.SignatureMismatch},
		{"first digit wrong", signed(flip(good, 0), nowText), verifier.SignatureMismatch},
		{"last digit wrong", signed(flip(good, 63), nowText), verifier.SignatureMismatch},
		{"zeros", signed(strings.Repeat("0", 64), nowText), verifier.SignatureMismatch},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			i, err := verify(soapNoteAPI(secret, secret+"x"), tt.header, noteBody)
			if got := reason(t, err); got != tt.want {
				t.Errorf("rejected as %q, want %q", got, tt.want)
			}
			if i != -1 {
				t.Errorf("secret %d is named for a rejected request", i)
			}
		})
	}
}

// flip changes one hexadecimal digit.
func flip(s string, i int) string {
	digit := "0"
	if s[i] == '0' {
		digit = "1"
	}
	return s[:i] + digit + s[i+1:]
}

func TestSOAPNoteAPIAccepts(t *testing.T) {
	t.Parallel()
	from := func(seconds int64) http.Header {
		timestamp := strconv.FormatInt(now.Unix()+seconds, 10)
		return signed(mac(secret, timestamp+"."+noteBody), timestamp)
	}
	good := mac(secret, nowText+"."+noteBody)
	tests := []struct {
		name    string
		header  http.Header
		secrets []string
		want    int
	}{
		{"now", from(0), []string{secret}, 0},
		{"as old as may be", from(-300), []string{secret}, 0},
		{"as early as may be", from(300), []string{secret}, 0},
		{"upper case", signed(strings.ToUpper(good), nowText), []string{secret}, 0},
		{"mixed case", signed(good[:32]+strings.ToUpper(good[32:]), nowText), []string{secret}, 0},
		{"header in lower case", header("x-soapnoteapi-signature", good, "x-soapnoteapi-timestamp", nowText), []string{secret}, 0},
		{"second secret", from(0), []string{otherSecret, secret}, 1},
		{"behind an empty secret", from(0), []string{"", secret}, 1},
		{"before an empty secret", from(0), []string{secret, ""}, 0},
		{"the same secret twice", from(0), []string{secret, secret}, 0},
		{"third secret", from(0), []string{otherSecret, secret + "x", secret}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			i, err := verify(soapNoteAPI(tt.secrets...), tt.header, noteBody)
			if err != nil || i != tt.want {
				t.Errorf("Verify = %d, %v, want %d", i, err, tt.want)
			}
		})
	}
}

func TestSOAPNoteAPITolerance(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		tolerance time.Duration
		offset    int64
		want      verifier.Reason
	}{
		{"none, the same second", 0, 0, "accepted"},
		{"none, a second ago", 0, -1, verifier.TimestampStale},
		{"none, a second ahead", 0, 1, verifier.TimestampFuture},
		{"fractions do not count", 1999 * time.Millisecond, -2, verifier.TimestampStale},
		{"a second", 1999 * time.Millisecond, -1, "accepted"},
		{"a second ahead", time.Second, 1, "accepted"},
		{"an hour", time.Hour, -3600, "accepted"},
		{"an hour and a second", time.Hour, -3601, verifier.TimestampStale},
		{"negative takes nothing", -time.Second, 0, verifier.TimestampStale},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			timestamp := strconv.FormatInt(now.Unix()+tt.offset, 10)
			p := verifier.SOAPNoteAPI{Secrets: list(secret), Tolerance: tt.tolerance}
			_, err := verify(p, signed(mac(secret, timestamp+"."+noteBody), timestamp), noteBody)
			if got := reason(t, err); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// With a timestamp that is not held to digits, the boundary to the body could
// move under one signature.
func TestSOAPNoteAPIBoundaryDoesNotMove(t *testing.T) {
	t.Parallel()
	const timestamp, body = "100", `{"a":"1.2"}`
	signature := mac(secret, timestamp+"."+body)
	for i := 1; i < len(body); i++ {
		moved := timestamp + "." + body[:i]
		p := verifier.SOAPNoteAPI{Secrets: list(secret), Tolerance: time.Hour}
		proof, err := p.CheckHeader(signed(signature, moved), time.Unix(100, 0))
		if proof != nil || reason(t, err) != verifier.TimestampMalformed {
			t.Errorf("the timestamp %q is taken: %v", moved, err)
		}
	}
	proof, err := soapNoteAPI(secret).CheckHeader(signed(signature, timestamp), time.Unix(100, 0))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := proof.Verify([]byte(body)); err != nil {
		t.Errorf("the request itself is refused: %v", err)
	}
}

func TestSOAPNoteAPIFailsClosed(t *testing.T) {
	t.Parallel()
	for name, secrets := range map[string]func() []string{
		"no list":      nil,
		"empty list":   list(),
		"empty secret": list(""),
		"two of them":  list("", ""),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := verifier.SOAPNoteAPI{Secrets: secrets, Tolerance: time.Minute}
			_, err := verify(p, signed(mac("", nowText+"."+noteBody), nowText), noteBody)
			if got := reason(t, err); got != verifier.SignatureMismatch {
				t.Errorf("%q, want %q", got, verifier.SignatureMismatch)
			}
		})
	}
}

func TestSecretsAreReadForEachRequest(t *testing.T) {
	t.Parallel()
	current := otherSecret
	p := verifier.SOAPNoteAPI{Secrets: func() []string { return []string{current} }, Tolerance: time.Minute}
	h := signed(mac(secret, nowText+"."+noteBody), nowText)
	if _, err := verify(p, h, noteBody); reason(t, err) != verifier.SignatureMismatch {
		t.Errorf("the old secret verifies: %v", err)
	}
	current = secret
	if _, err := verify(p, h, noteBody); err != nil {
		t.Errorf("the new secret does not verify: %v", err)
	}
}

func TestSOAPNoteAPIDefaults(t *testing.T) {
	t.Parallel()
	want := verifier.Defaults{Source: "https://soapnoteapi.com", MaxBody: 10485760}
	if got := soapNoteAPI().Defaults(); got != want {
		t.Errorf("defaults are %+v, want %+v", got, want)
	}
	if verifier.DefaultTolerance != 300*time.Second {
		t.Errorf("the default tolerance is %s, want 5m", verifier.DefaultTolerance)
	}
}
