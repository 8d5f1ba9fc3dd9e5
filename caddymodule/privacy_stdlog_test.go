package caddymodule

import (
	"bytes"
	"log"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// What upstreams send behind their answers is cut out of a line, wherever it
// stands in it, and no other line is changed.
func TestSilencer(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logger := log.New(silencer{&out}, "prefix ", 0)
	logger.Printf("a line of another package, with %q", "quotes")
	logger.Printf("Unsolicited response received on idle HTTP channel starting with %q; err=%v", "PATIENT\nTEXT", nil)
	logger.Print("another line")
	lines := strings.Split(out.String(), "\n")
	if len(lines) != 4 || lines[0] != `prefix a line of another package, with "quotes"` || !strings.HasPrefix(lines[1], "prefix an upstream sent more than its answer") || lines[2] != "prefix another line" {
		t.Errorf("logged:\n%s", out.String())
	}
	if strings.Contains(out.String(), "PATIENT") {
		t.Error("the log holds what an upstream sent")
	}
}

// Caddy sets Go's standard logger with each configuration that has no default
// log, or has a sink log, also with one that it then refuses, after which the next
// request sees to it.
func TestStandardLoggerStaysSilenced(t *testing.T) {
	s := newSite(t)
	load := func(old, replacement string) error {
		adapted, err := adapt(s.caddyfile("", "scribegate soapnoteapi {\n\tsecret {env.SOAPNOTE_SECRET}\n}"))
		if err != nil {
			t.Fatal(err)
		}
		return caddy.Load([]byte(strings.Replace(string(adapted), old, replacement, 1)), true)
	}
	const sink = `{"logging":{"sink":{"writer":{"output":"discard"}}},`
	for _, step := range []struct{ name, begin string }{{"first", "{"}, {"with a sink", sink}, {"with a sink again", sink}, {"without it", "{"}} {
		if err := load("{", step.begin); err != nil {
			t.Fatal(err)
		}
		if !silenced() {
			t.Errorf("%s: Go's standard logger goes to %T", step.name, log.Writer())
		}
	}
	if err := load("file_system", "none"); err == nil {
		t.Fatal("a configuration without storage is taken")
	}
	if silenced() {
		t.Error("a refused configuration leaves Go's standard logger alone, so that the next line shows nothing")
	}
	do(t, s.soapnote("/", note("after")))
	if !silenced() {
		t.Errorf("after a refused configuration Go's standard logger goes to %T", log.Writer())
	}
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	if !silenced() {
		t.Errorf("after the end Go's standard logger goes to %T", log.Writer())
	}
}
