package caddymodule

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue"
	"github.com/scribegate/scribegate/verifier"
)

// A rejected configuration may name a queue of its own, with events in it that
// wait: it must not deliver those either.
func TestRejectedConfigurationWithAnotherQueue(t *testing.T) {
	s, ehr, intruder := newSite(t), newBackend(t), newBackend(t)
	path := filepath.Join(s.dir, "away.db")
	away := strings.Replace(upstreams("ehr", intruder.URL), "QUEUE", "queue sqlite {\npath "+path+"\n}", 1)
	q, err := sqlitequeue.Open(sqlitequeue.Options{Path: path, Settings: queue.DefaultSettings()})
	if err != nil {
		t.Fatal(err)
	}
	p := verifier.SOAPNoteAPI{}
	e, err := p.Event(verifier.Request{Source: p.Defaults().Source, Body: []byte(note("waiting")), ReceivedAt: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.Store(t.Context(), queue.Item{Event: e, Upstreams: []string{"ehr"}}); err != nil {
		t.Fatal(err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	s.load(upstreams("ehr", ehr.URL), soapnoteTo("ehr"))

	whole, err := adapt(s.caddyfile(strings.Replace(away, "upstream ", spareUpstream, 1), soapnoteTo("ehr")))
	if err != nil {
		t.Fatal(err)
	}
	captured.reset()
	started := false
	for i := 0; i < 100 && !started; i++ {
		started = rejectBroken(t, whole)
	}
	if !started {
		t.Fatal("the app never started before the other app failed")
	}
	if lines := captured.with(t, warnsAbandoned); len(lines) != 0 {
		t.Errorf("the rejected configuration, which is not to deliver, is said to leave events behind: %v", lines)
	}
	id := accepted(t, s, "after the rejections")
	eventually(t, "the running configuration to deliver", func() bool { return ehr.gotEvent(id) })
	if n := len(intruder.deliveries()); n != 0 {
		t.Errorf("the rejected configuration made %d deliveries", n)
	}
	s.load(upstreams("ehr", ehr.URL), soapnoteTo("ehr"))
	id = accepted(t, s, "after a reload")
	eventually(t, "the next configuration to deliver", func() bool { return ehr.gotEvent(id) })

	s.load(away, soapnoteTo("ehr"))
	eventually(t, "a good configuration to deliver what waits", func() bool { return intruder.gotEvent(e.ID) })
}
