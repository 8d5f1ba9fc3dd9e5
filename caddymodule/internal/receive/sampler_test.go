package receive

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/scribegate/scribegate/verifier"
)

// A rare reason is logged beside a frequent one.
func TestSamplerCountsEachReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewSampler(func(verifier.Reason, int) {})
		for range 100 {
			f.Admit(verifier.SignatureMismatch)
		}
		if !f.Admit(verifier.TimestampStale) {
			t.Error("a stale timestamp is suppressed with forged signatures")
		}
		if f.Admit(verifier.SignatureMismatch) {
			t.Error("a forged signature beyond the limit is logged")
		}
		time.Sleep(sampleWindow)
		if !f.Admit(verifier.SignatureMismatch) {
			t.Error("a forged signature of the next window is suppressed")
		}
	})
}
