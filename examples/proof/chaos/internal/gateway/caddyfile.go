package gateway

import (
	"fmt"
	"strings"
)

// Options are a scenario's changes to the usual Caddyfile of a rig.
type Options struct {
	DSN      string            // of a PostgreSQL database that has the queue; default: the queue is in a file
	Queue    string            // more lines for the queue's block
	App      string            // lines for the scribegate block, such as `dedupe_window 10m`
	Upstream map[string]string // lines for the upstream's block, by name; default: retry
	Deliver  []string          // upstreams of both handlers; default: all backends of the ledger
	SOAPNote string            // lines for SOAPNoteAPI's handler
	Soniox   string            // lines for Soniox's handler
	Site     string            // lines for the site's block
}

// UsualRetry is a schedule with short waits, so that events are retried soon, and with so many of them
// that no event becomes dead during a fault.
const UsualRetry = "retry 50ms 100ms 200ms 400ms" + " 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s 1s"

// Caddyfile returns a configuration with an upstream for each backend of the ledger.
func (r *Rig) Caddyfile(o Options) string {
	var upstreams strings.Builder
	names := r.Ledger.Names()
	for _, name := range names {
		lines, ok := o.Upstream[name]
		if !ok {
			lines = UsualRetry
		}
		fmt.Fprintf(&upstreams, "\t\tupstream %s %s {\n%s\t\t}\n", name, r.Ledger.Backend(name).URL(), indent(3, lines))
	}
	deliver := o.Deliver
	if deliver == nil {
		deliver = names
	}
	engine := fmt.Sprintf("sqlite {\n\t\t\tpath %s\n", r.QueueFile())
	if o.DSN != "" {
		engine = fmt.Sprintf("postgres %s {\n", o.DSN)
	}
	return fmt.Sprintf(`{
	admin %s
	storage file_system %s
	log {
		level ERROR
	}
	scribegate {
		queue %s%s		}
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
`, r.Admin, r.Dir, engine, indent(3, o.Queue), indent(2, o.App), upstreams.String(), r.Port,
		strings.Join(deliver, " "), indent(2, o.SOAPNote), indent(2, o.Soniox), indent(1, o.Site))
}

// indent returns lines with tabs before each.
func indent(tabs int, lines string) string {
	var out strings.Builder
	for line := range strings.Lines(lines) {
		out.WriteString(strings.Repeat("\t", tabs) + strings.TrimSpace(line) + "\n")
	}
	return out.String()
}
