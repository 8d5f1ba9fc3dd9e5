package main

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	"github.com/scribegate/scribegate/examples/internal/document"
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
	if err = captured.save(filepath.Join(s.Dir, "body.json")); err != nil {
		return seen, err
	}
	if err = s.ready(ctx); err != nil {
		return seen, err
	}
	err = s.Run(ctx, "rotated",
		document.Command{Line: "grep 'request rejected' " + logFile + " | tail -1"},
		document.Command{Line: `curl -s localhost:2019/metrics | grep -E 'signature_mismatch|secret_matched_total\{'`},
		document.Command{Fails: true, Line: "caddy scribegate verify soapnoteapi " + secretFlag +
			" --signature " + captured.signature + " --timestamp " + captured.timestamp + " --file body.json"},
	)
	if err != nil {
		return seen, err
	}
	err = s.Run(ctx, "rotated, over",
		document.Command{
			Line: "cat > /run/secrets/soapnote", Input: s.provider.secret + "\n",
			Then: measured(&seen.repair, s.provider.untilAccepted),
		},
		document.Command{Line: "caddy scribegate send soapnoteapi --to https://hooks.example.com/soapnote " + secretFlag + " --file body.json"},
		document.Command{Line: `curl -s localhost:2019/metrics | grep 'secret_matched_total{'`},
	)
	if err != nil {
		return seen, err
	}
	var ids strings.Builder
	for _, m := range missed {
		ids.WriteString(" " + m.noteID)
	}
	return seen, s.Run(ctx, "rotated, recovered",
		document.Command{Line: "caddy scribegate recover soapnoteapi" + ids.String(), Then: s.gateway.WaitIdle},
		document.Command{Line: "caddy scribegate show " + missed[0].noteID},
	)
}
