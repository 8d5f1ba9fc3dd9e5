package load

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"testing"
	"time"
)

// at is a time with the Unix seconds 1773934200.
var at = time.Date(2026, 3, 19, 15, 30, 0, 0, time.UTC)

func TestPrepareSigns(t *testing.T) {
	t.Parallel()
	o := Spec{Path: "/soapnote", Secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", Body: NoteBody(1500)}
	m, err := o.Prepare("127.0.0.1:1", 3, at)
	if err != nil {
		t.Fatal(err)
	}
	for i := range m.requests {
		s := m.take()
		mac := hmac.New(sha256.New, []byte(o.Secret))
		mac.Write([]byte("1773934200." + o.Body.with(string(s.id[:]))))
		if got, want := string(s.signature[:]), hex.EncodeToString(mac.Sum(nil)); got != want {
			t.Errorf("the signature of request %d is %s, want %s", i, got, want)
		}
	}
	if s := m.take(); s != nil {
		t.Errorf("take() = %v, want nil from an empty batch", s)
	}
}

func TestPrepareWithoutSignature(t *testing.T) {
	t.Parallel()
	o := Spec{Path: "/soniox", Header: "Bearer b", Body: TranscriptionBody()}
	m, err := o.Prepare("127.0.0.1:1", 1, at)
	if err != nil {
		t.Fatal(err)
	}
	if m.http1.signature >= 0 || m.http2.signature >= 0 || m.take().signature != [signatureLength]byte{} {
		t.Error("the request is signed")
	}
}

// No id is used twice, also with several batches and concurrent workers.
func TestIDsAreUnique(t *testing.T) {
	t.Parallel()
	const batches, number, workers = 4, 1000, 8
	var mu sync.Mutex
	seen := make(map[[idLength]byte]int)
	var all sync.WaitGroup
	for range batches {
		m, err := Spec{Header: "b", Body: TranscriptionBody()}.Prepare("h", number, at)
		if err != nil {
			t.Fatal(err)
		}
		for range workers {
			all.Go(func() {
				for s := m.take(); s != nil; s = m.take() {
					mu.Lock()
					seen[s.id]++
					mu.Unlock()
				}
			})
		}
	}
	all.Wait()
	if len(seen) != batches*number {
		t.Errorf("%d ids, want %d", len(seen), batches*number)
	}
	for id, n := range seen {
		if n > 1 {
			t.Errorf("%s was taken %d times", id, n)
		}
	}
}
