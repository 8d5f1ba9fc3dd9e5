package standin_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/examples/providers/standin"
)

// TestFaults checks what a client sees of each kind of fault, and what the request did.
func TestFaults(t *testing.T) {
	t.Parallel()
	const location = "http://127.0.0.1:1/v1/transcriptions/" + id
	for name, tt := range map[string]struct {
		fault      standin.Fault
		method     string
		status     int
		body       string // a part of it
		retryAfter string
		location   string
		cut        bool // the connection
		has        bool // its effect
	}{
		"none":             {standin.Fault{}, "GET", 200, `"status":"completed"`, "", "", false, false},
		"delay":            {standin.Fault{Delay: time.Millisecond}, "DELETE", 204, "", "", "", false, true},
		"rate":             {standin.Fault{Status: 429, RetryAfter: "7"}, "GET", 429, `"error_type":"limit_exceeded"`, "7", "", false, false},
		"no money":         {standin.Fault{Status: 402, ErrorType: "organization_monthly_budget_exhausted"}, "GET", 402, `"error_type":"organization_monthly_budget_exhausted"`, "", "", false, false},
		"broken":           {standin.Fault{Status: 500}, "DELETE", 500, `"error_type":"internal_error"`, "", "", false, false},
		"a proxy's error":  {standin.Fault{Status: 502, Body: []byte("<html>")}, "GET", 502, "<html>", "", "", false, false},
		"wrong JSON":       {standin.Fault{Body: []byte(`{"id":`)}, "GET", 200, `{"id":`, "", "", false, false},
		"elsewhere":        {standin.Fault{Status: 302, Location: location}, "GET", 302, "", "", location, false, false},
		"cut off":          {standin.Fault{Cut: true}, "GET", 200, `"status":"completed"`, "", "", true, false},
		"no answer":        {standin.Fault{Cut: true}, "DELETE", 0, "", "", "", true, true},
		"an error cut off": {standin.Fault{Status: 500, Cut: true}, "GET", 500, `"status_code":500`, "", "", true, false},
		"another's id":     {standin.Fault{Status: 500, ID: otherID}, "GET", 200, `"status":"completed"`, "", "", false, false},
		"its id":           {standin.Fault{Status: 500, ID: id}, "GET", 500, `"status_code":500`, "", "", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, url := start(t, standin.Options{})
			s.AddTranscription(standin.Transcription{ID: id})
			s.Fail(standin.AnyRoute, tt.fault)
			resp, body, err := send(t, tt.method, url+"/v1/transcriptions/"+id, standin.SonioxKey, "")
			if (err != nil) != tt.cut {
				t.Errorf("error %v, want one: %v", err, tt.cut)
			}
			status := 0
			if resp != nil {
				status = resp.StatusCode
				if got := resp.Header.Get("Retry-After"); got != tt.retryAfter {
					t.Errorf("Retry-After = %q, want %q", got, tt.retryAfter)
				}
				if got := resp.Header.Get("Location"); got != tt.location {
					t.Errorf("Location = %q, want %q", got, tt.location)
				}
				if tt.cut && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("error %v, want %v", err, io.ErrUnexpectedEOF)
				}
			}
			if status != tt.status || !strings.Contains(string(body), tt.body) {
				t.Errorf("%d %s, want %d with %s", status, body, tt.status, tt.body)
			}
			if _, stays := s.Transcription(id); stays == tt.has {
				t.Errorf("the transcription is still there: %v", stays)
			}
			if got := s.Requests()[0]; got.Status != tt.status {
				t.Errorf("the status is recorded as %d, want %d", got.Status, tt.status)
			}
		})
	}
}

// TestHang checks that a request hangs until its client or the Server ends it.
func TestHang(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fault  standin.Fault
		status int // that arrives before it hangs
	}{
		"from the beginning": {standin.Fault{Hang: true}, 0},
		"half-way":           {standin.Fault{Hang: true, Cut: true}, 200},
		"delayed":            {standin.Fault{Delay: time.Hour}, 0},
	} {
		for who, end := range map[string]func(s *standin.Server, cancel func()){
			"client": func(_ *standin.Server, cancel func()) { cancel() },
			"server": func(s *standin.Server, _ func()) { s.Close() },
		} {
			t.Run(name+", "+who, func(t *testing.T) {
				t.Parallel()
				s, url := start(t, standin.Options{})
				s.AddTranscription(standin.Transcription{ID: id})
				s.Fail(standin.GetTranscript, tt.fault)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/v1/transcriptions/"+id+"/transcript", nil)
				if err != nil {
					t.Fatal(err)
				}
				request.Header.Set("Authorization", "Bearer "+standin.SonioxKey)
				ended := make(chan error, 1)
				go func() {
					resp, err := http.DefaultTransport.RoundTrip(request)
					if err == nil {
						_, err = io.ReadAll(resp.Body)
						resp.Body.Close()
					}
					ended <- err
				}()
				eventually(t, func() bool { return s.Count(standin.GetTranscript) == 1 && s.Requests()[0].Status == tt.status })
				select {
				case err := <-ended:
					t.Fatalf("it ended by itself: %v", err)
				default:
				}
				end(s, cancel)
				if err := <-ended; err == nil {
					t.Error("it was answered")
				}
			})
		}
	}
}

// TestFaultsInTurn checks the order of several faults, and their end.
func TestFaultsInTurn(t *testing.T) {
	t.Parallel()
	s, url := start(t, standin.Options{})
	s.AddTranscription(standin.Transcription{ID: id})
	s.Fail(standin.GetTranscription, standin.Fault{Status: 503, Times: 2})
	s.Fail(standin.GetTranscription, standin.Fault{Status: 429, Times: 1})
	s.Fail(standin.GetTranscript, standin.Fault{Status: 500})
	path := url + "/v1/transcriptions/" + id
	for i, want := range []int{503, 503, 429, 200, 200} {
		if got, _ := call(t, "GET", path, standin.SonioxKey, ""); got != want {
			t.Errorf("request %d: %d, want %d", i+1, got, want)
		}
	}
	for range 2 {
		if got, _ := call(t, "GET", path+"/transcript", standin.SonioxKey, ""); got != 500 {
			t.Errorf("the transcript: %d, want 500", got)
		}
	}
	s.ClearFaults()
	if got, _ := call(t, "GET", path+"/transcript", standin.SonioxKey, ""); got != 200 {
		t.Errorf("after ClearFaults: %d", got)
	}
}

// TestRequests checks what is known of each request.
func TestRequests(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 19, 15, 30, 0, 0, time.UTC)
	s, url := start(t, standin.Options{Now: func() time.Time { return at }})
	call(t, "GET", url+"/v1/transcriptions?limit=5&cursor=x", standin.SonioxKey, "")
	call(t, "GET", url+"/v1/transcriptions/..%2Ffiles", "wrong", "")
	call(t, "GET", url+"/v1/transcriptions//transcript", "", "")
	want := []standin.Request{
		{Route: standin.ListTranscriptions, Method: "GET", Path: "/v1/transcriptions", Query: "limit=5&cursor=x", Key: standin.SonioxKey, Time: at, Status: 400},
		{Route: standin.GetTranscription, Method: "GET", Path: "/v1/transcriptions/..%2Ffiles", Key: "wrong", Time: at, Status: 401},
		{Method: "GET", Path: "/v1/transcriptions//transcript", Time: at, Status: 404},
	}
	got := s.Requests()
	if len(got) != len(want) {
		t.Fatalf("%d requests, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i].RemoteAddr == "" {
			t.Error("no address")
		}
		got[i].RemoteAddr = ""
		if got[i] != want[i] {
			t.Errorf("request %d = %+v, want %+v", i, got[i], want[i])
		}
	}
	for route, n := range map[standin.Route]int{standin.AnyRoute: 3, standin.GetTranscription: 1, standin.GetTranscript: 0} {
		if got := s.Count(route); got != n {
			t.Errorf("Count(%q) = %d, want %d", route, got, n)
		}
	}
}
