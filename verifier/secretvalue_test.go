package verifier_test

import (
	"strings"
	"testing"

	"golang.org/x/net/http/httpguts"

	"github.com/scribegate/scribegate/verifier"
)

// utf16LE is what Windows' Notepad calls Unicode, without its byte order mark.
func utf16LE(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		b.WriteByte(c)
		b.WriteByte(0)
	}
	return b.String()
}

func TestCheckSecret(t *testing.T) {
	t.Parallel()
	const (
		scheme    = `in quotes, as in: header Authorization "Bearer {env.TOKEN}"`
		nul       = "UTF-16"
		mark      = "byte order mark; save it as UTF-8"
		line      = "line break in the middle"
		space     = "at its beginning or end"
		quotes    = "enclosed in quotes"
		name      = "equals sign"
		reference = "write it as {env.NAME}"
		invisible = "invisible"
		twice     = "scheme twice"
	)
	for name, c := range map[string]struct{ value, says string }{
		"SOAPNoteAPI's":                 {secret, ""},
		"a bare word":                   {"soniox-test-value", ""},
		"Bearer":                        {"Bearer abc", ""},
		"Basic":                         {"Basic dXNlcjpwYXNzd29yZA==", ""},
		"a space inside":                {"two words", ""},
		"another scheme":                {`Digest username="x"`, ""},
		"quotes inside":                 {`a"b"c`, ""},
		"one quote":                     {`"abc`, ""},
		"a quote alone":                 {`"`, ""},
		"base64 with padding":           {"QUJDREVGR0hJSktMTU5PUA==", ""},
		"base32 with padding":           {"MZXW6YTBOI======", ""},
		"base32 with one":               {"MZXW6YQ=", ""},
		"a small name":                  {"token=abc", ""},
		"an equals sign inside":         {"ab/CD=ef", ""},
		"a dollar sign":                 {"$ecret", ""},
		"letters of another alphabet":   {"schlüssel-пароль", ""},
		"Latin-1":                       {"schl\xfcssel", ""},
		"empty":                         {"", ""},
		"a word that begins as Bearer":  {"Bearerabc", ""},
		"bare Bearer":                   {"Bearer", scheme},
		"bare basic":                    {"basic", scheme},
		"bare TOKEN":                    {"TOKEN", scheme},
		"Bearer and a space":            {"Bearer ", scheme},
		"Bearer twice":                  {"Bearer Bearer", scheme},
		"Bearer twice and a token":      {"Bearer Bearer abc", twice},
		"Bearer and basic":              {"bearer Basic abc", twice},
		"UTF-16":                        {utf16LE("abc"), nul},
		"UTF-16 with a mark":            {"\xff\xfe" + utf16LE("abc\r\n"), nul},
		"UTF-16, the other order":       {"\xfe\xff\x00a\x00b", nul},
		"a NUL":                         {"abc\x00", nul},
		"mark":                          {"\uFEFFabc", mark},
		"mark behind Bearer":            {"Bearer \uFEFFabc", mark},
		"mark in the middle":            {"abc\uFEFFdef", invisible},
		"two lines":                     {"abc\ndef", line},
		"two lines of Windows":          {"abc\r\ndef\r\n", line},
		"two lines, the first empty":    {"\nabc\ndef", line},
		"two lines behind Bearer":       {"Bearer abc\ndef", line},
		"a line end":                    {"abc\n", space},
		"a carriage return":             {"abc\r", space},
		"a space behind":                {"abc ", space},
		"a space in front":              {" abc", space},
		"a tab":                         {"\tabc", space},
		"a hard space":                  {"\u00a0abc", space},
		"nothing but space":             {"  ", space},
		"two spaces behind Bearer":      {"Bearer  abc", space},
		"double quotes":                 {`"abc"`, quotes},
		"single quotes":                 {"'abc'", quotes},
		"backquotes":                    {"`abc`", quotes},
		"quotes of a word processor":    {"“abc”", quotes},
		"empty quotes":                  {`""`, quotes},
		"quotes behind Bearer":          {`Bearer "abc"`, quotes},
		"quotes around Bearer":          {`"Bearer abc"`, quotes},
		"NAME=":                         {"SOAPNOTE_SECRET=whsec_abc", name},
		"NAME= with quotes":             {`SOAPNOTE_SECRET="whsec_abc"`, name},
		"a short NAME=":                 {"A=b", name},
		"export NAME=":                  {"export TOKEN=abc", name},
		"NAME= behind Bearer":           {"Bearer TOKEN=abc", name},
		"NAME= and nothing":             {"SOAPNOTE_SECRET=", name},
		"a shell's variable":            {"$SOAPNOTE_SECRET", reference},
		"a variable of Windows":         {"%SOAPNOTE_SECRET%", reference},
		"a placeholder without braces":  {"env.SOAPNOTE_SECRET", reference},
		"a file's, without braces":      {"file./run/secrets/soapnote", reference},
		"a variable behind Bearer":      {"Bearer $TOKEN", reference},
		"a control character":           {"abc\x07def", invisible},
		"DEL":                           {"abc\x7fdef", invisible},
		"a tab inside":                  {"abc\tdef", invisible},
		"a zero-width space":            {"abc\u200bdef", invisible},
		"a hard space behind Bearer":    {"Bearer\u00a0abc", invisible},
		"an escape of a terminal":       {"\x1b[0mabc", invisible},
		"a line separator":              {"abc\u2028def", invisible},
		"a mark, quotes, name and ends": {"\uFEFF" + `"TOKEN='abc '"`, mark},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := verifier.CheckSecret(c.value)
			if c.says == "" {
				if err != nil {
					t.Errorf("%q: %v", c.value, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.says) || !strings.HasPrefix(err.Error(), "it ") {
				t.Errorf("%q: error %v, want one that says %q", c.value, err, c.says)
			}
		})
	}
}

// FuzzCheckSecret sees that what passes can be sent and stays one value.
func FuzzCheckSecret(f *testing.F) {
	for _, seed := range []string{secret, "Bearer abc", "\uFEFFa", utf16LE("abc"), `Bearer "A=b "`, "a\nb", "\xff\xfea\x00", "Basic Token x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		err := verifier.CheckSecret(value)
		if err == nil && (!httpguts.ValidHeaderFieldValue(value) || strings.TrimSpace(value) != value || verifier.IsScheme(value)) {
			t.Errorf("%q passes", value)
		}
		if err != nil && len(value) > 30 && strings.Contains(err.Error(), value) {
			t.Errorf("the error quotes the value: %v", err)
		}
		verifier.SOAPNoteAPI{Secrets: func() []string { return []string{value} }}.Diagnose(strings.Repeat("0", 64), "1", nil)
	})
}
