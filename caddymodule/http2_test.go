package caddymodule

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/verifier"
)

// loadH2 runs a site that speaks HTTP/2 without TLS too, and returns a client
// that speaks nothing else.
func (s *site) loadH2(upstream, block string) func(t *testing.T, r *http.Request) reply {
	s.t.Helper()
	s.load("\tservers {\n\t\tprotocols h1 h2c\n\t}\n"+oneUpstream+upstream+"\n\t}", block)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: protocols}}
	s.t.Cleanup(client.CloseIdleConnections)
	return func(t *testing.T, r *http.Request) reply {
		t.Helper()
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.ProtoMajor != 2 {
			t.Fatalf("the answer came over %s", resp.Proto)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return reply{resp.StatusCode, resp.Header, string(body)}
	}
}

func TestAnswersOverHTTP2(t *testing.T) {
	s, b := newSite(t), newBackend(t)
	send := s.loadH2(b.URL, strings.ReplaceAll(tableBlock["soapnoteapi"], "PATH", "/soapnote")+
		strings.ReplaceAll(tableBlock["soniox"], "PATH", "/soniox"))
	var unauthorized http.Header
	for _, table := range []struct {
		provider string
		rows     []exchange
		request  func(path, body string) *http.Request
		path     string
	}{
		{"soapnoteapi", soapnoteExchanges(), s.soapnote, "/soapnote"},
		{"soniox", sonioxExchanges(), s.soniox, "/soniox"},
	} {
		for _, row := range table.rows {
			if row.name == "method post" {
				continue // the client writes it in capitals
			}
			t.Run(table.provider+"/"+row.name, func(t *testing.T) {
				before := rejections(table.provider, row.reason)
				r := table.request(table.path, row.body)
				for _, c := range row.changes {
					c(r)
				}
				got := send(t, r)
				if got.status != row.status || (row.answer != "" && got.body != row.answer) || got.header.Get("Content-Type") != "application/json" {
					t.Errorf("answer %d %s, want %d %s", got.status, got.body, row.status, row.answer)
				}
				if row.reason != "" && rejections(table.provider, row.reason) != before+1 {
					t.Errorf("not counted as %s", row.reason)
				}
				if got.status != http.StatusUnauthorized {
					return
				}
				got.header.Del("Date")
				if unauthorized == nil {
					unauthorized = got.header
				}
				if !equalHeaders(got.header, unauthorized) {
					t.Errorf("headers %v, want those of every 401, %v", got.header, unauthorized)
				}
			})
		}
	}
}

func equalHeaders(a, b http.Header) bool {
	if len(a) != len(b) {
		return false
	}
	for name := range a {
		if strings.Join(a[name], "\n") != strings.Join(b[name], "\n") {
			return false
		}
	}
	return true
}

// A stream whose body stops has its own deadline, and the connection goes on.
func TestBodyDoesNotArriveWholeOverHTTP2(t *testing.T) {
	shorten(t, &bodyTimeout, 300*time.Millisecond)
	s, b := newSite(t), newBackend(t)
	send := s.loadH2(b.URL, bothProviders)
	body := note("half")
	before := rejections("soapnoteapi", verifier.Incomplete)
	r := s.soapnote("/soapnote", body)
	in, out := io.Pipe()
	defer out.Close()
	r.Body, r.GetBody = in, nil
	go func() { _, _ = io.WriteString(out, body[:20]) }()
	got := send(t, r)
	expect(t, got, http.StatusRequestTimeout, saysTimeout, verifier.Incomplete, before)
	if got := send(t, s.soapnote("/soapnote", body)); got.status != http.StatusOK {
		t.Errorf("the next answer is %d %s", got.status, got.body)
	}
}

// The deadline ends with the body over HTTP/2 as well, and a stream that is
// reset while its event is being stored loses nothing.
func TestStoringOverHTTP2(t *testing.T) {
	shorten(t, &bodyTimeout, 150*time.Millisecond)
	s, b := newSite(t), newBackend(t)
	s.load("\tservers {\n\t\tprotocols h1 h2c\n\t}\n"+strings.Replace(oneUpstream, "QUEUE", gatedQueue+s.dir+"/gated.db\n\t\t}", 1)+b.URL+"\n\t}", bothProviders)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: protocols}}
	defer client.CloseIdleConnections()

	release := storeGate.shut(nil)
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	statuses := make(chan int, 2)
	for i, ctx := range []context.Context{t.Context(), ctx} {
		go func() {
			resp, err := client.Do(s.soapnote("/soapnote", note([]string{"stays", "goes"}[i])).WithContext(ctx))
			if err != nil {
				statuses <- 0
				return
			}
			resp.Body.Close()
			statuses <- resp.StatusCode
		}()
	}
	<-storeGate.reached
	<-storeGate.reached
	time.Sleep(2 * bodyTimeout) // that time goes by is what is tested
	cancel()
	if got := <-statuses; got != 0 {
		t.Errorf("status %d for the client that went", got)
	}
	release()
	if got := <-statuses; got != http.StatusOK {
		t.Errorf("status %d for the client that stayed", got)
	}
	if got := b.wait(t, 2); len(got) != 2 {
		t.Errorf("%d deliveries, want both events", len(got))
	}
}
