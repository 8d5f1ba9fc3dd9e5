package verifier

import (
	"encoding/hex"
	"strings"

	"github.com/scribegate/scribegate/verifier/digest"
)

// idDigits is how many hexadecimal digits of a hash make an event's id: 128
// bits, so that two announcements never share one by chance.
const idDigits = 32

// eventID names an announcement, so that the same one sent again gets the same
// id: the provider's name and a hash of the source, a zero byte and what tells
// the announcement from others.
func eventID(provider, source string, what []byte) string {
	sum := digest.SHA256(source+"\x00", what)
	var digits [idDigits]byte
	hex.Encode(digits[:], sum[:hex.DecodedLen(idDigits)])
	return provider + "-" + string(digits[:])
}

// isWord reports whether s is 1 to limit bytes of letters and digits of ASCII
// and of the punctuation given, so that it may stand in an attribute, a header
// or a URL.
func isWord(s string, limit int, punctuation string) bool {
	if s == "" || len(s) > limit {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (c < '0' || c > '9') && strings.IndexByte(punctuation, c) < 0 {
			return false
		}
	}
	return true
}
