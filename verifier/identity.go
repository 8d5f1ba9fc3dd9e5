package verifier

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// idDigits is the number of hexadecimal digits of the hash in an event's id: 128
// bits, so that two announcements never share an id by chance.
const idDigits = 32

// eventID returns the id of an announcement: the provider's name, and a hash of
// the source, a zero byte and the bytes that identify the announcement. The same
// announcement, sent again, gets the same id.
func eventID(provider, source string, identifying []byte) string {
	hash := sha256.New()
	_, _ = hash.Write([]byte(source + "\x00")) // a hash returns no error
	_, _ = hash.Write(identifying)
	return provider + "-" + hex.EncodeToString(hash.Sum(nil))[:idDigits]
}

// isWord reports whether s has 1 to limit bytes, all of them ASCII letters, ASCII
// digits or one of the punctuation. Such a word is safe in an attribute, a header
// and a URL.
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
