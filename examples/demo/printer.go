package main

import (
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/scribegate/scribegate/examples/backends/go/receive"
	"github.com/scribegate/scribegate/examples/internal/sender"
)

// The maximum number of lines for an event's data, and of characters per line.
const (
	dataLines = 3
	dataWidth = 96
)

// A printer prints the demonstration, with colours on a terminal.
type printer struct {
	w      io.Writer
	colour bool
}

// newPrinter returns a printer that uses colours on a terminal, unless NO_COLOR is set.
func newPrinter(f *os.File) printer {
	info, err := f.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0
	return printer{w: f, colour: terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// The colours, as SGR parameters.
const (
	bold  = "1"
	dim   = "2"
	red   = "31"
	green = "32"
)

func (p printer) paint(style, text string) string {
	if !p.colour {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

func (p printer) row(label, format string, args ...any) {
	fmt.Fprintf(p.w, "   %s  %s\n", p.paint(dim, fmt.Sprintf("%-8s", label)), fmt.Sprintf(format, args...))
}

func (p printer) title(sc scene, backend string) {
	fmt.Fprintln(p.w, p.paint(bold, "Scribegate: what providers send, and what backends receive"))
	p.row("gateway", "%s", sc.gateway)
	p.row("soniox", "%s, a stand-in for its REST API", sc.soniox)
	p.row("backends", "%s/%s and /%s, which verify webhook-signature and handle each webhook-id once", backend, ehr, audit)
	p.row("contents", "synthetic; the secrets are random")
}

func (p printer) step(n int, s step) {
	fmt.Fprintf(p.w, "\n%d  %s\n", n, p.paint(bold, s.from+" sends "+s.what))
}

func (p printer) request(r *http.Request) {
	p.row("request", "%s %s, %d bytes", r.Method, r.URL.RequestURI(), r.ContentLength)
}

func (p printer) answer(s step, a sender.Answer) {
	switch {
	case s.job != "":
		p.row("answer", "%d, transcription %s", a.Status, a.ID)
	case a.Error != "":
		p.row("answer", "%d, error %q", a.Status, a.Error)
	case a.Duplicate:
		p.row("answer", "%d, duplicate of %s", a.Status, a.ID)
	default:
		p.row("answer", "%d, received as %s", a.Status, a.ID)
	}
}

func (p printer) webhook(path string) {
	p.row("webhook", "POST %s, from Soniox; the gateway then fetches the transcript", path)
}

func (p printer) event(upstream, format string, d receive.Delivery) {
	p.row("-> "+upstream, "%s, %s, attempt %d, signature verified", d.Type, format, d.Attempt)
}

func (p printer) data(d receive.Delivery) {
	label := "data"
	for rest, n := []rune(string(d.Data)), 1; len(rest) > 0; n++ {
		width := min(len(rest), dataWidth)
		line := string(rest[:width])
		rest = rest[width:]
		if n == dataLines && len(rest) > 0 {
			line, rest = line+" ...", nil
		}
		p.row(label, "%s", p.paint(dim, line))
		label = ""
	}
}

func (p printer) transcript(t transcript) {
	p.row("text", "%q, %d tokens", t.Text, len(t.Tokens))
}

func (p printer) nothing(accepted bool) {
	if accepted {
		p.row("->", "no upstream, since it was delivered before")
		return
	}
	p.row("->", "no upstream")
}

func (p printer) verdict(err error) {
	if err != nil {
		p.problem(err.Error())
		return
	}
	p.row("", "%s", p.paint(green, "as expected"))
}

func (p printer) problem(what string) {
	p.row("", "%s", p.paint(red, "WRONG: "+what))
}

func (p printer) done(steps, deliveries int) {
	fmt.Fprintf(p.w, "\n%s\n", p.paint(green, fmt.Sprintf("All %d requests were answered as expected, and %d deliveries arrived, each once.", steps, deliveries)))
	fmt.Fprintln(p.w, "To see events in the console, run `make run` and open http://localhost:8081 in a browser on this machine.")
}
