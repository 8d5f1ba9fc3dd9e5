package caddymodule

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
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

	whole, err := adapt(s.caddyfile(away, soapnoteTo("ehr")))
	if err != nil {
		t.Fatal(err)
	}
	brokenSaw = nil
	after := false
	captured.reset()
	for i := 0; i < 100 && !after; i++ {
		if err := caddy.Load(withApp(t, whole, "scribegate_test_broken", "{}"), true); err == nil || !strings.Contains(err.Error(), "broken on purpose") {
			t.Fatalf("error %v", err)
		}
		after = brokenSaw[i] == 2
	}
	if !after {
		t.Fatalf("the rejected configuration never started before the other app failed: %v", brokenSaw)
	}
	if lines := captured.with(t, warnsAbandoned); len(lines) != 0 {
		t.Errorf("the rejected configuration, which is not to deliver, is said to leave events behind: %v", lines)
	}
	id := accepted(t, s, "after the rejections")
	eventually(t, "the running configuration to deliver", func() bool { return ehr.gotEvent(id) })
	if n := len(intruder.deliveries()); n != 0 {
		t.Errorf("the rejected configuration made %d deliveries", n)
	}
	if n := gateway.Generations(); n != 1 {
		t.Errorf("%d configurations have started and not stopped, want 1", n)
	}

	s.load(away, soapnoteTo("ehr"))
	eventually(t, "a good configuration to deliver what waits", func() bool { return intruder.gotEvent(e.ID) })
}
