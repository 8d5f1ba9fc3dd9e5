package caddymodule

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// meterEvery is how often a meter changes at most.
const meterEvery = 100 * time.Millisecond

// A meter is a line in a terminal that tells how far some work has come, and goes
// when it is done. Elsewhere there is none.
type meter struct {
	out   io.Writer // nil where nothing is shown
	width int
	stood int // columns of the line that stands there
	last  time.Time
}

// newMeter makes a meter on standard error. What is printed to out as the work goes
// on must not be mixed up with it.
func newMeter(cmd *cobra.Command, out io.Writer) *meter {
	m := &meter{last: time.Now()}
	term := terminalOf(cmd.ErrOrStderr())
	if term.width > 0 && os.Getenv("TERM") != "dumb" && (out == nil || terminalOf(out).width == 0) {
		m.out, m.width = cmd.ErrOrStderr(), term.width
	}
	return m
}

// show puts a line in the place of the one before.
func (m *meter) show(format string, args ...any) {
	now := time.Now()
	if m.out == nil || now.Sub(m.last) < meterEvery {
		return
	}
	m.last = now
	line := fmt.Sprintf(format, args...)
	if n := max(0, m.width-1); utf8.RuneCountInString(line) > n {
		line = string([]rune(line)[:n]) // or it would take up a second line, which stays
	}
	columns := utf8.RuneCountInString(line)
	_, _ = fmt.Fprint(m.out, "\r", line, strings.Repeat(" ", max(0, m.stood-columns)))
	m.stood = columns
}

// wipe takes the line away.
func (m *meter) wipe() {
	if m.stood > 0 {
		_, _ = fmt.Fprint(m.out, "\r", strings.Repeat(" ", m.stood), "\r")
		m.stood = 0
	}
}

// interruptible lets Ctrl-C end a command's work and not the process, so that it
// can say how far it came. A second one ends the process.
func interruptible(cmd *cobra.Command) (ctx context.Context, stop context.CancelFunc) {
	ctx, stop = signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}
