package seal

import (
	"encoding/hex"
	"testing"
)

// The test vectors of the specification, c2sp.org/XAES-256-GCM.
func TestXAESVectors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, additional, want string
		key                    byte
	}{
		{"the key's highest bit is shifted out", "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271", 1},
		{"with additional data", "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d", 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			x := newXAES(keyOf(c.key))
			nonce := []byte("ABCDEFGHIJKLMNOPQRSTUVWX")
			got, err := x.seal(nil, nonce, []byte("XAES-256-GCM"), []byte(c.additional))
			if err != nil || hex.EncodeToString(got) != c.want {
				t.Fatalf("sealed %x, %v; want %s", got, err, c.want)
			}
			plain, err := x.open(nil, nonce, got, []byte(c.additional))
			if err != nil || string(plain) != "XAES-256-GCM" {
				t.Fatalf("opened %q, %v", plain, err)
			}
			if _, err := x.open(nil, nonce, got, []byte("other")); err == nil {
				t.Error("open with other additional data returned no error")
			}
		})
	}
}
