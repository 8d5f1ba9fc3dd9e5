package caddymodule

import (
	"fmt"
	"log"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// silenced reports whether Go's standard logger is filtered.
func silenced() bool { return fmt.Sprintf("%T", log.Writer()) == "logging.silencer" }

// Caddy sets Go's standard logger with each configuration that has no default
// log, or has a sink log, also with one that it then refuses, after which the next
// request has it changed back.
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
	eventually(t, "Go's standard logger to be silenced after a refused configuration", func() bool {
		do(t, s.soapnote("/", note("after")))
		return silenced()
	})
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	if !silenced() {
		t.Errorf("after the end Go's standard logger goes to %T", log.Writer())
	}
}
