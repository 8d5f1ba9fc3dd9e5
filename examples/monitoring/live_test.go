//go:build examples

package monitoring_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/scribegate/scribegate/examples/internal/sender"
)

// TestLive runs a real Prometheus and a real gateway, sends requests that change every
// metric, and then checks the metrics, the rules, the alerts and the dashboard through
// that Prometheus.
func TestLive(t *testing.T) {
	need(t, "prometheus")
	ctx := bounded(t)
	s := startSite(ctx, t)
	p := startPrometheus(ctx, t, s.admin())
	traffic{s, "first"}.send(ctx, t)
	eventually(ctx, t, "the failures of the upstreams", func() string { return s.unsettled(ctx, t) })
	p.scraped(ctx, t)

	t.Run("counters survive a reload", func(t *testing.T) {
		before := counted(ctx, t, p)
		s.reload(ctx, t, fullQueue)
		p.scraped(ctx, t)
		checkCounters(ctx, t, p, before)
	})
	if t.Failed() {
		return
	}
	refuseEvents(ctx, t, s)
	s.reload(ctx, t, defaultQueue)
	traffic{s, "second"}.send(ctx, t)
	p.scraped(ctx, t)

	t.Run("metrics", func(t *testing.T) { checkMetrics(ctx, t, p) })
	t.Run("rules are evaluated", func(t *testing.T) { checkRules(ctx, t, p) })
	t.Run("alerts", func(t *testing.T) { checkAlerts(ctx, t, p) })
	t.Run("dashboard", func(t *testing.T) { checkDashboard(ctx, t, p) })
	t.Run("the queue's size in rules.yml is the default", func(t *testing.T) {
		got := p.query(ctx, t, "scribegate:queue_max_bytes")
		if want := s.status(ctx, t).Queue.MaxBytes; len(got) != 1 || got[0].values[0] != want {
			t.Errorf("scribegate:queue_max_bytes is %+v, want the gateway's max_size %v", got, want)
		}
	})
	t.Run("commands", func(t *testing.T) { runCommands(ctx, t, p, s) })
	t.Run("metrics have a site of their own", func(t *testing.T) {
		if page := fetch(ctx, t, "http://"+s.metrics+"/metrics"); !strings.Contains(page, "\nscribegate_queue_bytes ") {
			t.Errorf("the README's site for the metrics answers:\n%s", page)
		}
	})
}

// unsettled returns an upstream that has not yet behaved as startSite configures it, or "".
func (s *site) unsettled(ctx context.Context, t *testing.T) string {
	for _, u := range s.status(ctx, t).Upstreams {
		done := false
		switch u.Name {
		case "ehr":
			done = u.Pending == 0
		case "lab":
			done = u.Dead > 0 && u.Pending == 0
		case "warehouse":
			done = u.Pending > 0
		case "archive", "away":
			done = u.Paused
		}
		if !done {
			return fmt.Sprintf("%+v", u)
		}
	}
	return ""
}

// refuseEvents sends two events to a queue that is full, with some scrapes in between.
// An answer takes 8 s, since the gateway waits that long for space.
func refuseEvents(ctx context.Context, t *testing.T, s *site) {
	t.Helper()
	var all sync.WaitGroup
	defer all.Wait()
	for i := range 2 {
		now := time.Now()
		request, err := sender.SOAPNoteAPI(ctx, s.url+"/soapnote", newSecret, sender.NoteGenerated(fmt.Sprint("refused-", i), now), now)
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			answer, err := sender.Send(request)
			if err != nil || answer.Status != http.StatusServiceUnavailable {
				t.Errorf("an event for a full queue is answered %+v, %v, want 503", answer, err)
			}
		})
		if i == 0 {
			time.Sleep(3 * time.Second)
		}
	}
}

// fetch returns the body that a URL answers.
func fetch(ctx context.Context, t *testing.T, from string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
