package rest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const testKey = "snx_secret_key"

// A pipe is a network in memory, for a bubble.
type pipe struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipe) Close() error   { close(p.done); return nil }
func (p *pipe) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// newPiped returns a client of a handler, in a bubble. dials counts the connections.
func newPiped(t *testing.T, perMinute int, h http.HandlerFunc) (c *Client, dials *int) {
	t.Helper()
	p := &pipe{conns: make(chan net.Conn), done: make(chan struct{})}
	var handlers sync.WaitGroup
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handlers.Add(1)
		defer handlers.Done()
		h(w, r)
	})}
	go func() { _ = server.Serve(p) }()
	c, err := New(Options{Base: "http://127.0.0.1/base/", Key: func() string { return testKey }, Rate: perMinute, Version: "1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	dials = new(int)
	c.transports.New = func() *http.Transport {
		return &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			*dials++
			client, remote := net.Pipe()
			select {
			case p.conns <- remote:
				return client, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}}
	}
	t.Cleanup(func() {
		c.Close()
		_ = server.Close()
		synctest.Wait() // no handler begins any more
		handlers.Wait()
	})
	return c, dials
}

var get = Request{Method: http.MethodGet, Path: "/v1/things/{id}", ID: "a1", Query: url.Values{"secret": {"query"}}, Limit: 1 << 20}

// object reads an answer that must be an object.
func object(r io.Reader) error {
	d := NewDocument(r)
	if err := d.Object(func(string) error { return nil }); err != nil {
		return err
	}
	return d.End()
}

func TestRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := newPiped(t, 0, func(w http.ResponseWriter, r *http.Request) {
			if got := r.Method + " " + r.RequestURI; got != "GET /base/v1/things/a%3Bb?secret=query" {
				t.Errorf("request = %s", got)
			}
			if got := r.Header.Get("Authorization"); got != "Bearer "+testKey {
				t.Errorf("Authorization = %q", got)
			}
			if got := r.Header.Get("User-Agent"); got != "Scribegate/1.2.3" {
				t.Errorf("User-Agent = %q", got)
			}
			_, _ = io.WriteString(w, `{}`)
		})
		r := get
		r.ID = "a;b"
		if err := c.Do(t.Context(), r, object); err != nil {
			t.Error(err)
		}
	})
}

// Every way in which a request can fail has its kind, and a text that says what to do
// without the key, the id, the query or anything of the answer.
func TestErrors(t *testing.T) {
	t.Parallel()
	status := func(code int, errorType string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			_, _ = io.WriteString(w, `{"status_code":1,"error_type":"`+errorType+`","message":"patient Doe"}`)
		}
	}
	send := func(head, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(conn, head+"\r\n\r\n"+body)
			_ = conn.Close()
		}
	}
	tests := []struct {
		name   string
		answer http.HandlerFunc
		kind   Kind
		status int
		typ    string
		text   string
	}{
		{"404", status(404, "transcription_not_found"), Unknown, 404, "transcription_not_found", "region"},
		{"400", status(400, "invalid_request"), Unknown, 400, "invalid_request", "not known"},
		{"409", status(409, "transcription_invalid_state"), NotReady, 409, "transcription_invalid_state", "yet"},
		{"401", status(401, "unauthenticated"), Unauthorized, 401, "unauthenticated", "check that api_key is valid"},
		{"403", status(403, "permission_denied"), Unauthorized, 403, "permission_denied", "the key of a project"},
		{"402 balance", status(402, "organization_balance_exhausted"), Quota, 402, "organization_balance_exhausted", "balance of the organization"},
		{"402 budget", status(402, "organization_monthly_budget_exhausted"), Quota, 402, "organization_monthly_budget_exhausted", "budget of the organization"},
		{"402 project", status(402, "project_monthly_budget_exhausted"), Quota, 402, "project_monthly_budget_exhausted", "budget of the project"},
		{"429", status(429, "limit_exceeded"), RateLimited, 429, "limit_exceeded", "lower api_rate"},
		{"500", status(500, "internal_error"), Unreachable, 500, "internal_error", "answered 500"},
		{"503", status(503, "service_unavailable"), Unreachable, 503, "service_unavailable", "answered 503"},
		{"408", status(408, ""), Timeout, 408, "", "answered 408"},
		{"418", status(418, ""), InvalidAnswer, 418, "", "api_base"},
		{"an error type that is not a word", status(500, "patient Doe"), Unreachable, 500, "", "answered 500"},
		{"redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, InvalidAnswer, 302, "", "redirect"},
		{"error without JSON", func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "patient Doe", http.StatusInternalServerError)
		}, Unreachable, 500, "", "answered 500"},
		{"no JSON", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "patient Doe") }, InvalidAnswer, 200, "", "not valid JSON"},
		{"empty", func(http.ResponseWriter, *http.Request) {}, InvalidAnswer, 200, "", "not valid JSON"},
		{"an array", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "[]") }, InvalidAnswer, 200, "", "member"},
		{"data behind", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{} {}") }, InvalidAnswer, 200, "", "not valid JSON"},
		{"too large", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"a":"`+strings.Repeat("x", 1<<20)+`"}`)
		}, InvalidAnswer, 200, "", "too large"},
		{"cut off", send("HTTP/1.1 200 OK\r\nContent-Length: 100", `{"patient":"Doe`), InvalidAnswer, 200, "", "cut off"},
		{"cut off in a chunk", send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", "40\r\n{\"patient\""), InvalidAnswer, 200, "", "cut off"},
		{"not HTTP", send("patient Doe", ""), Unreachable, 0, "", "not valid HTTP"},
		{"closed before an answer", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, Unreachable, 0, "", "connection"},
		{"hangs", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, Timeout, 0, "", "30 s"},
		{"hangs half-way", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, `{"patient":"Doe`)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, Timeout, 200, "", "30 s"},
		{"sends a byte now and then", func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, " ")
				_ = http.NewResponseController(w).Flush()
				time.Sleep(20 * time.Second)
			}
		}, Timeout, 200, "", "took too long"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, _ := newPiped(t, 0, tt.answer)
				err := c.Do(t.Context(), get, object)
				e, ok := errors.AsType[*Error](err)
				if !ok {
					t.Fatalf("error = %v", err)
				}
				if e.Kind != tt.kind || e.Status != tt.status || e.Type != tt.typ {
					t.Errorf("kind %s, status %d, type %q: %v", e.Kind, e.Status, e.Type, err)
				}
				text := err.Error()
				if !strings.HasPrefix(text, "GET http://127.0.0.1/base/v1/things/{id}: ") || !strings.Contains(text, tt.text) {
					t.Errorf("text = %q, want %q in it", text, tt.text)
				}
				for _, secret := range []string{testKey, "a1", "query", "Doe"} {
					if strings.Contains(text, secret) {
						t.Errorf("%q is in %q", secret, text)
					}
				}
			})
		})
	}
}

// A 404 that is not about an object says that the address is wrong, not that something
// is unknown. A 403 for a deletion names the kind of key.
func TestErrorsOfOtherRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		code := 404
		c, _ := newPiped(t, 0, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
		list := get
		list.ID, list.Path = "", "/v1/things"
		if err := c.Do(t.Context(), list, object); KindOf(err) != InvalidAnswer {
			t.Errorf("a list that is not there: %v", err)
		}
		code = 403
		del := get
		del.Method = http.MethodDelete
		if err := c.Do(t.Context(), del, object); KindOf(err) != Unauthorized || !strings.Contains(err.Error(), "may write") {
			t.Errorf("a deletion that is not allowed: %v", err)
		}
	})
}

// What takes long but goes on is not a timeout.
func TestSlowAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := newPiped(t, 0, func(w http.ResponseWriter, _ *http.Request) {
			for _, part := range []string{"{", `"a"`, ":", "1", "}"} {
				time.Sleep(29 * time.Second)
				_, _ = io.WriteString(w, part)
				_ = http.NewResponseController(w).Flush()
			}
		})
		if err := c.Do(t.Context(), get, object); err != nil {
			t.Error(err)
		}
	})
}

func TestNoConnection(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + l.Addr().String()
	_ = l.Close()
	c, err := New(Options{Base: base, Key: func() string { return testKey }})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	err = c.Do(t.Context(), get, object)
	if e, ok := errors.AsType[*Error](err); !ok || e.Kind != Unreachable || e.Status != 0 {
		t.Errorf("error = %v", err)
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := newPiped(t, 1, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "{")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		})
		for range 2 { // the first in its answer, the second while it waits for the rate limit
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if err := c.Do(ctx, get, object); !errors.Is(err, context.DeadlineExceeded) || KindOf(err) != "" {
				t.Errorf("error = %v", err)
			}
			cancel()
		}
	})
}

// Retry-After is kept in both forms, of a 429 and a 503, and of nothing else.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status int
		header func(now time.Time) string
		want   time.Duration
	}{
		{429, func(time.Time) string { return "120" }, 2 * time.Minute},
		{429, func(now time.Time) string { return now.Add(time.Hour).UTC().Format(http.TimeFormat) }, time.Hour},
		{429, func(time.Time) string { return "" }, 0},
		{429, func(time.Time) string { return "soon" }, 0},
		{503, func(time.Time) string { return "5" }, 5 * time.Second},
		{404, func(time.Time) string { return "5" }, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			c, _ := newPiped(t, 0, func(w http.ResponseWriter, _ *http.Request) {
				if h := tt.header(time.Now()); h != "" {
					w.Header().Set("Retry-After", h)
				}
				w.WriteHeader(tt.status)
			})
			err := c.Do(t.Context(), get, object)
			e, ok := errors.AsType[*Error](err)
			if !ok {
				t.Fatal(err)
			}
			var want time.Time
			if tt.want > 0 {
				want = time.Now().Add(tt.want)
			}
			if !e.RetryAfter.Equal(want) {
				t.Errorf("%d: RetryAfter = %v, want %v", tt.status, e.RetryAfter, want)
			}
		})
	}
}

// No minute has more requests than api_rate, not even the first one with its burst.
func TestRateOfAMinute(t *testing.T) {
	t.Parallel()
	for _, perMinute := range []int{1, 12, 30, 60, 120, 6000} {
		limit, burst := limits(perMinute)
		if most := float64(burst) + float64(limit)*60; burst > 1 && most > float64(perMinute) {
			t.Errorf("at %d a minute, a minute has up to %g requests", perMinute, most)
		}
		if burst == 1 && float64(limit)*60 != float64(perMinute) || burst < 1 {
			t.Errorf("at %d a minute: %v, bursts of %d", perMinute, limit, burst)
		}
	}
}

// The requests of all callers together keep the rate, and what each of them waits for it
// is measured.
func TestRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, dials := newPiped(t, 60, func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(100 * time.Millisecond)
			_, _ = io.WriteString(w, "{}")
		})
		began := time.Now()
		for i := range 15 {
			ready := c.Ready()
			if want := i < 5; ready != want {
				t.Errorf("request %d is ready: %v", i, ready)
			}
			start := time.Now()
			ctx, waited := Stopwatch(t.Context())
			if err := c.Do(ctx, get, object); err != nil {
				t.Fatal(err)
			}
			if got, want := waited(), time.Since(start)-100*time.Millisecond; got != want {
				t.Errorf("request %d has waited %s, want %s", i, got, want)
			}
		}
		if took := time.Since(began); took < 10*time.Second || took > 11100*time.Millisecond {
			t.Errorf("15 requests at 60 a minute took %s", took)
		}
		if *dials != 1 {
			t.Errorf("%d connections for one request after another", *dials)
		}
		c.SetRate(6000)
		began = time.Now()
		for range 15 {
			if err := c.Do(t.Context(), get, object); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("15 requests at 6000 a minute took %s", took)
		}
		if err := c.Do(OnNewConn(t.Context()), get, object); err != nil || *dials != 2 {
			t.Errorf("%d connections, error %v", *dials, err)
		}
	})
}

// An id never names another endpoint: one that could is unknown, without a request.
func TestIDs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := ""
		c, _ := newPiped(t, 6000, func(w http.ResponseWriter, r *http.Request) {
			asked = r.RequestURI
			_, _ = io.WriteString(w, "{}")
		})
		for _, id := range []string{".", "..", "a/b", `a\b`, "%2e%2e", "a?b", "a#b", "a b", "a\n", "ä", "\x00", strings.Repeat("a", 257)} {
			r := get
			r.ID = id
			if err := c.Do(t.Context(), r, object); KindOf(err) != Unknown || asked != "" {
				t.Errorf("%q: %v, asked for %q", id, err, asked)
			}
		}
		for _, id := range []string{"...", "a.b", "note_01j-x", "a:b;c=d@e", strings.Repeat("a", 256)} {
			r := get
			r.ID = id
			asked = ""
			if err := c.Do(t.Context(), r, object); err != nil || strings.Count(asked, "/") != 4 {
				t.Errorf("%q: %v, asked for %q", id, err, asked)
			}
		}
	})
}

func TestKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		got := ""
		c, _ := newPiped(t, 0, func(w http.ResponseWriter, r *http.Request) {
			got = r.Header.Get("Authorization")
			_, _ = io.WriteString(w, "{}")
		})
		for _, key := range []string{"", "a\nb"} {
			c.key = func() string { return key }
			if err := c.Do(t.Context(), get, object); KindOf(err) != Unauthorized || got != "" || strings.Contains(err.Error(), "a\nb") {
				t.Errorf("key %q: %v", key, err)
			}
		}
		c.key = func() string { return "rotated" }
		if err := c.Do(t.Context(), get, object); err != nil || got != "Bearer rotated" {
			t.Errorf("%v, Authorization %q", err, got)
		}
	})
}

func TestCheckBase(t *testing.T) {
	t.Parallel()
	for base, ok := range map[string]bool{
		"https://api.soniox.com":           true,
		"https://api.soniox.com/":          true,
		"https://proxy.example/soniox":     true,
		"http://127.0.0.1:8080":            true,
		"http://[::1]:8080":                true,
		"http://localhost":                 true,
		"http://api.soniox.com":            false,
		"http://127.0.0.1.example.com":     false,
		"ftp://api.soniox.com":             false,
		"api.soniox.com":                   false,
		"":                                 false,
		"https://":                         false,
		"https://:443":                     false,
		"https://u:p@api.soniox.com":       false,
		"https://api.soniox.com?a=b":       false,
		"https://api.soniox.com#f":         false,
		"https:api.soniox.com":             false,
		"https://api.soniox.com:notaport/": false,
	} {
		if err := CheckBase(base); (err == nil) != ok {
			t.Errorf("%q: %v", base, err)
		}
	}
}

// Large is called once, before more than the first MiB is read, and may wait longer than
// an answer may hang.
func TestLarge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		size := 1 << 19
		c, _ := newPiped(t, 0, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"a":"`+strings.Repeat("x", size)+`"}`)
		})
		r := get
		r.Limit = 4 << 20
		calls := 0
		r.Large = func(context.Context) error {
			calls++
			time.Sleep(time.Minute)
			return nil
		}
		if err := c.Do(t.Context(), r, object); err != nil || calls != 0 {
			t.Errorf("%d calls, %v", calls, err)
		}
		size = 3 << 20
		if err := c.Do(t.Context(), r, object); err != nil || calls != 1 {
			t.Errorf("%d calls, %v", calls, err)
		}
	})
}
