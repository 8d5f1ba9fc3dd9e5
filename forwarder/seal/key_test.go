package seal

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

func keyOf(b byte) Key { return Key(bytes.Repeat([]byte{b}, keySize)) }

func TestParseKey(t *testing.T) {
	t.Parallel()
	want := keyOf(7)
	got, err := ParseKey(want.Encode())
	if err != nil || got != want {
		t.Fatalf("ParseKey: %v", err)
	}
	for name, s := range map[string]string{
		"empty":      "",
		"short":      base64.StdEncoding.EncodeToString(want[:31]),
		"long":       base64.StdEncoding.EncodeToString(append(want[:], 1)),
		"unpadded":   base64.RawStdEncoding.EncodeToString(want[:]),
		"not base64": "not base64, but SECRET",
	} {
		_, err := ParseKey(s)
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		if s != "" && strings.Contains(err.Error(), s) {
			t.Errorf("%s: the error quotes the key", name)
		}
		if !strings.Contains(err.Error(), "caddy scribegate keygen") {
			t.Errorf("%s: the error %q does not describe how to create a key", name, err)
		}
	}
}

func TestKeyIsNotPrinted(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"%v", "%s", "%+v", "%#v"} {
		if s := fmt.Sprintf(verb, keyOf(7)); s != "[key]" {
			t.Errorf("%s prints %s", verb, s)
		}
	}
}

func TestNewKey(t *testing.T) {
	t.Parallel()
	if a, b := NewKey(), NewKey(); a == b || a == (Key{}) || b == (Key{}) {
		t.Error("NewKey returned the same key twice, or zeros")
	}
}

// Existing stores contain these fingerprints.
func TestFingerprint(t *testing.T) {
	t.Parallel()
	f := keyOf(7).Fingerprint()
	if got := hex.EncodeToString(f[:]); got != "4f5ae98b97d25db3" {
		t.Errorf("fingerprint %s", got)
	}
	if keyOf(8).Fingerprint() == f {
		t.Error("two keys have the same fingerprint")
	}
}
