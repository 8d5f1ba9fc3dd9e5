package caddymodule

import (
	"bytes"
	"io"
	"log"
	"sync"
	"sync/atomic"
	"time"
)

// unsolicited begins a line that net/http's client writes to Go's standard logger
// where an upstream sends more than its answer, such as a body that is longer
// than its Content-Length. It goes on with what was sent, which may be an echo of
// the event. No setting of the client's keeps it from that, and Caddy has the
// standard logger go to standard error, past the filter of its log.
const unsolicited = "Unsolicited response received on idle HTTP channel"

// silencing is held while Go's standard logger is looked at and changed.
var silencing sync.Mutex

// silenceUpstreams keeps from Go's standard logger what upstreams send behind
// their answers. Caddy sets that logger when it loads a configuration, one that
// it then refuses as well, so that this is done again and again, see
// keepUpstreamsSilenced.
func silenceUpstreams() {
	silencing.Lock()
	defer silencing.Unlock()
	if !silenced() {
		log.SetOutput(silencer{log.Writer()})
	}
}

// silenceEvery is how often keepUpstreamsSilenced looks, at most.
const silenceEvery = 10 * time.Millisecond

var (
	started    = time.Now()
	silencedAt atomic.Int64 // nanoseconds from started to when it was last looked
)

// keepUpstreamsSilenced has silenceUpstreams done soon. It waits for nothing: a
// line of the standard logger that cannot be written holds that logger's lock.
func keepUpstreamsSilenced() {
	now, last := int64(time.Since(started)), silencedAt.Load()
	if now-last >= int64(silenceEvery) && silencedAt.CompareAndSwap(last, now) && silencing.TryLock() {
		silencing.Unlock()
		go silenceUpstreams()
	}
}

func silenced() bool {
	_, yes := log.Writer().(silencer)
	return yes
}

// A silencer passes lines on, without what an upstream sent. Another goroutine
// writes them, since the standard logger holds its lock during each Write.
type silencer struct{ next io.Writer }

// Write implements io.Writer. The standard logger writes each line at once.
func (s silencer) Write(line []byte) (int, error) {
	passed := bytes.Clone(line)
	if before, _, found := bytes.Cut(line, []byte(unsolicited)); found {
		passed = append(bytes.Clone(before), "an upstream sent more than its answer; see that its Content-Length is that of the body\n"...)
	}
	processLines.add(logLine{
		write: func() {
			if _, err := s.next.Write(passed); err != nil {
				processLines.failed++
			}
		},
		size: len(passed),
	})
	return len(line), nil
}
