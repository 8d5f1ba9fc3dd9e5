package caddymodule

import (
	"bytes"
	"io"
	"log"
	"sync"
)

// unsolicited begins a line that net/http's client writes to Go's standard logger
// where an upstream sends more than its answer, such as a body that is longer
// than its Content-Length. It goes on with what was sent, which may be an echo of
// the event. No setting of the client's keeps it from that, and Caddy has the
// standard logger go to standard error, past the filter of its log.
const unsolicited = "Unsolicited response received on idle HTTP channel"

// silencing is held by whoever changes where Go's standard logger goes to.
var silencing sync.Mutex

// silenceUpstreams keeps from Go's standard logger what upstreams send behind
// their answers. Caddy sets that logger when it loads a configuration, one that
// it then refuses as well, so that this is done again and again. It costs next to
// nothing where there is nothing to do.
func silenceUpstreams() {
	if silenced() {
		return
	}
	silencing.Lock()
	defer silencing.Unlock()
	if !silenced() {
		log.SetOutput(silencer{log.Writer()})
	}
}

func silenced() bool {
	_, yes := log.Writer().(silencer)
	return yes
}

// A silencer passes lines on, without what an upstream sent.
type silencer struct{ next io.Writer }

// Write implements io.Writer. The standard logger writes each line at once.
func (s silencer) Write(line []byte) (int, error) {
	told := line
	if before, _, found := bytes.Cut(line, []byte(unsolicited)); found {
		told = append(bytes.Clone(before), "an upstream sent more than its answer; see that its Content-Length is that of the body\n"...)
	}
	if _, err := s.next.Write(told); err != nil {
		return 0, err
	}
	return len(line), nil
}
