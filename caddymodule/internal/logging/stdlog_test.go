package logging

import (
	"bytes"
	"log"
	"strings"
	"testing"
	"time"
)

// flushAll waits until no line of Go's standard logger waits to be written.
func flushAll(t *testing.T) {
	t.Helper()
	idle := func() bool {
		processLines.mu.Lock()
		defer processLines.mu.Unlock()
		return !processLines.writing
	}
	for deadline := time.Now().Add(10 * time.Second); !idle(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("lines still wait to be written")
		}
	}
}

// What upstreams send behind their answers is cut out of a line, wherever it
// stands in it, and no other line is changed.
func TestSilencer(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logger := log.New(silencer{&out}, "prefix ", 0)
	logger.Printf("a line of another package, with %q", "quotes")
	logger.Printf("Unsolicited response received on idle HTTP channel starting with %q; err=%v", "PATIENT\nTEXT", nil)
	logger.Print("another line")
	flushAll(t)
	lines := strings.Split(out.String(), "\n")
	if len(lines) != 4 || lines[0] != `prefix a line of another package, with "quotes"` || !strings.HasPrefix(lines[1], "prefix an upstream sent more than its answer") || lines[2] != "prefix another line" {
		t.Errorf("logged:\n%s", out.String())
	}
	if strings.Contains(out.String(), "PATIENT") {
		t.Error("the log holds what an upstream sent")
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
		KeepUpstreamsSilenced()
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
	for range 2 * maxLines {
		logger.Print("a line")
	}
	close(stuck)
	flushAll(t)
}
