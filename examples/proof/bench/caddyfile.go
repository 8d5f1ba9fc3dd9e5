package main

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// secrets are those that the providers share with the gateway.
type secrets struct {
	soapnote string
	soniox   string // the header's whole value
	signing  string
	others   []string // SOAPNoteAPI's, that nobody signs with
}

// manySecrets is how many can be configured at most.
const manySecrets = 20

func newSecrets() secrets {
	s := secrets{
		soapnote: newSecret(), soniox: "Bearer " + rand.Text(),
		signing: newSecret(),
	}
	for range manySecrets - 1 {
		s.others = append(s.others, newSecret())
	}
	return s
}

const secretPrefix = "whsec_"

// newSecret makes a secret in the form that SOAPNoteAPI and Standard Webhooks
// share.
func newSecret() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	return secretPrefix + base64.StdEncoding.EncodeToString(key)
}

// env is how a gateway gets them.
func (s secrets) env() []string {
	others := make([]string, 0, len(s.others))
	for i, other := range s.others {
		others = append(others, "OTHER_"+strconv.Itoa(i)+"="+other)
	}
	return slices.Concat(others, []string{"SOAPNOTE_SECRET=" + s.soapnote, "SONIOX_SECRET=" + s.soniox, "SIGNING_SECRET=" + s.signing})
}

// Where requests go to.
const (
	soapnotePath = "/soapnote"
	sonioxPath   = "/soniox"
)

// respond answers as long a body as an event's receipt has.
const respond = `respond "received as soapnoteapi-00000000000000000000000000000000, as it should be" 200`

// A configuration is what varies of a Caddyfile.
type configuration struct {
	app  string // lines of the global option scribegate; empty where there is none
	site string // lines of the site
}

// bare is Caddy alone.
func bare() configuration { return configuration{site: respond} }

// bareProxy is Caddy as a proxy, alone.
func bareProxy(backend string) configuration {
	return configuration{site: "reverse_proxy " + backend}
}

// checkpoint verifies in front of the bare respond. The secret that the requests
// are signed with is the last of so many.
func checkpoint(number int) configuration {
	var all strings.Builder
	for i := range number - 1 {
		fmt.Fprintf(&all, "{env.OTHER_%d} ", i)
	}
	return configuration{site: "scribegate " + soapnotePath + " soapnoteapi {\nsecret " + all.String() + "{env.SOAPNOTE_SECRET}\n}\n" + respond}
}

// An upstream is one of a configuration's.
type upstream struct {
	name, url string
	lines     string // of its block
}

// durable stores events of both providers for upstreams. It does not name the
// engine, so that any binary reads it: the queue is the default one, with the key
// that the gateway makes.
func durable(upstreams ...upstream) configuration {
	var app strings.Builder
	app.WriteString("signing_secret {env.SIGNING_SECRET}\n")
	names := make([]string, 0, len(upstreams))
	for _, u := range upstreams {
		fmt.Fprintf(&app, "upstream %s %s {\n%s\n}\n", u.name, u.url, u.lines)
		names = append(names, u.name)
	}
	deliver := "deliver_to " + strings.Join(names, " ")
	return configuration{app: app.String(), site: "scribegate " + soapnotePath + " soapnoteapi {\nsecret {env.SOAPNOTE_SECRET}\n" + deliver + "\n}\n" +
		"scribegate " + sonioxPath + " soniox {\nheader Authorization {env.SONIOX_SECRET}\n" + deliver + "\n}"}
}

// queueFile is where a gateway has its queue by default, below the directory that it
// is given for its data.
var queueFile = filepath.Join("caddy", "scribegate", "queue.db")

// logFile is the gateway's log there.
const logFile = "caddy.log"

// text is the whole Caddyfile of a gateway. It logs as in production: what is
// worth telling, into a file, and no access log.
func (c configuration) text(g *gateway, cert *certificate) string {
	var text strings.Builder
	fmt.Fprintf(&text, `{
admin %s
storage file_system %s
auto_https disable_redirects
skip_install_trust
log default {
output file %s
level INFO
}
servers {
protocols h1 h2
}
`, g.admin, filepath.Join(g.dir, "storage"), filepath.Join(g.dir, logFile))
	if c.app != "" {
		fmt.Fprintf(&text, "scribegate {\n%s}\n", c.app)
	}
	fmt.Fprintf(&text, "}\nhttp://%s {\n%s\n}\n", g.site, c.site)
	if cert != nil {
		fmt.Fprintf(&text, "https://%s {\ntls %s %s\n%s\n}\n", g.secure, cert.certFile, cert.keyFile, c.site)
	}
	return text.String()
}
