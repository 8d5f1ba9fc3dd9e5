package caddymodule

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
)

// slowRequest is a request that has come to its handler but for the end of its
// body.
type slowRequest struct {
	finish func() reply
}

// startSlowly sends all of a note but its last byte, once the handler reads.
func startSlowly(t *testing.T, s *site, id string) slowRequest {
	t.Helper()
	body := note(id)
	r := s.soapnote("/soapnote", body)
	read, write := io.Pipe()
	r.Body, r.GetBody, r.ContentLength = read, nil, int64(len(body))
	// With this, the body is asked for by the handler's first read.
	r.Header.Set("Expect", "100-continue")
	client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: commandtest.WaitTimeout, DisableKeepAlives: true}}
	answers := make(chan reply, 1)
	go func() {
		resp, err := client.Do(r)
		if err != nil {
			answers <- reply{body: err.Error()}
			return
		}
		defer resp.Body.Close()
		content, _ := io.ReadAll(resp.Body)
		answers <- reply{resp.StatusCode, resp.Header, string(content)}
	}()
	if _, err := io.WriteString(write, body[:len(body)-1]); err != nil {
		t.Fatal(err)
	}
	return slowRequest{func() reply {
		_, _ = io.WriteString(write, body[len(body)-1:])
		_ = write.Close()
		return <-answers
	}}
}

// A request that is in its handler while the configuration is replaced is
// answered 200, and its event delivered.
func TestReloadWithRequestsInFlight(t *testing.T) {
	elsewhere := func(s *site, app string) string {
		return strings.ReplaceAll(app, "QUEUE", "queue sqlite {\n path "+filepath.Join(s.dir, "other.db")+"\n}")
	}
	tests := []struct {
		name   string
		reload func(t *testing.T, s *site, url string)
	}{
		{"same queue", func(t *testing.T, s *site, url string) {
			s.load(upstreams("ehr", url, "lab", url), soapnoteTo("ehr"))
		}},
		{"twice", func(t *testing.T, s *site, url string) {
			s.load(upstreams("ehr", url, "lab", url), soapnoteTo("ehr"))
			s.load(upstreams("ehr", url), soapnoteTo("ehr"))
		}},
		{"another queue", func(t *testing.T, s *site, url string) {
			s.load(elsewhere(s, upstreams("ehr", url)), soapnoteTo("ehr"))
			openable(t, filepath.Join(s.dir, "queue.db"))
		}},
		{"rejected", func(t *testing.T, s *site, url string) {
			if err := s.tryLoad(upstreams("ehr", url), soapnoteTo("nowhere")); err == nil {
				t.Fatal("no error")
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, ehr := newSite(t), newBackend(t)
			s.load(upstreams("ehr", ehr.URL), soapnoteTo("ehr"))
			slow := startSlowly(t, s, "slow")
			tt.reload(t, s, ehr.URL)
			id := slow.finish().id(t)
			eventually(t, "its delivery", func() bool { return ehr.gotEvent(id) })
		})
	}
}

// If no queue is open any more, a request is answered 503, so that the provider sends it again.
func TestRequestOutlivesTheApp(t *testing.T) {
	s, ehr := newSite(t), newBackend(t)
	s.load(upstreams("ehr", ehr.URL), soapnoteTo("ehr"))
	slow := startSlowly(t, s, "slow")
	s.load("", "respond 200")
	if r := slow.finish(); r.status != http.StatusServiceUnavailable || r.header.Get("Retry-After") == "" {
		t.Errorf("answer %d %s", r.status, r.body)
	}
}

// An attempt under way when the configuration is replaced ends by itself.
func TestReloadInterruptsNoAttempt(t *testing.T) {
	for name, upstream := range map[string]string{
		"url":   "upstream ehr %s",
		"route": "upstream ehr {\n route {\n reverse_proxy %s\n }\n}",
	} {
		t.Run(name, func(t *testing.T) {
			s, ehr := newSite(t), newBackend(t)
			hold := make(chan struct{})
			ehr.respond(func(w http.ResponseWriter, _ *http.Request) {
				<-hold
				w.WriteHeader(http.StatusNoContent)
			})
			app := "\tscribegate {\n\t\tQUEUE\n" + fmt.Sprintf(upstream, ehr.URL) + "\n\t}\n"
			s.load(app, soapnoteTo("ehr"))
			id := accepted(t, s, "note-1")
			ehr.wait(t, 1)
			for range 2 {
				s.load(app, soapnoteTo("ehr"))
			}
			if u := queued(t).Upstreams[0]; u.InFlight != 1 {
				t.Errorf("%d in flight, want 1", u.InFlight)
			}
			close(hold)
			if d := settled(t, id, 1); d.State != "delivered" || len(ehr.deliveries()) != 1 {
				t.Errorf("%+v after %d requests", d, len(ehr.deliveries()))
			}
		})
	}
}

// stacks is what the goroutines do.
func stacks() string {
	var b strings.Builder
	_ = pprof.Lookup("goroutine").WriteTo(&b, 1)
	return b.String()
}

// Fifty reloads under load lose nothing and leave nothing behind.
func TestReloadsUnderLoad(t *testing.T) {
	for _, kind := range []string{"url", "route"} {
		t.Run(kind, func(t *testing.T) { reloadUnderLoad(t, kind) })
	}
}

func reloadUnderLoad(t *testing.T, kind string) {
	const reloads, senders = 50, 4
	s, one, two := newSite(t), newBackend(t), newBackend(t)
	variants := []string{upstreams("ehr", one.URL), upstreams("ehr", two.URL, "lab", one.URL)}
	if kind == "route" {
		for i, b := range []*backend{two, one} {
			variants[i] = "\tscribegate {\n\t\tQUEUE\n\t\tupstream ehr {\n\t\t\troute {\n\t\t\t\treverse_proxy " + b.address() + "\n\t\t\t}\n\t\t}\n\t}\n"
		}
	}
	settle := func() census {
		eventually(t, "an empty queue", func() bool { return queued(t).Upstreams[0].Pending == 0 })
		http.DefaultClient.CloseIdleConnections()
		if kind == "route" {
			// reverse_proxy leaves the connections of a configuration
			// before to their timeout of two minutes.
			one.CloseClientConnections()
			two.CloseClientConnections()
		}
		return countNow()
	}
	s.load(variants[0], soapnoteTo("ehr"))
	accepted(t, s, "warm-up")
	before := settle()

	l := loadOn(t, s, senders)
	for i := range reloads {
		l.await(t, i*10)
		s.load(variants[(i+1)%len(variants)], soapnoteTo("ehr"))
	}
	acknowledged := l.end()
	t.Logf("%d events acknowledged over %d reloads, %d connections reset", len(acknowledged), reloads, l.resets)

	eventually(t, "an empty queue", func() bool { return queued(t).Upstreams[0].Pending == 0 })
	delivered := make(map[string]bool)
	for _, d := range append(one.deliveries(), two.deliveries()...) {
		delivered[d.header.Get("Webhook-Id")] = true
	}
	for _, id := range acknowledged {
		if !delivered[id] {
			t.Errorf("event %s was acknowledged and never delivered", id)
		}
	}
	s.load(variants[0], soapnoteTo("ehr")) // as before: one event through one configuration
	accepted(t, s, "cool-down")
	for deadline := time.Now().Add(commandtest.WaitTimeout); ; time.Sleep(20 * time.Millisecond) {
		now := settle()
		if now.goroutines <= before.goroutines && now.files <= before.files {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("left behind: %+v now, %+v before\n%s", now, before, stacks())
		}
	}
}
