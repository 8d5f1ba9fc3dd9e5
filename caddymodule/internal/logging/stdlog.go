package logging

import (
	"bytes"
	"io"
	"log"
	"sync"
	"sync/atomic"
	"time"
)

// unsolicited is the beginning of a line that net/http's client writes to Go's standard
// logger if an upstream sends more than its answer, such as a body that is longer than its
// Content-Length. The line quotes those bytes, which may be an echo of the event. The client
// has no setting against that, and Caddy sends the standard logger to standard error, past
// the filter of its log.
const unsolicited = "Unsolicited response received on idle HTTP channel"

// silencing is held while the output of Go's standard logger is checked and changed.
var silencing sync.Mutex

// SilenceUpstreams filters Go's standard logger: it drops the bytes that upstreams send
// after their answers. Caddy replaces the logger's output with each configuration that it
// loads, even with one that it then rejects, so KeepUpstreamsSilenced repeats this.
func SilenceUpstreams() {
	silencing.Lock()
	defer silencing.Unlock()
	if !silenced() {
		log.SetOutput(silencer{log.Writer()})
	}
}

// silenceEvery is the shortest interval between two checks of KeepUpstreamsSilenced.
const silenceEvery = 10 * time.Millisecond

var (
	started    = time.Now()
	silencedAt atomic.Int64 // time of the last check, in nanoseconds since started
)

// KeepUpstreamsSilenced calls SilenceUpstreams in the background, if that is due. It never
// blocks, although a line that cannot be written holds the lock of the standard logger.
func KeepUpstreamsSilenced() {
	now, last := int64(time.Since(started)), silencedAt.Load()
	if now-last >= int64(silenceEvery) && silencedAt.CompareAndSwap(last, now) && silencing.TryLock() {
		silencing.Unlock()
		go SilenceUpstreams()
	}
}

func silenced() bool {
	_, yes := log.Writer().(silencer)
	return yes
}

// A silencer writes lines to the next writer, without the bytes that an upstream sent.
// Another goroutine writes them, since the standard logger holds its lock during Write.
type silencer struct{ next io.Writer }

// Write implements io.Writer. The standard logger writes each line with one call.
func (s silencer) Write(p []byte) (int, error) {
	passed := bytes.Clone(p)
	if before, _, found := bytes.Cut(p, []byte(unsolicited)); found {
		passed = append(bytes.Clone(before), "an upstream sent more than its answer; see that its Content-Length is that of the body\n"...)
	}
	processLines.add(line{
		write: func() {
			if _, err := s.next.Write(passed); err != nil {
				processLines.failed++
			}
		},
		size: len(passed),
	})
	return len(p), nil
}
