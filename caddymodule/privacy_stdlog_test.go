package caddymodule

import (
	"bytes"
	"log"
	"strings"
	"testing"
	"time"

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
	flushLogs()
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

// A line of Go's standard logger that cannot be written holds that logger's lock:
// no request waits for it.
func TestStandardLoggerIsStuck(t *testing.T) {
	was := log.Writer()
	stuck := make(chan struct{})
	log.SetOutput(writerFunc(func(p []byte) (int, error) {
		<-stuck
		return len(p), nil
	}))
	line := make(chan struct{})
	go func() {
		log.Print("stuck")
		close(line)
	}()
	defer func() {
		close(stuck)
		<-line
		silencing.Lock() // the goroutine that waited for that line has ended
		defer silencing.Unlock()
		log.SetOutput(was)
	}()
	time.Sleep(2 * silenceEvery) // so that it would be looked at
	for range 3 {
		keepUpstreamsSilenced()
		time.Sleep(2 * silenceEvery)
	}
}

// What the standard logger writes by way of a silencer holds nobody up.
func TestSilencerIsStuck(t *testing.T) {
	stuck := make(chan struct{})
	logger := log.New(silencer{writerFunc(func(p []byte) (int, error) {
		<-stuck
		return len(p), nil
	})}, "", 0)
	for range 2 * maxLogLines {
		logger.Print("a line")
	}
	close(stuck)
	flushLogs()
}
