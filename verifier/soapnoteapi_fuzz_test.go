package verifier_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/verifier"
)

func FuzzSOAPNoteAPIVerify(f *testing.F) {
	f.Add(mac(secret, nowText+"."+noteBody), nowText, []byte(noteBody), false)
	f.Add(mac(secret, nowText+"."), nowText, []byte(nil), false)
	f.Add("", "", []byte("{}"), true)
	f.Add(strings.Repeat("0", 64), "0", []byte("{}"), false)
	f.Add("+", "1e9", []byte{0xff}, false)
	f.Fuzz(func(t *testing.T, signature, timestamp string, body []byte, sign bool) {
		if sign { // otherwise nothing would ever be accepted
			signature = mac(secret, timestamp+"."+string(body))
		}
		kept := bytes.Clone(body)
		_, err := verify(soapNoteAPI(otherSecret, secret), signed(signature, timestamp), string(body))
		if !bytes.Equal(kept, body) {
			t.Error("the body was changed")
		}
		second, digits := int64(0), timestamp != "" && len(timestamp) <= 11
		for _, c := range timestamp {
			digits = digits && c >= '0' && c <= '9'
			second = second*10 + int64(c-'0')
		}
		fresh := digits && timestamp[0] != '0' && second >= now.Unix()-300 && second <= now.Unix()+300
		matches := strings.ToLower(signature) == mac(secret, timestamp+"."+string(body)) ||
			strings.ToLower(signature) == mac(otherSecret, timestamp+"."+string(body))
		if accepted := err == nil; accepted != (fresh && matches) {
			t.Errorf("accepted is %t with signature %q, timestamp %q: %v", accepted, signature, timestamp, err)
		}
		if err != nil {
			reason(t, err)
		}
	})
}

func BenchmarkSOAPNoteAPIVerify(b *testing.B) {
	body := []byte(noteBody + strings.Repeat(" ", 1500-len(noteBody)))
	h := signed(verifier.Sign(secret, nowText, body), nowText)
	p := soapNoteAPI(secret)
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		proof, err := p.CheckHeader(h, now)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := proof.Verify(body); err != nil {
			b.Fatal(err)
		}
	}
}
