package console

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// securityHeaders are those that each answer has.
var securityHeaders = map[string]string{
	"Content-Security-Policy":      "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
	"X-Content-Type-Options":       "nosniff",
	"Cache-Control":                "no-store",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Referrer-Policy":              "same-origin",
}

// TestRequests has the requests that reach no page of the gateway.
func TestRequests(t *testing.T) {
	t.Parallel()
	open := Console{AllowUnauthenticated: true}
	form := func(header string, body io.Reader) *http.Request {
		r := httptest.NewRequest(http.MethodPost, "http://ops.example.com/style.css", body)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if name, value, ok := strings.Cut(header, ": "); ok {
			r.Header.Set(name, value)
		}
		return r
	}
	get := func(method, path string, body io.Reader) *http.Request {
		return httptest.NewRequest(method, path, body)
	}
	early := get(http.MethodGet, "https://ops.example.com/style.css", nil)
	early.TLS = new(tls.ConnectionState)
	for name, c := range map[string]struct {
		console Console
		request *http.Request
		status  int
		says    string
		closes  bool // whether the answer closes the connection
	}{
		"style":                          {open, get(http.MethodGet, "/style.css", nil), 200, "", false},
		"script":                         {open, get(http.MethodGet, "/ops/console.js", nil), 200, "", false},
		"icon, by HEAD":                  {open, get(http.MethodHead, "/icon.svg", nil), 200, "", false},
		"a style for a stranger":         {Console{}, get(http.MethodGet, "/style.css", nil), 403, "Caddy has not authenticated it", false},
		"a page for a stranger":          {Console{}, get(http.MethodGet, "/events", nil), 403, "basic_auth", false},
		"no allow_loopback":              {Console{}, get(http.MethodGet, "/", nil), 403, "allow_loopback", false},
		"a form of a stranger":           {Console{}, form("", strings.NewReader("a=b")), 403, "Caddy has not authenticated it", true},
		"DELETE of a stranger":           {Console{}, get(http.MethodDelete, "/", nil), 403, "Caddy has not authenticated it", false},
		"PUT":                            {open, get(http.MethodPut, "/act", strings.NewReader("a=b")), 405, "GET, HEAD and POST", true},
		"OPTIONS":                        {open, get(http.MethodOptions, "/", nil), 405, "GET, HEAD and POST", false},
		"GET with a body":                {open, get(http.MethodGet, "/", strings.NewReader("a=b")), 400, "has no body", true},
		"early data":                     {open, early, 425, "before the connection was complete", false},
		"a form of the same site":        {open, form("Sec-Fetch-Site: same-origin", strings.NewReader("a=b")), 200, "", false},
		"a form of an old browser":       {open, form("Origin: http://ops.example.com", strings.NewReader("a=b")), 200, "", false},
		"a form of curl":                 {open, form("", strings.NewReader("a=b")), 200, "", false},
		"a form of another site":         {open, form("Sec-Fetch-Site: cross-site", strings.NewReader("a=b")), 403, "another site", true},
		"a form of a sibling":            {open, form("Sec-Fetch-Site: same-site", strings.NewReader("a=b")), 403, "another site", true},
		"a form of another origin":       {open, form("Origin: http://evil.example.com", strings.NewReader("a=b")), 403, "another site", true},
		"a form of another port":         {open, form("Origin: http://ops.example.com:8081", strings.NewReader("a=b")), 403, "another site", true},
		"a form of no origin":            {open, form("Origin: null", strings.NewReader("a=b")), 403, "another site", true},
		"JSON":                           {open, form("Content-Type: application/json", strings.NewReader("{}")), 415, "x-www-form-urlencoded", true},
		"a form of another type":         {open, form("Content-Type: multipart/form-data; boundary=x", strings.NewReader("--x--")), 415, "x-www-form-urlencoded", true},
		"a form that is not encoded":     {open, form("", strings.NewReader("a=%zz")), 400, "cannot be read", true},
		"a large form":                   {open, form("", strings.NewReader("a="+strings.Repeat("b", maxForm))), 413, "Select fewer events", true},
		"a large form without a length":  {open, form("", io.LimitReader(neverEnding{}, maxForm+1)), 413, "Select fewer events", true},
		"the largest form":               {open, form("", strings.NewReader("a="+strings.Repeat("b", maxForm-2))), 200, "", false},
		"a stranger's Host, with markup": {Console{AllowLoopback: true}, hosted("<script>alert(1)</script>"), 403, "Its Host is not loopback", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			console := provisioned(t, c.console)
			console.logger = zap.NewNop()
			w := httptest.NewRecorder()
			if err := console.ServeHTTP(w, c.request, nil); err != nil {
				t.Fatalf("the handler returns an error, which Caddy would log with the URI: %v", err)
			}
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
				t.Errorf("status %d, want %d, and a page with %q:\n%s", w.Code, c.status, c.says, w.Body)
			}
			for name, want := range securityHeaders {
				if got := w.Header().Values(name); len(got) != 1 || got[0] != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			if closes := w.Header().Get("Connection") == "close"; closes != c.closes {
				t.Errorf("the answer closes the connection: %v", closes)
			}
			if allow := w.Header().Get("Allow"); (allow == "GET, HEAD, POST") != (c.status == 405) {
				t.Errorf("Allow: %q", allow)
			}
			if page := strings.ToLower(w.Body.String()); c.status != 200 && (strings.Contains(page, "<script") || strings.Contains(page, "style=")) {
				t.Errorf("the page has a script or a style of its own:\n%s", page)
			}
		})
	}
}

// hosted returns a request with a Host that a server of HTTP/2 or 3 may let through.
func hosted(host string) *http.Request {
	rq := request{host: host}
	return rq.prepare()
}

// neverEnding is a reader without an end.
type neverEnding struct{}

func (neverEnding) Read(p []byte) (int, error) {
	return copy(p, bytes.Repeat([]byte("a"), len(p))), nil
}

// The page for a stranger has no style and no script, since both are refused to strangers too.
func TestForbiddenPageNeedsNothingElse(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	forbid(w, httptest.NewRequest(http.MethodGet, "/", nil), forbidden{Reasons: []string{"<b>markup</b>"}})
	for _, unwanted := range []string{"<b>", "<link", "<script", "<img", "href=", "src="} {
		if strings.Contains(w.Body.String(), unwanted) {
			t.Errorf("the page contains %s:\n%s", unwanted, w.Body)
		}
	}
}

func TestPanicsOfPages(t *testing.T) {
	t.Parallel()
	const text = "PATIENT-TEXT"
	core, logs := observer.New(zap.DebugLevel)
	c := &Console{logger: zap.New(core)}
	serve := func(page http.HandlerFunc) (w *httptest.ResponseRecorder, p any) {
		w = httptest.NewRecorder()
		defer func() { p = recover() }()
		a := &answer{ResponseWriter: w}
		defer c.recoverPanic(a)
		page(a, nil)
		return w, nil
	}
	w, p := serve(func(http.ResponseWriter, *http.Request) { panic(text) })
	if p != nil || w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "This is a defect") {
		t.Errorf("panic %v, status %d, page\n%s", p, w.Code, w.Body)
	}
	if strings.Contains(w.Body.String(), text) {
		t.Errorf("the page quotes the panic:\n%s", w.Body)
	}
	if lines := logs.All(); len(lines) != 1 || lines[0].Level != zap.ErrorLevel || strings.Contains(fmt.Sprintf("%s %s", lines[0].Message, lines[0].ContextMap()), text) {
		t.Errorf("logged: %v", lines)
	}
	for name, page := range map[string]http.HandlerFunc{
		"after the answer began": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("half")); panic(text) },
		"after the status":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK); panic(text) },
		"to end the request":     func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		if _, p := serve(page); p != http.ErrAbortHandler { //nolint:errorlint // a panic's value
			t.Errorf("%s: the panic is %v", name, p)
		}
	}
}
