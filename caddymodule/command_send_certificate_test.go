package caddymodule

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
)

// A site with Caddy's internal CA accepts an event from a client that trusts that CA.
func TestSendToASiteWithCaddysOwnCA(t *testing.T) {
	s, b := newSite(t), newBackend(t)
	port := freePort(t)
	s.load("\tskip_install_trust\n\tauto_https disable_redirects\n"+oneUpstream+b.URL+"\n\t}", "respond 404\n}\nhttps://localhost:"+port+" {\n\ttls internal\n"+bothProviders)
	to := "https://localhost:" + port + "/soapnote"
	eventually(t, "Caddy to have a certificate", func() bool {
		r := commandtest.Run(t, "", "send", "soapnoteapi", "--to", to)
		return strings.Contains(r.ErrOut, `issued by "Caddy Local Authority`)
	})
	root := filepath.Join(s.dir, "pki", "authorities", "local", "root.crt")
	commandtest.Run(t, "", "send", "soapnoteapi", "--to", to, "--cacert", root).Done(t)
	commandtest.Run(t, "", "send", "soapnoteapi", "--to", to, "--insecure").Done(t)
	b.wait(t, 2)

	for name, tt := range map[string]struct{ to, want string }{
		"a name without a certificate": {strings.Replace(to, "localhost", "127.0.0.1", 1), "has no certificate for \"127.0.0.1\""},
		"https to an HTTP port":        {strings.Replace(s.url, "http:", "https:", 1), "speaks plain HTTP; write --to with http://"},
	} {
		t.Run(name, func(t *testing.T) {
			commandtest.Run(t, "", "send", "soapnoteapi", "--insecure", "--to", tt.to).Failed(t, tt.want)
		})
	}
	r := commandtest.Run(t, "", "send", "soapnoteapi", "--to", strings.Replace(to, "https:", "http:", 1))
	if r.Failed(t, "1 of 1 events were not received"); !strings.Contains(r.Out, "where the site speaks HTTPS, write --to with https://") {
		t.Errorf("http to an HTTPS port: printed %q", r.Out)
	}
}
