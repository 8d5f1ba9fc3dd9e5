package adminapi

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/scribegate/scribegate/caddymodule/admin"
)

const (
	// progressEvery is the interval of progress lines, and how long work must take
	// before the first one.
	progressEvery = 250 * time.Millisecond

	// progressTimeout is how long a client may take to read a line of progress.
	// A slower client gets no further lines, and the work continues.
	progressTimeout = 10 * time.Second
)

// progressLines writes an answer as lines of JSON: progress while the work goes on,
// and then the answer itself.
type progressLines struct {
	w          http.ResponseWriter
	controller *http.ResponseController
	last       time.Time // a line, or the beginning of the work
	begun      bool      // whether the status has gone out
	failed     bool      // whether the client no longer reads
}

func newProgressLines(w http.ResponseWriter) *progressLines {
	return &progressLines{w: w, controller: http.NewResponseController(w), last: time.Now()}
}

// report writes a line of progress. It is a queue.Progress.
func (l *progressLines) report(done, total int64) {
	now := time.Now()
	if now.Sub(l.last) < progressEvery {
		return
	}
	l.last = now
	body, _ := json.Marshal(admin.ProgressLine{Progress: admin.Progress{Done: done, Total: total}}) // numbers always marshal
	l.write(append(body, '\n'))
}

// write sends a line.
func (l *progressLines) write(line []byte) {
	if l.failed {
		return
	}
	if !l.begun {
		l.begun = true
		l.w.Header().Set("Content-Type", admin.LinesType)
		l.w.WriteHeader(http.StatusOK)
	}
	_ = l.controller.SetWriteDeadline(time.Now().Add(progressTimeout)) // a connection without deadlines cannot hang
	_, err := l.w.Write(line)
	if err == nil {
		err = l.controller.Flush()
	}
	l.failed = err != nil
}

// close removes the deadline.
func (l *progressLines) close() {
	_ = l.controller.SetWriteDeadline(time.Time{}) // for the next request on the connection
}
