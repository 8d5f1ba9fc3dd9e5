package boltqueue

import (
	"bytes"
	"encoding/hex"
	"testing"
)

// The vectors of the specification, c2sp.org/XAES-256-GCM.
func TestXAESVectors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, additional, want string
		key                    byte
	}{
		{"the key's highest bit falls out", "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271", 1},
		{"with additional data", "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d", 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			x, err := newXAES(bytes.Repeat([]byte{c.key}, xaesKeySize))
			if err != nil {
				t.Fatal(err)
			}
			nonce := []byte("ABCDEFGHIJKLMNOPQRSTUVWX")
			got, err := x.seal(nil, nonce, []byte("XAES-256-GCM"), []byte(c.additional))
			if err != nil || hex.EncodeToString(got) != c.want {
				t.Fatalf("sealed %x, %v; want %s", got, err, c.want)
			}
			plain, err := x.open(nonce, got, []byte(c.additional))
			if err != nil || string(plain) != "XAES-256-GCM" {
				t.Fatalf("opened %q, %v", plain, err)
			}
		})
	}
}

func TestXAESRefusesWhatWasChanged(t *testing.T) {
	t.Parallel()
	x, err := newXAES(make([]byte, xaesKeySize))
	if err != nil {
		t.Fatal(err)
	}
	nonce := make([]byte, xaesNonceSize)
	sealed, err := x.seal(nil, nonce, []byte("plaintext"), []byte("additional"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if _, err := x.open(nonce, changed, []byte("additional")); err == nil {
			t.Errorf("opened with byte %d changed", i)
		}
	}
	for i := range nonce {
		changed := bytes.Clone(nonce)
		changed[i] ^= 1
		if _, err := x.open(changed, sealed, []byte("additional")); err == nil {
			t.Errorf("opened with byte %d of the nonce changed", i)
		}
	}
	if _, err := x.open(nonce, sealed, []byte("other")); err == nil {
		t.Error("opened with other additional data")
	}
	if _, err := newXAES(make([]byte, 16)); err == nil {
		t.Error("a key of 16 bytes is taken")
	}
}
