package caddymodule

import (
	"errors"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	zapobserver "go.uber.org/zap/zaptest/observer"

	"github.com/scribegate/scribegate/caddymodule/internal/audit"
	"github.com/scribegate/scribegate/caddymodule/internal/receive"
	"github.com/scribegate/scribegate/verifier"
	"github.com/scribegate/scribegate/verifier/event"
)

// oneByOne returns the number of rejections that have a line, and of those that were only
// counted.
func oneByOne(lines []zapobserver.LoggedEntry) (logged, leftOut int) {
	for _, line := range lines {
		n, summary := line.ContextMap()["left_out"].(int64)
		if !summary {
			logged++
		}
		leftOut += int(n)
	}
	return logged, leftOut
}

// Forged requests can fill neither the disk nor the queues of subscribers: each one is logged or
// counted. Genuine events that were refused are all logged, however many there are: the line is
// all that is left of them.
func TestManyRejectionsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logger, logs := observed()
		trail, entries := observed()
		emitted := 0
		l := newHandlerLog(logger, audit.New(trail), func(string, map[string]any) { emitted++ }, "soapnoteapi")
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/", nil)
		const seconds, each = 3, 10_000
		for range seconds {
			for range each {
				l.rejected(r, verifier.SignatureMismatch, nil)
			}
			time.Sleep(time.Second)
		}
		synctest.Wait()
		for where, lines := range map[string][]zapobserver.LoggedEntry{"log": logs.TakeAll(), "audit trail": entries.TakeAll()} {
			logged, leftOut := oneByOne(lines)
			if logged != seconds*receive.SampleFirst || logged+leftOut != seconds*each || len(lines) != logged+seconds {
				t.Errorf("the %s has %d forged requests, in %d lines, and leaves out %d, want %d, and %d in all", where, logged, len(lines), leftOut, seconds*receive.SampleFirst, seconds*each)
			}
		}
		if emitted != seconds*receive.SampleFirst {
			t.Errorf("%d events were emitted, want %d", emitted, seconds*receive.SampleFirst)
		}

		e := &event.Event{ID: "soapnoteapi-1", Provider: "soapnoteapi"}
		for range 100 {
			l.storeFailed(e, errors.New("no room"))
			l.quarantined(r, e, false, errors.New("no room"))
			l.rejected(r, verifier.Unavailable, e)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := logs.Len(); got != 200+receive.SampleFirst+1 {
			t.Errorf("%d lines of 200 genuine requests that are lost, want all, and %d of their answers", got, receive.SampleFirst+1)
		}
		if got := entries.FilterField(zap.String("event_id", e.ID)).Len(); got != 100 {
			t.Errorf("the audit trail has %d of 100 genuine requests that are lost", got)
		}
	})
}
