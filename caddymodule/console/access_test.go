package console

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.opentelemetry.io/otel/trace"

	"github.com/scribegate/scribegate/caddymodule/console/internal/pages"
)

// A request is what the access check looks at. What it does not say is that of a browser on
// this machine that opens http://localhost:8081/.
type request struct {
	remote, client string
	host           string
	proto          int // major version; -1 is HTTP/1.0
	header         http.Header
	placeholders   map[string]any
	tls            *tls.ConnectionState
}

// browser has the headers that Chromium and Firefox send, with those of their private modes and
// of a form.
var browser = http.Header{
	"Accept": {"text/html"}, "Accept-Encoding": {"gzip, deflate, br, zstd"}, "Accept-Language": {"en"}, "Cache-Control": {"max-age=0"},
	"Connection": {"keep-alive"}, "Content-Length": {"3"}, "Content-Type": {"application/x-www-form-urlencoded"}, "Cookie": {"a=b"}, "Dnt": {"1"},
	"If-None-Match": {`"a"`}, "Origin": {"http://localhost:8081"}, "Pragma": {"no-cache"}, "Priority": {"u=0, i"}, "Purpose": {"prefetch"},
	"Referer": {"http://localhost:8081/events"}, "Save-Data": {"on"}, "Scribegate-Part": {"1"}, "Sec-Ch-Ua": {`"Chromium"`}, "Sec-Fetch-Dest": {"document"}, "Sec-Fetch-Site": {"none"},
	"Sec-Gpc": {"1"}, "Te": {"trailers"}, "Upgrade-Insecure-Requests": {"1"}, "User-Agent": {"Mozilla/5.0"},
}

// prepare returns the request as Caddy hands it to a handler.
func (rq request) prepare() *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.RemoteAddr, r.Host, r.Header, r.TLS = "127.0.0.1:50000", "localhost:8081", browser.Clone(), rq.tls
	if rq.remote != "" {
		r.RemoteAddr = strings.TrimPrefix(rq.remote, "none")
	}
	if rq.host != "" {
		r.Host = strings.TrimPrefix(rq.host, "none")
	}
	switch rq.proto {
	case -1:
		r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.0", 1, 0
	case 2, 3:
		r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", rq.proto, 0
	}
	for name, values := range rq.header {
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	repl := caddy.NewReplacer()
	r = caddyhttp.PrepareRequest(r, repl, nil, new(caddyhttp.Server))
	if rq.client != "" {
		caddyhttp.SetVar(r.Context(), caddyhttp.ClientIPVarKey, strings.TrimPrefix(rq.client, "none"))
	}
	for key, value := range rq.placeholders {
		if name, ok := strings.CutPrefix(key, "http.vars."); ok {
			caddyhttp.SetVar(r.Context(), name, value)
			continue
		}
		repl.Set(key, value)
	}
	return r
}

func provisioned(t *testing.T, c Console) *Console {
	t.Helper()
	var err error
	if c.user, err = newUserPlaceholder(c.User); err != nil {
		t.Fatal(err)
	}
	return &c
}

func TestLoopback(t *testing.T) {
	t.Parallel()
	const (
		machine = "It came from another machine"
		host    = "is not loopback"
		proxied = "A trusted proxy passed it on"
		header  = "which a proxy or a tunnel may have added"
	)
	with := func(name, value string) request { return request{header: http.Header{name: {value}}} }
	for name, c := range map[string]struct {
		request
		reason string // a part of it; "" if the request is served
	}{
		"a browser":                        {request{}, ""},
		"curl":                             {with("Accept", "*/*"), ""},
		"HTTP/2":                           {request{proto: 2}, ""},
		"HTTP/3":                           {request{proto: 3}, ""},
		"HTTP/1.0, as nginx speaks":        {request{proto: -1}, "HTTP/1.0"},
		"IPv6":                             {request{remote: "[::1]:50000", host: "[::1]:8081"}, ""},
		"IPv4 in IPv6":                     {request{remote: "[::ffff:127.0.0.1]:50000"}, ""},
		"another loopback address":         {request{remote: "127.8.9.10:50000", host: "127.8.9.10:8081"}, ""},
		"the network":                      {request{remote: "192.168.1.7:50000"}, machine},
		"the network, IPv6":                {request{remote: "[2001:db8::7]:50000"}, machine},
		"link-local":                       {request{remote: "[fe80::1%lo]:50000"}, machine},
		"the unspecified address":          {request{remote: "0.0.0.0:50000"}, machine},
		"a Unix socket":                    {request{remote: "@"}, "Unix socket"},
		"no remote address":                {request{remote: "none"}, "Unix socket"},
		"another client of a proxy":        {request{client: "203.0.113.7"}, proxied},
		"an unknown client of a proxy":     {request{client: "none"}, proxied},
		"localhost without a port":         {request{host: "localhost"}, ""},
		"LOCALHOST":                        {request{host: "LOCALHOST:8081"}, ""},
		"localhost with a dot at its end":  {request{host: "localhost.:8081"}, ""},
		"a name below localhost":           {request{host: "ops.localhost:8081"}, ""},
		"127.0.0.1":                        {request{host: "127.0.0.1"}, ""},
		"[::1] without a port":             {request{host: "[::1]"}, ""},
		"no Host":                          {request{host: "none"}, host},
		"a Host of the network":            {request{host: "192.168.1.7:8081"}, "Its Host 192.168.1.7:8081 is not loopback"},
		"a name":                           {request{host: "example.com"}, "Its Host example.com is not loopback"},
		"a name that resolves to loopback": {request{host: "127.0.0.1.nip.io:8081"}, host},
		"localhost as a subdomain":         {request{host: "localhost.evil.com"}, host},
		"localhost as the end of a label":  {request{host: "evil-localhost"}, host},
		"localhost in front of a port":     {request{host: "localhost:8081.evil.com"}, host},
		"localhost as a user":              {request{host: "localhost@evil.com"}, host},
		"localhost behind a user":          {request{host: "evil.com@localhost"}, host},
		"two dots at the end":              {request{host: "localhost.."}, host},
		"0.0.0.0":                          {request{host: "0.0.0.0:8081"}, host},
		"a number":                         {request{host: "2130706433"}, host},
		"a short address":                  {request{host: "127.1"}, host},
		"an open bracket":                  {request{host: "[::1"}, host},
		"markup":                           {request{host: "<script>alert(1)</script>"}, "Its Host is not loopback"},
		"a long name":                      {request{host: strings.Repeat("a", 500)}, "Its Host is not loopback"},
		"a forwarding header in capitals":  {with("X-FORWARDED-FOR", "203.0.113.7"), "It has the header X-Forwarded-For, " + header},
		"a long header":                    {with("X-"+strings.Repeat("A", 500), "1"), header},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := c.prepare()
			switch reason := notLoopback(r); {
			case c.reason == "" && reason != "":
				t.Errorf("it is refused: %s", reason)
			case !strings.Contains(reason, c.reason) || c.reason != "" && reason == "":
				t.Errorf("the reason is %q, want %q", reason, c.reason)
			case len(reason) > 256 || strings.ContainsAny(reason, "<>{}"):
				t.Errorf("the reason is %q", reason)
			}
		})
	}
}

// Caddy's `tracing` adds headers to the requests of its site. Without it a proxy has added them.
func TestLoopbackOfATracedSite(t *testing.T) {
	t.Parallel()
	r := request{header: http.Header{"Traceparent": {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}}.prepare()
	if reason := notLoopback(r); !strings.Contains(reason, "Traceparent") {
		t.Errorf("without tracing: the reason is %q", reason)
	}
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}})
	r = r.WithContext(trace.ContextWithSpanContext(r.Context(), span))
	if reason := notLoopback(r); reason != "" {
		t.Errorf("with tracing: it is refused, since %s", reason)
	}
}

// Proxies, tunnels and the services in front of them add these headers.
func TestForwardingHeadersAreNotThoseOfBrowsers(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Server", "X-Forwarded-Prefix", "X-Forwarded",
		"X-Real-Ip", "X-Client-Ip", "X-Cluster-Client-Ip", "Client-Ip", "True-Client-Ip", "X-Original-Host", "X-Original-Forwarded-For", "X-Original-Url", "X-Request-Id",
		"X-Forwarded-Ssl", "Front-End-Https", "X-Scheme", "X-Proxyuser-Ip", "Proxy-Connection", "Proxy-Authorization", "Proxy-Client-Ip", "Wl-Proxy-Client-Ip", "Max-Forwards",
		"Cf-Connecting-Ip", "Cf-Connecting-Ipv6", "Cf-Ray", "Cf-Ipcountry", "Cf-Visitor", "Cf-Warp-Tag-Id", "Cf-Worker", "Cdn-Loop", // cloudflared
		"Ngrok-Skip-Browser-Warning", "Ngrok-Trace-Id", "Ngrok-Auth-User-Email",
		"Tailscale-User-Login", "Tailscale-Headers-Info", "Tailscale-Funnel-Request",
		"X-Ms-Proxy", "X-Arr-Ssl", "X-Arr-Log-Id", "Disguised-Host", "Was-Default-Hostname", "X-Azure-Clientip", "X-Azure-Fdid", "X-Ms-Client-Principal-Name",
		"X-Amzn-Trace-Id", "X-Amz-Cf-Id", "Cloudfront-Viewer-Address", "X-Amzn-Oidc-Identity",
		"X-Cloud-Trace-Context", "X-Goog-Iap-Jwt-Assertion", "X-Appengine-User-Ip", "Traceparent", "Tracestate", "Baggage", "B3",
		"Fly-Client-Ip", "Fly-Request-Id", "Fastly-Client-Ip", "Fastly-Ff", "X-Varnish", "Surrogate-Capability", "Akamai-Origin-Hop", "Incap-Client-Ip",
		"Do-Connecting-Ip", "X-Vercel-Id", "X-Nf-Client-Connection-Ip", "Rndr-Id", "Connect-Time", "X-Envoy-External-Address", "L5d-Dst-Canonical",
		"Z-Forwarded-For", "Ssl-Client-Cert", "X-Ssl-Client-Verify", "Remote-User", "Source-Address", "Early-Data",
	} {
		if sentByClients(name) {
			t.Errorf("%s counts as a header that browsers send", name)
		}
	}
}

func TestAdmit(t *testing.T) {
	t.Parallel()
	user := func(name string) request { return request{placeholders: map[string]any{"http.auth.user.id": name}} }
	away := func(rq request) request {
		rq.remote, rq.host = "203.0.113.7:50000", "ops.example.com"
		return rq
	}
	header := func(name, value string) request { return away(request{header: http.Header{name: {value}}}) }
	certificate := &x509.Certificate{Subject: pkix.Name{CommonName: "alice"}, EmailAddresses: []string{"alice@example.com"}}
	presented := &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: []*x509.Certificate{certificate}}
	verified := &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: presented.PeerCertificates, VerifiedChains: [][]*x509.Certificate{{certificate}}}
	const unauthenticated, empty, unverified, unusable = "Caddy has not authenticated it", "the option user names is empty", "no client certificate that Caddy has verified", "cannot be printed"
	for name, c := range map[string]struct {
		Console
		request
		visitor pages.Visitor
		reasons []string // a part of each; nil if the request is served
	}{
		"a user":                          {Console{}, away(user("alice")), pages.Visitor{Name: "alice", From: "203.0.113.7", Acts: true}, nil},
		"a user, read only":               {Console{ReadOnly: true}, away(user("alice")), pages.Visitor{Name: "alice", From: "203.0.113.7"}, nil},
		"a user behind a trusted proxy":   {Console{}, func() request { r := away(user("alice")); r.client = "198.51.100.9"; return r }(), pages.Visitor{Name: "alice", From: "198.51.100.9", Acts: true}, nil},
		"a user on this machine":          {Console{AllowLoopback: true}, user("alice"), pages.Visitor{Name: "alice", From: "127.0.0.1", Acts: true}, nil},
		"nobody":                          {Console{}, away(request{}), pages.Visitor{}, []string{unauthenticated}},
		"nobody on this machine":          {Console{}, request{}, pages.Visitor{}, []string{unauthenticated}},
		"loopback":                        {Console{AllowLoopback: true}, request{}, pages.Visitor{From: "127.0.0.1", Acts: true}, nil},
		"loopback, read only":             {Console{AllowLoopback: true, ReadOnly: true}, request{}, pages.Visitor{From: "127.0.0.1"}, nil},
		"a stranger where loopback may":   {Console{AllowLoopback: true}, away(request{}), pages.Visitor{}, []string{unauthenticated, "another machine"}},
		"anyone":                          {Console{AllowUnauthenticated: true}, away(request{}), pages.Visitor{From: "203.0.113.7", Acts: true}, nil},
		"anyone, read only":               {Console{AllowUnauthenticated: true, ReadOnly: true}, away(request{}), pages.Visitor{From: "203.0.113.7"}, nil},
		"a user where anyone may":         {Console{AllowUnauthenticated: true}, away(user("alice")), pages.Visitor{Name: "alice", From: "203.0.113.7", Acts: true}, nil},
		"an empty name":                   {Console{}, user(""), pages.Visitor{}, []string{unauthenticated}},
		"a name of spaces":                {Console{}, user("  "), pages.Visitor{}, []string{unauthenticated}},
		"a name with a line break":        {Console{}, user("alice\nbob"), pages.Visitor{}, []string{unusable}},
		"a name that changes direction":   {Console{}, user("alice\u202ebob"), pages.Visitor{}, []string{unusable}},
		"a name that is not UTF-8":        {Console{}, user("alice\xff"), pages.Visitor{}, []string{unusable}},
		"a long name":                     {Console{}, user(strings.Repeat("a", 257)), pages.Visitor{}, []string{unusable}},
		"a name in another script":        {Console{}, user("Алиса"), pages.Visitor{Name: "Алиса", From: "127.0.0.1", Acts: true}, nil},
		"an unusable name, on loopback":   {Console{AllowLoopback: true}, user("alice\n"), pages.Visitor{Name: "alice", From: "127.0.0.1", Acts: true}, nil},
		"a header":                        {Console{User: "{http.request.header.Remote-User}"}, header("Remote-User", "alice"), pages.Visitor{Name: "alice", From: "203.0.113.7", Acts: true}, nil},
		"another header":                  {Console{User: "{http.request.header.Remote-User}"}, header("X-User", "alice"), pages.Visitor{}, []string{empty}},
		"a user elsewhere than named":     {Console{User: "{http.request.header.Remote-User}"}, away(user("alice")), pages.Visitor{}, []string{empty}},
		"an unnamed header":               {Console{}, header("Remote-User", "alice"), pages.Visitor{}, []string{unauthenticated}},
		"a variable":                      {Console{User: "{http.vars.user}"}, request{placeholders: map[string]any{"http.vars.user": "alice"}}, pages.Visitor{Name: "alice", From: "127.0.0.1", Acts: true}, nil},
		"a variable that is not set":      {Console{User: "{http.vars.user}"}, request{}, pages.Visitor{}, []string{empty}},
		"an attribute of the user":        {Console{User: "{http.auth.user.email}"}, request{placeholders: map[string]any{"http.auth.user.email": "a@example.com"}}, pages.Visitor{Name: "a@example.com", From: "127.0.0.1", Acts: true}, nil},
		"a certificate":                   {Console{User: "{http.request.tls.client.subject}"}, request{tls: verified}, pages.Visitor{Name: "CN=alice", From: "127.0.0.1", Acts: true}, nil},
		"an address in a certificate":     {Console{User: "{http.request.tls.client.san.emails.0}"}, request{tls: verified}, pages.Visitor{Name: "alice@example.com", From: "127.0.0.1", Acts: true}, nil},
		"an address that is not there":    {Console{User: "{http.request.tls.client.san.emails.1}"}, request{tls: verified}, pages.Visitor{}, []string{empty}},
		"an unverified certificate":       {Console{User: "{http.request.tls.client.subject}"}, request{tls: presented}, pages.Visitor{}, []string{unverified}},
		"no certificate":                  {Console{User: "{http.request.tls.client.fingerprint}"}, request{tls: &tls.ConnectionState{HandshakeComplete: true}}, pages.Visitor{}, []string{unverified}},
		"a certificate, but no TLS":       {Console{User: "{http.request.tls.client.fingerprint}"}, request{}, pages.Visitor{}, []string{unverified}},
		"the wrong header, from loopback": {Console{User: "{http.request.header.Remote-User}", AllowLoopback: true}, request{header: http.Header{"X-User": {"alice"}}}, pages.Visitor{}, []string{empty, "the header X-User"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, reasons := provisioned(t, c.Console).admit(c.prepare())
			if v != c.visitor || len(reasons) != len(c.reasons) {
				t.Fatalf("the visitor is %+v, the reasons %q; want %+v and %q", v, reasons, c.visitor, c.reasons)
			}
			for i, want := range c.reasons {
				if !strings.Contains(reasons[i], want) {
					t.Errorf("the reason is %q, want %q", reasons[i], want)
				}
			}
		})
	}
}

func TestUserPlaceholders(t *testing.T) {
	t.Parallel()
	for _, option := range []string{
		"", defaultUser, "{http.auth.user.email}", "{http.request.header.Remote-User}", "{http.request.header.X-Forwarded-User}", "{http.vars.user}",
		"{http.request.tls.client.subject}", "{http.request.tls.client.serial}", "{http.request.tls.client.fingerprint}", "{http.request.tls.client.san.uris.0}",
	} {
		if _, err := newUserPlaceholder(option); err != nil {
			t.Errorf("%s: %v", option, err)
		}
	}
	for option, says := range map[string]string{
		"alice":                                     "one placeholder that clients cannot set",
		"{env.USER}":                                "one placeholder",
		"{http.request.uri.query.user}":             "one placeholder",
		"{http.request.cookie.user}":                "one placeholder",
		"{http.request.host}":                       "one placeholder",
		"{http.request.uri.path}":                   "one placeholder",
		"{http.request.body}":                       "one placeholder",
		"{http.request.remote.host}":                "one placeholder",
		"{http.auth.candidate.id}":                  "one placeholder",
		"{http.auth.user.}":                         "one placeholder",
		"{http.auth.user.id}x":                      "one placeholder",
		"{http.auth.user.id}{http.auth.user.id}":    "one placeholder",
		"{http.request.tls.client.certificate_pem}": "one placeholder",
		"{http.request.tls.client.subjct}":          "one placeholder",
		"{http.request.tls.client.san.emails}":      "one placeholder",
		"{http.request.tls.server_name}":            "one placeholder",
		"{http.request.header.Remote_User}":         "Caddy drops headers with an underscore",
		"{http.request.header.Authorization}":       "browsers send the header Authorization by themselves",
		"{http.request.header.user-agent}":          "browsers send the header User-Agent by themselves",
		"{http.request.header.Sec-Fetch-Site}":      "browsers send",
		"{http.vars.client_ip}":                     "the variable client_ip is set for every request",
	} {
		_, err := newUserPlaceholder(option)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: error %v, want %q", option, err, says)
		}
	}
}
