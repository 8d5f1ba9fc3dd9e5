package caddymodule

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/boltqueue"
)

func TestRemovedAppClosesTheQueue(t *testing.T) {
	s, ehr := newSite(t), newBackend(t)
	s.load(upstreams("ehr", ehr.URL), soapnoteTo("ehr"))
	accepted(t, s, "note-1")
	s.load("", "respond 200")
	if currentGateway() != nil {
		t.Error("a gateway is left")
	}
	openable(t, filepath.Join(s.dir, "queue.db"))
	s.load(upstreams("ehr", ehr.URL), soapnoteTo("ehr"))
	if r := do(t, s.soapnote("/soapnote", note("note-1"))); !strings.Contains(r.body, `"duplicate":true`) {
		t.Errorf("the event of before, sent again: %d %s", r.status, r.body)
	}
}

// openable fails the test unless nobody has the queue file open.
func openable(t *testing.T, path string) {
	t.Helper()
	q, err := boltqueue.Open(boltqueue.Options{Path: path, Settings: queue.DefaultSettings()})
	if err != nil {
		t.Fatalf("the queue file is still in use: %v", err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestStartWithALockedQueue(t *testing.T) {
	s, ehr := newSite(t), newBackend(t)
	path := filepath.Join(s.dir, "queue.db")
	q, err := boltqueue.Open(boltqueue.Options{Path: path, Settings: queue.DefaultSettings()})
	if err != nil {
		t.Fatal(err)
	}
	err = s.tryLoad(upstreams("ehr", ehr.URL), soapnoteTo("ehr"))
	if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "in use by another process; stop that one") {
		t.Errorf("error %v, want one that names the file and what to do", err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	s.load(upstreams("ehr", ehr.URL), soapnoteTo("ehr"))
	id := accepted(t, s, "note-1")
	eventually(t, "a delivery", func() bool { return ehr.gotEvent(id) })
}

func TestCleanupOfWhatNeverStarted(t *testing.T) {
	t.Parallel()
	if err := new(App).Cleanup(); err != nil {
		t.Error(err)
	}
	a := &App{lease: newLease()}
	for range 2 {
		if err := a.Cleanup(); err != nil {
			t.Error(err)
		}
	}
}
