package caddymodule

import (
	"errors"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/scribegate/scribegate/verifier"
	"github.com/scribegate/scribegate/verifier/event"
)

// TestFloodIsNotLoggedWhole sees that forged requests cannot fill the disk, and
// that genuine events which were refused are all told, whatever else comes: a
// line is all that is left of them.
func TestFloodIsNotLoggedWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logger, logs := observed()
		l := newHandlerLog(logger, "soapnoteapi")
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/", nil)
		const seconds = 3
		for range seconds {
			for range 10_000 {
				l.rejected(r, verifier.SignatureMismatch)
			}
			time.Sleep(time.Second)
		}
		if got := logs.TakeAll(); len(got) == 0 || len(got) > seconds*sampleFirst {
			t.Errorf("%d lines of %d forged requests in %d s, want 1 to %d", len(got), seconds*10_000, seconds, seconds*sampleFirst)
		}
		for range 100 {
			l.storeFailed(&event.Event{ID: "soapnoteapi-1", Provider: "soapnoteapi"}, errors.New("no room"))
			l.quarantined(&event.Event{ID: "soapnoteapi-1", Provider: "soapnoteapi"}, false, errors.New("no room"))
		}
		if got := logs.Len(); got != 200 {
			t.Errorf("%d lines of 200 genuine requests that are lost, want all", got)
		}
	})
}
