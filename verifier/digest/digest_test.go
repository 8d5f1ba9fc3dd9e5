package digest_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/scribegate/scribegate/verifier/digest"
)

func wantHMAC(key, message string) [digest.Size]byte {
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte(message))
	return [digest.Size]byte(h.Sum(nil))
}

func TestSHA256(t *testing.T) {
	t.Parallel()
	for range 3 { // again with what was used before
		if got := digest.SHA256("prefix", []byte("body")); got != sha256.Sum256([]byte("prefixbody")) {
			t.Errorf("SHA256() = %x", got)
		}
		if got := digest.SHA256([]byte(nil), nil); got != sha256.Sum256(nil) {
			t.Errorf("SHA256() of nothing = %x", got)
		}
	}
}

func TestHMAC(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("k", 100) // longer than a block of SHA-256
	for range 3 {
		for _, key := range []string{"key", "", long, "key"} {
			if got := digest.HMAC(key, "prefix", []byte("body")); got != wantHMAC(key, "prefixbody") {
				t.Errorf("HMAC() with the key %q = %x", key, got)
			}
			if got := digest.HMAC([]byte(key), []byte("p"), nil); got != wantHMAC(key, "p") {
				t.Errorf("HMAC() with the key %q as bytes = %x", key, got)
			}
		}
	}
}

// TestHMACOfManyKeys has more keys at once than are kept.
func TestHMACOfManyKeys(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 400 {
				key := fmt.Sprint((i*7 + worker) % 100)
				if got := digest.HMAC(key, "m", []byte(key)); got != wantHMAC(key, "m"+key) {
					t.Errorf("HMAC() with the key %q = %x", key, got)
				}
			}
		})
	}
	wg.Wait()
}

// TestKeyIsNotKept has a key change that the caller wrote over.
func TestKeyIsNotKept(t *testing.T) {
	t.Parallel()
	key := []byte("first")
	digest.HMAC(key, "", nil)
	copy(key, "other")
	if got := digest.HMAC(key, "", nil); got != wantHMAC("other", "") {
		t.Errorf("HMAC() = %x, want the one of the key as it is now", got)
	}
	if got := digest.HMAC("first", "", nil); got != wantHMAC("first", "") {
		t.Errorf("HMAC() = %x, want the one of the key as it was", got)
	}
}
