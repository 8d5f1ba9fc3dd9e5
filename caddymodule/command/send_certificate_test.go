package command

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
)

// A certified server has a self-signed certificate.
type certified struct {
	url, cacert string
}

func newCertified(t *testing.T, template x509.Certificate) certified {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, template.Subject = big.NewInt(1), pkix.Name{CommonName: "An Authority of the Test"}
	template.IsCA, template.BasicConstraintsValid = true, true
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		commandtest.AnswerJSON(w, http.StatusOK, []byte(`{"received":true,"id":"soapnoteapi-1"}`))
	}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	s.StartTLS()
	t.Cleanup(s.Close)
	c := certified{url: s.URL, cacert: filepath.Join(t.TempDir(), "root.crt")}
	if err := os.WriteFile(c.cacert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

// The error for a bad certificate names the problem and a remedy, and does not suggest
// that the gateway is not running.
func TestSendToASiteWithABadCertificate(t *testing.T) {
	t.Parallel()
	now := time.Now()
	name := func(from, to time.Duration, names ...string) x509.Certificate {
		return x509.Certificate{NotBefore: now.Add(from), NotAfter: now.Add(to), DNSNames: names}
	}
	good := newCertified(t, name(-time.Hour, time.Hour, "localhost"))
	other := newCertified(t, name(-time.Hour, time.Hour, "hooks.example.com"))
	expired := newCertified(t, name(-2*time.Hour, -time.Hour, "localhost"))
	early := newCertified(t, name(time.Hour, 2*time.Hour, "localhost"))
	local := func(c certified) string { return strings.Replace(c.url, "127.0.0.1", "localhost", 1) }
	for name, tt := range map[string]struct {
		args []string
		want string // "" is success
	}{
		"unknown authority":      {[]string{"--to", local(good)}, `issued by "An Authority of the Test", which is not a known authority: with Caddy's internal CA use --cacert `},
		"another authority":      {[]string{"--to", local(good), "--cacert", other.cacert}, `issued by "An Authority of the Test", which is not in --cacert`},
		"its authority":          {[]string{"--to", local(good), "--cacert", good.cacert}, ""},
		"whatever it is":         {[]string{"--to", local(good), "--insecure"}, ""},
		"another name":           {[]string{"--to", local(other), "--cacert", other.cacert}, `certificate is for hooks.example.com, not for "localhost"`},
		"an address":             {[]string{"--to", other.url, "--cacert", other.cacert}, `certificate is for hooks.example.com, not for "127.0.0.1"`},
		"another name, whatever": {[]string{"--to", local(other), "--insecure"}, ""},
		"expired":                {[]string{"--to", local(expired), "--cacert", expired.cacert}, "certificate expired at 20"},
		"not valid yet":          {[]string{"--to", local(early), "--cacert", early.cacert}, "certificate is valid only from 20"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := commandtest.Run(t, "", append([]string{"send", "soapnoteapi"}, tt.args...)...)
			if tt.want == "" {
				r.Done(t)
				return
			}
			if r.Failed(t, tt.want); strings.Contains(r.ErrOut, "is the gateway running there?") || r.Out != "" {
				t.Errorf("printed %q and %q", r.Out, r.ErrOut)
			}
		})
	}
}
