package caddymodule

import (
	"net/http"
	"testing"
	"time"

	"github.com/scribegate/scribegate/caddymodule/internal/activity"
	"github.com/scribegate/scribegate/caddymodule/internal/receive"
	"github.com/scribegate/scribegate/verifier"
)

// rejection returns what is known of the rejections of a provider for a reason.
func rejection(provider string, reason verifier.Reason) activity.Rejection {
	for _, r := range activity.Process.Rejections() {
		if r.Provider == provider && r.Reason == reason {
			return r
		}
	}
	return activity.Rejection{}
}

// The console shows what has happened since the process's start, so that a reload loses nothing.
func TestActivityOutlivesAReload(t *testing.T) {
	s, b := newSite(t), newBackend(t)
	name := "active_" + s.port // no other test has it
	s.load(upstreams(name, b.URL), soapnoteTo(name))
	counted := func(delivered, failed int) {
		t.Helper()
		hour := func() activity.Hour { return activity.Process.Upstream(name, time.Now()) }
		eventually(t, "the attempts to be counted", func() bool { h := hour(); return h.Delivered == delivered && h.Failed == failed })
		if h := hour(); h.Lag <= 0 || h.Lag > time.Minute {
			t.Errorf("lag %s", h.Lag)
		}
	}
	accepted(t, s, "active_1")
	counted(1, 0)

	s.load(upstreams(name, b.URL), soapnoteTo(name))
	failed := false
	b.respond(func(w http.ResponseWriter, _ *http.Request) {
		if !failed {
			failed = true
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	accepted(t, s, "active_2")
	counted(2, 1)
}

// Rejections that the log leaves out are counted too.
func TestActivityCountsEveryRejection(t *testing.T) {
	s := newSite(t)
	s.load(upstreams("ehr", "http://127.0.0.1:9"), soapnoteTo("ehr"))
	captured.reset()
	before, start := rejection("soapnoteapi", verifier.SignatureMismatch), time.Now()
	const forged = 20 * receive.SampleFirst
	for range forged {
		r := s.soapnote("/soapnote", note("forged"))
		r.Header.Set(verifier.SignatureHeader, verifier.Sign("whsec_forged", r.Header.Get(verifier.TimestampHeader), nil))
		if got := do(t, r); got.status != http.StatusUnauthorized {
			t.Fatalf("answer %d %s", got.status, got.body)
		}
	}
	now := rejection("soapnoteapi", verifier.SignatureMismatch)
	if now.Count-before.Count != forged || now.Last.Before(start) || now.Client != "127.0.0.1" {
		t.Errorf("%d rejections, the last at %s of %q, want %d", now.Count-before.Count, now.Last, now.Client, forged)
	}
	eventually(t, "the log to have the rejections or their number", func() bool {
		logged := len(captured.with(t, "request rejected"))
		for _, line := range captured.with(t, "further requests were rejected") {
			logged += int(line["left_out"].(float64))
		}
		return logged == forged
	})
}

// A genuine request shows that the provider reaches the gateway with the right secret, even if its
// event is not delivered.
func TestActivityHasTheLastGenuineRequest(t *testing.T) {
	s, b := newSite(t), newBackend(t)
	s.load(upstreams("ehr", b.URL), soapnoteTo("ehr")+`
	scribegate /dropping soapnoteapi {
		secret {env.SOAPNOTE_SECRET}
		deliver_to ehr
		drop note.generated
	}`+checkpoint("/checkpoint", "", b))
	for _, c := range []struct {
		name    string
		request *http.Request
		genuine bool
	}{
		{"accepted", s.soapnote("/soapnote", note("genuine_1")), true},
		{"duplicate", s.soapnote("/soapnote", note("genuine_1")), true},
		{"dropped", s.soapnote("/dropping", note("genuine_2")), true},
		{"quarantined", s.soapnote("/soapnote", "[1]"), true},
		{"passed", s.soapnote("/checkpoint", note("genuine_3")), true},
		{"without a signature", withoutSignature(s.soapnote("/soapnote", note("genuine_4"))), false},
	} {
		before := time.Now()
		do(t, c.request)
		at, ok := activity.Process.LastGenuine("soapnoteapi")
		if got := ok && !at.Before(before); got != c.genuine {
			t.Errorf("%s: the last genuine request is of %s, after %s: %t, want %t", c.name, at, before, got, c.genuine)
		}
	}
}

func withoutSignature(r *http.Request) *http.Request {
	r.Header.Del(verifier.SignatureHeader)
	return r
}
