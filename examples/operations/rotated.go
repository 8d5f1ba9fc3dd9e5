package main

import (
	"context"
	"path/filepath"
	"strings"
	"time"
)

// secretFlag is the flag with the gateway's secret in the documentation's commands.
const secretFlag = `--secret '{file./run/secrets/soapnote}'`

// rotated stages a provider that rotates its secret without notice.
func (s *site) rotated(ctx context.Context) (seen incident, err error) {
	s.provider.secret = "whsec_after_rotation"
	begin := time.Now()
	missed, err := s.provider.rejected(ctx, 3)
	if err != nil {
		return seen, err
	}
	captured := missed[len(missed)-1]
	seen = incident{fault: "a secret was rotated", alert: "ScribegateNothingGenuine", status: notVisible, condition: time.Since(begin)}
	if seen.log, err = waitLog(ctx, s.gateway, begin, "request rejected: signature_mismatch"); err != nil {
		return seen, err
	}
	if seen.event, err = waitLog(ctx, s.gateway, begin, "scribegate.rejected"); err != nil {
		return seen, err
	}
	if err = captured.save(filepath.Join(s.dir, "body.json")); err != nil {
		return seen, err
	}
	if err = s.ready(ctx); err != nil {
		return seen, err
	}
	err = s.run(ctx, "rotated",
		command{line: "grep 'request rejected' " + logFile + " | tail -1"},
		command{line: `curl -s localhost:2019/metrics | grep -E 'signature_mismatch|secret_matched_total\{'`},
		command{fails: true, line: "caddy scribegate verify soapnoteapi " + secretFlag +
			" --signature " + captured.signature + " --timestamp " + captured.timestamp + " --file body.json"},
	)
	if err != nil {
		return seen, err
	}
	err = s.run(ctx, "rotated, over",
		command{
			line: "cat > /run/secrets/soapnote", input: s.provider.secret + "\n",
			then: measured(&seen.repair, s.provider.untilAccepted),
		},
		command{line: "caddy scribegate send soapnoteapi --to https://hooks.example.com/soapnote " + secretFlag + " --file body.json"},
		command{line: `curl -s localhost:2019/metrics | grep 'secret_matched_total{'`},
	)
	if err != nil {
		return seen, err
	}
	var ids strings.Builder
	for _, m := range missed {
		ids.WriteString(" " + m.noteID)
	}
	return seen, s.run(ctx, "rotated, recovered",
		command{line: "caddy scribegate recover soapnoteapi" + ids.String(), then: s.gateway.WaitIdle},
		command{line: "caddy scribegate show " + missed[0].noteID},
	)
}
