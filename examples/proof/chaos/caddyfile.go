package main

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
)

// secrets are those that the providers share with the gateway.
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

// env is how the gateway gets them.
func (s secrets) env() []string {
	return []string{"SOAPNOTE_SECRET=" + s.soapnote, "SONIOX_SECRET=" + s.soniox, "SIGNING_SECRET=" + s.signing}
}

// options are what a scenario changes of the rig's usual Caddyfile.
type options struct {
	queue    string            // lines for the queue's block, beside path
	app      string            // lines for the scribegate block, as `dedupe_window 10m`
	upstream map[string]string // by name, lines for the upstream's block; default: retry
	deliver  []string          // whom both handlers deliver to; default: every backend of the ledger
	soapnote string            // lines for SOAPNoteAPI's handler
	soniox   string            // lines for Soniox's handler
	site     string            // lines for the site's block
}

// usualRetry are waits that bring every refused event back soon, and enough of
// them that none dies while a fault lasts.
const usualRetry = "retry 50ms 100ms 200ms 400ms" + " 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s"

// caddyfile is a configuration with an upstream for each of the ledger's
// backends.
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

// indent writes lines with tabs before them.
func indent(tabs int, lines string) string {
	var out strings.Builder
	for line := range strings.Lines(lines) {
		out.WriteString(strings.Repeat("\t", tabs) + strings.TrimSpace(line) + "\n")
	}
	return out.String()
}
