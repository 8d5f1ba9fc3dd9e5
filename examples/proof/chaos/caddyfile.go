package main

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
)

// secrets are the secrets of a rig.
type secrets struct {
	soapnote string
	soniox   string // the header's whole value
	signing  string
}

func newSecrets() secrets {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	return secrets{
		soapnote: "whsec_" + rand.Text(), soniox: "Bearer " + rand.Text(),
		signing: "whsec_" + base64.StdEncoding.EncodeToString(key),
	}
}

// env returns the secrets as environment variables.
func (s secrets) env() []string {
	return []string{"SOAPNOTE_SECRET=" + s.soapnote, "SONIOX_SECRET=" + s.soniox, "SIGNING_SECRET=" + s.signing}
}

// options are a scenario's changes to the usual Caddyfile of a rig.
type options struct {
	queue    string            // more lines for the queue's block
	app      string            // lines for the scribegate block, such as `dedupe_window 10m`
	upstream map[string]string // lines for the upstream's block, by name; default: retry
	deliver  []string          // upstreams of both handlers; default: all backends of the ledger
	soapnote string            // lines for SOAPNoteAPI's handler
	soniox   string            // lines for Soniox's handler
	site     string            // lines for the site's block
}

// usualRetry is a schedule with short waits, so that events are retried soon, and with so many of them
// that no event becomes dead during a fault.
const usualRetry = "retry 50ms 100ms 200ms 400ms" + " 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s"

// caddyfile returns a configuration with an upstream for each backend of the ledger.
func (r *rig) caddyfile(o options) string {
	var upstreams strings.Builder
	names := r.ledger.names()
	for _, name := range names {
		lines, ok := o.upstream[name]
		if !ok {
			lines = usualRetry
		}
		fmt.Fprintf(&upstreams, "\t\tupstream %s %s {\n%s\t\t}\n", name, r.ledger.backend(name).url(), indent(3, lines))
	}
	deliver := o.deliver
	if deliver == nil {
		deliver = names
	}
	return fmt.Sprintf(`{
	admin %s
	storage file_system %s
	log {
		level ERROR
	}
	scribegate {
		queue sqlite {
			path %s
%s		}
		signing_secret {env.SIGNING_SECRET}
%s%s	}
}

http://127.0.0.1:%s {
	scribegate /soapnote soapnoteapi {
		secret {env.SOAPNOTE_SECRET}
		deliver_to %[8]s
%[9]s	}
	scribegate /soniox soniox {
		header Authorization {env.SONIOX_SECRET}
		deliver_to %[8]s
%[10]s	}
%[11]s}
`, r.admin, r.dir, r.queueFile(), indent(3, o.queue), indent(2, o.app), upstreams.String(), r.port,
		strings.Join(deliver, " "), indent(2, o.soapnote), indent(2, o.soniox), indent(1, o.site))
}

// indent returns lines with tabs before each.
func indent(tabs int, lines string) string {
	var out strings.Builder
	for line := range strings.Lines(lines) {
		out.WriteString(strings.Repeat("\t", tabs) + strings.TrimSpace(line) + "\n")
	}
	return out.String()
}
