package caddymodule

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestConsoleBehindBasicAuth(t *testing.T) {
	const unauthenticated = "Caddy has not authenticated it"
	s := newSite(t)
	for name, block := range map[string]string{
		"in the order of directives": "scribegate_console\n" + basicAuth,
		"in a route":                 "route {\n" + basicAuth + "scribegate_console\n}",
	} {
		t.Run(name, func(t *testing.T) {
			s.loadConsole("", block)
			opened(t, do(t, asAlice(s.get("/"))), "")
			if got := do(t, s.get("/")); got.status != http.StatusUnauthorized {
				t.Errorf("without credentials: status %d", got.status)
			}
		})
	}
	t.Run("in a route, in the wrong order", func(t *testing.T) {
		s.loadConsole("", "route {\nscribegate_console\n"+basicAuth+"}")
		opened(t, do(t, asAlice(s.get("/"))), unauthenticated)
	})
	t.Run("for another path only", func(t *testing.T) {
		s.loadConsole("", strings.Replace(basicAuth, "basic_auth", "basic_auth /private/*", 1)+"scribegate_console")
		opened(t, do(t, asAlice(s.get("/events"))), unauthenticated)
		opened(t, do(t, asAlice(s.get("/private/"))), "")
	})
}

func TestConsoleBehindForwardAuth(t *testing.T) {
	s := newSite(t)
	auth := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("Cookie") {
		case "session=alice":
			w.Header().Set("Remote-User", "alice")
		case "session=anonymous": // allowed, without a name
		default:
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(auth.Close)
	s.loadConsole("", "forward_auth "+strings.TrimPrefix(auth.URL, "http://")+" {\nuri /verify\ncopy_headers Remote-User\n}\nscribegate_console {\nuser {header.Remote-User}\n}")
	opened(t, do(t, s.get("/", "Cookie: session=alice")), "")
	opened(t, do(t, s.get("/", "Cookie: session=anonymous")), "the option user names is empty")
	opened(t, do(t, s.get("/", "Cookie: session=anonymous", "Remote-User: alice")), "the option user names is empty")
	if got := do(t, s.get("/", "Remote-User: alice")); got.status != http.StatusUnauthorized {
		t.Errorf("a stranger's own header: status %d", got.status)
	}
}

func TestConsoleBehindClientCertificates(t *testing.T) {
	s := newSite(t)
	server, client := newCertificate(t, s.dir, "localhost"), newCertificate(t, s.dir, "alice")
	for _, c := range []struct {
		mode    string
		certify bool
		refusal string
	}{
		{"mode require_and_verify\ntrust_pool file " + client.pem, true, ""},
		{"mode verify_if_given\ntrust_pool file " + client.pem, true, ""},
		{"mode verify_if_given\ntrust_pool file " + client.pem, false, "no client certificate that Caddy has verified"},
		{"mode request", true, "no client certificate that Caddy has verified"},
		{"mode request", false, "no client certificate that Caddy has verified"},
		{"mode require", true, "no client certificate that Caddy has verified"},
	} {
		t.Run(fmt.Sprintf("%s, with a certificate: %v", strings.Fields(c.mode)[1], c.certify), func(t *testing.T) {
			for _, user := range []string{"{tls_client_subject}", "{tls_client_fingerprint}", "{tls_client_serial}"} {
				site := fmt.Sprintf("tls %s %s {\nclient_auth {\n%s\n}\n}\nscribegate_console {\nuser %s\n}", server.pem, server.key, c.mode, user)
				config := s.caddyfile("\tauto_https disable_redirects\n\tscribegate {\n\t\tQUEUE\n\t\tupstream ehr http://127.0.0.1:9\n\t}\n", site)
				if err := s.run(strings.Replace(config, "http://127.0.0.1:"+s.port+" {", "https://localhost:"+s.port+" {", 1)); err != nil {
					t.Fatal(err)
				}
				trust := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS13}
				trust.RootCAs.AddCert(server.Leaf)
				if c.certify {
					trust.Certificates = []tls.Certificate{client.Certificate}
				}
				// Twice, on a resumed session the second time.
				trust.ClientSessionCache = tls.NewLRUClientSessionCache(0)
				for range 2 {
					transport := &http.Transport{TLSClientConfig: trust, ForceAttemptHTTP2: true}
					s.url = "https://localhost:" + s.port
					got, err := transport.RoundTrip(s.get("/"))
					for try := 0; err != nil && try < 5; try++ { // as do does, just after a reload
						got, err = transport.RoundTrip(s.get("/"))
					}
					if err != nil || got.ProtoMajor != 2 {
						t.Fatalf("answer %v, error %v", got, err)
					}
					opened(t, read(t, got), c.refusal)
					transport.CloseIdleConnections()
				}
			}
		})
	}
}

// A certificate is self-signed, and in two files.
type certificate struct {
	tls.Certificate
	pem, key string
}

func newCertificate(t *testing.T, dir, name string) certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(42), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	c := certificate{pem: filepath.Join(dir, name+".pem"), key: filepath.Join(dir, name+".key")}
	for file, block := range map[string]*pem.Block{c.pem: {Type: "CERTIFICATE", Bytes: der}, c.key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if c.Certificate, err = tls.LoadX509KeyPair(c.pem, c.key); err != nil {
		t.Fatal(err)
	}
	return c
}
