package verifier_test

import (
	"encoding/json"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/scribegate/scribegate/verifier"
)

func TestVectors(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile("testdata/soapnoteapi.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Name, Secret, Timestamp, Body, Signature string
		Verifies                                 bool
	}
	if err := json.Unmarshal(file, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) == 0 {
		t.Fatal("there are no vectors")
	}
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			second, err := strconv.ParseInt(v.Timestamp, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			p := soapNoteAPI(v.Secret)
			proof, err := p.CheckHeader(signed(v.Signature, v.Timestamp), time.Unix(second, 0))
			if err != nil {
				t.Fatal(err)
			}
			i, err := proof.Verify([]byte(v.Body))
			if v.Verifies && (err != nil || i != 0) {
				t.Errorf("Verify = %d, %v, want 0", i, err)
			}
			if !v.Verifies && reason(t, err) != verifier.SignatureMismatch {
				t.Errorf("Verify = %d, %v, want a mismatch", i, err)
			}
			if (verifier.Sign(v.Secret, v.Timestamp, []byte(v.Body)) == v.Signature) != v.Verifies {
				t.Error("Sign disagrees with the vector")
			}
			if _, err := p.Event(verifier.Request{Source: "https://soapnoteapi.com", Body: []byte(v.Body)}); err != nil {
				t.Errorf("the vector's payload is refused: %v", err)
			}
		})
	}
}
