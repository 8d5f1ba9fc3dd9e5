package gateway

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/scribegate/scribegate/examples/proof/bench/internal/certificate"
)

// Secrets are the secrets of a run.
type Secrets struct {
	Soapnote string
	Soniox   string // the header's whole value
	signing  string
	queue    string   // the key of a queue in a database
	others   []string // further secrets of SOAPNoteAPI, with which no request is signed
}

// ManySecrets is the largest number of SOAPNoteAPI's secrets in a configuration.
const ManySecrets = 20

// NewSecrets returns new random secrets.
func NewSecrets() Secrets {
	s := Secrets{
		Soapnote: NewSecret(), Soniox: "Bearer " + rand.Text(),
		signing: NewSecret(), queue: strings.TrimPrefix(NewSecret(), secretPrefix),
	}
	for range ManySecrets - 1 {
		s.others = append(s.others, NewSecret())
	}
	return s
}

const secretPrefix = "whsec_"

// NewSecret returns a random secret in the form of both SOAPNoteAPI and Standard Webhooks.
func NewSecret() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	return secretPrefix + base64.StdEncoding.EncodeToString(key)
}

// env returns the secrets as environment variables.
func (s Secrets) env() []string {
	others := make([]string, 0, len(s.others))
	for i, other := range s.others {
		others = append(others, "OTHER_"+strconv.Itoa(i)+"="+other)
	}
	return slices.Concat(others, []string{"SOAPNOTE_SECRET=" + s.Soapnote, "SONIOX_SECRET=" + s.Soniox, "SIGNING_SECRET=" + s.signing, "QUEUE_KEY=" + s.queue})
}

// The paths of the handlers.
const (
	SoapnotePath = "/soapnote"
	SonioxPath   = "/soniox"
)

// respond answers with a body as long as the gateway's answer to an event.
const respond = `respond "received as soapnoteapi-00000000000000000000000000000000, as it should be" 200`

// A Configuration is the variable part of a Caddyfile.
type Configuration struct {
	app  string // lines of the global option scribegate; empty if there is none
	site string // lines of the site
}

// Bare returns a configuration without Scribegate that answers each request.
func Bare() Configuration { return Configuration{site: respond} }

// BareProxy returns a configuration without Scribegate that proxies each request.
func BareProxy(backend string) Configuration {
	return Configuration{site: "reverse_proxy " + backend}
}

// Checkpoint returns a configuration that verifies each request before it answers. It has
// number secrets, and the requests are signed with the last one.
func Checkpoint(number int) Configuration {
	var all strings.Builder
	for i := range number - 1 {
		fmt.Fprintf(&all, "{env.OTHER_%d} ", i)
	}
	return Configuration{site: "scribegate " + SoapnotePath + " soapnoteapi {\nsecret " + all.String() + "{env.SOAPNOTE_SECRET}\n}\n" + respond}
}

// An Upstream is an upstream in a configuration.
type Upstream struct {
	Name, URL string
	Lines     string // of its block
}

// Durable returns a configuration that stores events of both providers for upstreams. It has
// no queue option, so that every version of the gateway can read it: the queue is the default
// one, with the key that the gateway makes.
func Durable(upstreams ...Upstream) Configuration {
	var app strings.Builder
	app.WriteString("signing_secret {env.SIGNING_SECRET}\n")
	names := make([]string, 0, len(upstreams))
	for _, u := range upstreams {
		fmt.Fprintf(&app, "upstream %s %s {\n%s\n}\n", u.Name, u.URL, u.Lines)
		names = append(names, u.Name)
	}
	deliver := "deliver_to " + strings.Join(names, " ")
	return Configuration{app: app.String(), site: "scribegate " + SoapnotePath + " soapnoteapi {\nsecret {env.SOAPNOTE_SECRET}\n" + deliver + "\n}\n" +
		"scribegate " + SonioxPath + " soniox {\nheader Authorization {env.SONIOX_SECRET}\n" + deliver + "\n}"}
}

// In returns a configuration that stores the events of a Durable one in a PostgreSQL
// database.
func (c Configuration) In(dsn string) Configuration {
	c.app = fmt.Sprintf("queue postgres %q {\nencryption_key {env.QUEUE_KEY}\n}\n", dsn) + c.app
	return c
}

// queueFile is the default path of the queue, below the gateway's data directory.
var queueFile = filepath.Join("caddy", "scribegate", "queue.db")

// logFile is the name of the gateway's log, in its directory.
const logFile = "caddy.log"

// text returns the whole Caddyfile of a gateway. It logs as in production, to a file, with
// level INFO and without an access log.
func (c Configuration) text(g *Gateway, cert *certificate.Certificate) string {
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
	fmt.Fprintf(&text, "}\nhttp://%s {\n%s\n}\n", g.Site, c.site)
	if cert != nil {
		fmt.Fprintf(&text, "https://%s {\ntls %s %s\n%s\n}\n", g.Secure, cert.CertFile, cert.KeyFile, c.site)
	}
	return text.String()
}
