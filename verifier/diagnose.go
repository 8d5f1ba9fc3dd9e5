package verifier

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// secretPrefix is what SOAPNoteAPI's secrets begin with.
const secretPrefix = "whsec_"

// Diagnose returns hints why a captured request's signature does not match, by
// trying the usual mistakes: a secret or a timestamp in another notation, a body
// that is not the bytes that were sent. The hints contain nothing of the secrets,
// the signature and the body. It returns none if the signature matches.
//
// It hashes the body for each combination of mistakes, and not in constant time:
// it is for the owner of the secret.
func (s SOAPNoteAPI) Diagnose(signature, timestamp string, body []byte) []string {
	want, hint := readSignature(signature)
	if want == nil {
		return []string{hint}
	}
	var hints, slipped []string
	if hint != "" {
		hints = append(hints, hint)
	}
	bodies := bodyVariants(body)
	usable := false
	for _, secret := range values(s.Secrets) {
		if secret == "" {
			continue
		}
		usable = true
		if found, ok := explain(want, secret, timestamp, bodies); ok {
			return append(hints, found...)
		}
		meant, slips := meantSecret(secret)
		says := sayings(secretGiven, slips)
		if found, ok := explain(want, meant, timestamp, bodies); ok {
			return slices.Concat(hints, says, found)
		}
		slipped = append(slipped, says...)
	}
	if !usable {
		return append(hints, "the secret is unset or empty, so nothing can be verified")
	}
	return append(append(hints, slipped...), "none of the usual mistakes explains the signature: the secret is most likely that of another environment, "+
		"or an older one that was rotated; or the body is not the bytes that were received, or the timestamp that of another request")
}

// secretGiven begins the hints at what is wrong with a secret itself.
const secretGiven = "the secret given here "

func sayings(subject string, slips []*slip) []string {
	hints := make([]string, 0, len(slips))
	for _, s := range slips {
		hints = append(hints, subject+s.says)
	}
	return hints
}

// explain returns the hints for the mistakes with which a secret yields the
// signature, and whether any combination does. Without a mistake, hints is empty.
func explain(want []byte, secret, timestamp string, bodies []variant[[]byte]) (hints []string, ok bool) {
	for _, key := range keyVariants(secret) {
		for _, head := range headVariants(timestamp) {
			for _, content := range bodies {
				if matches(want, key.value, head.value, content.value) {
					return appendHints(nil, key.hint, head.hint, content.hint), true
				}
			}
		}
	}
	return nil, false
}

// A variant is one reading of a part of the request, with the hint to return if it
// is the reading that was signed. The first of a list is the right one and has no
// hint.
type variant[T any] struct {
	value T
	hint  string
}

func appendHints(hints []string, more ...string) []string {
	for _, h := range more {
		if h != "" {
			hints = append(hints, h)
		}
	}
	return hints
}

func matches(want, key []byte, head string, body []byte) bool {
	mac := hmac.New(sha256.New, key)
	_, _ = io.WriteString(mac, head) // a hash returns no error
	_, _ = mac.Write(body)
	return hmac.Equal(mac.Sum(nil), want)
}

// readSignature reads a signature, also in the forms of other providers. The hint
// describes what is wrong with its form.
func readSignature(s string) (mac []byte, hint string) {
	if mac, err := hex.DecodeString(s); err == nil && len(mac) == sha256.Size {
		return mac, ""
	}
	const form = "the signature must be 64 hexadecimal digits and nothing else"
	bare := strings.TrimSpace(s)
	for _, prefix := range []string{"sha256=", "v1=", "v1,"} {
		bare = strings.TrimPrefix(bare, prefix)
	}
	if mac, err := hex.DecodeString(bare); err == nil && len(mac) == sha256.Size {
		return mac, form + ": remove the text around them"
	}
	if mac, err := base64.StdEncoding.DecodeString(bare); err == nil && len(mac) == sha256.Size {
		return mac, form + ": this one is base64"
	}
	return nil, form
}

func keyVariants(secret string) []variant[[]byte] {
	list := []variant[[]byte]{{value: []byte(secret)}}
	bare, prefixed := strings.CutPrefix(secret, secretPrefix)
	if prefixed {
		list = append(list, variant[[]byte]{
			[]byte(bare),
			"it was signed with the secret without its prefix: the key is the whole string, " + secretPrefix + " included",
		})
	} else {
		list = append(list, variant[[]byte]{
			[]byte(secretPrefix + secret),
			"the secret given here lacks its prefix: the key is the whole string, " + secretPrefix + " included",
		})
	}
	for _, coding := range []*base64.Encoding{
		base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding,
	} {
		if key, err := coding.DecodeString(bare); err == nil && len(key) > 0 {
			return append(list, variant[[]byte]{
				key,
				"it was signed with the secret decoded from base64, as Standard Webhooks does it: SOAPNoteAPI's key is the string as it stands",
			})
		}
	}
	return list
}

// headVariants are readings of what is signed before the body.
func headVariants(timestamp string) []variant[string] {
	list := []variant[string]{
		{value: timestamp + "."},
		{"", "it was signed without the timestamp: what is signed is the timestamp, a period and the body"},
		{timestamp, "it was signed without the period: what is signed is the timestamp, a period and the body"},
		{timestamp + "000.", "it was signed with a timestamp in milliseconds: the timestamp is in seconds"},
	}
	if len(timestamp) == len("1773934200000") {
		list = append(list, variant[string]{timestamp[:10] + ".", "the timestamp given here is in milliseconds: it was signed in seconds"})
	}
	return list
}

// bodyVariants are the body as it may have been before it was captured.
func bodyVariants(body []byte) []variant[[]byte] {
	const serialized = "the body was re-serialized on its way: "
	list := []variant[[]byte]{{value: body}}
	add := func(b []byte, hint string) {
		for _, v := range list {
			if bytes.Equal(v.value, b) {
				return
			}
		}
		list = append(list, variant[[]byte]{b, hint + "; verify the bytes exactly as they were received"})
	}
	format := func(hint string, opts ...jsontext.Options) {
		opts = append([]jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}, opts...)
		v := jsontext.Value(bytes.Clone(bytes.TrimPrefix(body, []byte("\uFEFF"))))
		if v.Format(opts...) == nil {
			add(v, serialized+hint)
		}
	}
	unix := bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n"))
	add(bytes.TrimRight(body, "\r\n"), "the body given here ends with a line break that was not signed")
	add(append(bytes.Clone(body), '\n'), "the body given here lacks the line break that ended it")
	add(append(bytes.Clone(body), "\r\n"...), "the body given here lacks the line break that ended it")
	add(bytes.TrimPrefix(body, []byte("\uFEFF")), "the body given here begins with a byte order mark that was not signed")
	add(unix, "the line breaks of the body were turned into those of Windows")
	add(bytes.ReplaceAll(unix, []byte("\n"), []byte("\r\n")), "the line breaks of the body were turned into those of Unix")
	format("it was signed without white space", jsontext.PreserveRawStrings(true))
	format("it was signed without white space and with other escapes in its strings")
	format("it was signed with a space behind each comma and colon", jsontext.PreserveRawStrings(true),
		jsontext.SpaceAfterComma(true), jsontext.SpaceAfterColon(true))
	for _, indent := range []string{"  ", "    ", "\t"} {
		format("it was signed indented", jsontext.PreserveRawStrings(true),
			jsontext.Multiline(true), jsontext.WithIndent(indent))
	}
	return list
}
