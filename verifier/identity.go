package verifier

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strings"
)

// idDigits is how many hexadecimal digits of a hash make an event's id: 128
// bits, so that two announcements never share one by chance.
const idDigits = 32

// eventID names an announcement, so that the same one sent again gets the same
// id: the provider's name and a hash of the source and the parts, a zero byte
// between each.
func eventID(provider, source string, parts ...[]byte) string {
	hash := sha256.New()
	_, _ = io.WriteString(hash, source) // a hash returns no error
	for _, part := range parts {
		_, _ = hash.Write([]byte{0})
		_, _ = hash.Write(part)
	}
	digits := hex.EncodeToString(hash.Sum(nil))
	return provider + "-" + digits[:idDigits]
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
