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

// secrets are the secrets of a run.
type secrets struct {
	soapnote string
	soniox   string // the header's whole value
	signing  string
	others   []string // further secrets of SOAPNoteAPI, with which no request is signed
}

// manySecrets is the largest number of SOAPNoteAPI's secrets in a configuration.
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

// newSecret returns a random secret in the form of both SOAPNoteAPI and Standard Webhooks.
func newSecret() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	return secretPrefix + base64.StdEncoding.EncodeToString(key)
}

// env returns the secrets as environment variables.
func (s secrets) env() []string {
	others := make([]string, 0, len(s.others))
	for i, other := range s.others {
		others = append(others, "OTHER_"+strconv.Itoa(i)+"="+other)
	}
	return slices.Concat(others, []string{"SOAPNOTE_SECRET=" + s.soapnote, "SONIOX_SECRET=" + s.soniox, "SIGNING_SECRET=" + s.signing})
}

// The paths of the handlers.
const (
	soapnotePath = "/soapnote"
	sonioxPath   = "/soniox"
)

// respond answers with a body as long as the gateway's answer to an event.
const respond = `respond "received as soapnoteapi-00000000000000000000000000000000, as it should be" 200`

// A configuration is the variable part of a Caddyfile.
type configuration struct {
	app  string // lines of the global option scribegate; empty if there is none
	site string // lines of the site
}

// bare returns a configuration without Scribegate that answers each request.
func bare() configuration { return configuration{site: respond} }

// bareProxy returns a configuration without Scribegate that proxies each request.
func bareProxy(backend string) configuration {
	return configuration{site: "reverse_proxy " + backend}
}

// checkpoint returns a configuration that verifies each request before it answers. It has
// number secrets, and the requests are signed with the last one.
func checkpoint(number int) configuration {
	var all strings.Builder
	for i := range number - 1 {
		fmt.Fprintf(&all, "{env.OTHER_%d} ", i)
	}
	return configuration{site: "scribegate " + soapnotePath + " soapnoteapi {\nsecret " + all.String() + "{env.SOAPNOTE_SECRET}\n}\n" + respond}
}

// An upstream is an upstream in a configuration.
type upstream struct {
	name, url string
	lines     string // of its block
}

// durable returns a configuration that stores events of both providers for upstreams. It has
// no queue option, so that every version of the gateway can read it: the queue is the default
// one, with the key that the gateway makes.
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

// queueFile is the default path of the queue, below the gateway's data directory.
var queueFile = filepath.Join("caddy", "scribegate", "queue.db")

// logFile is the name of the gateway's log, in its directory.
const logFile = "caddy.log"

// text returns the whole Caddyfile of a gateway. It logs as in production, to a file, with
// level INFO and without an access log.
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
