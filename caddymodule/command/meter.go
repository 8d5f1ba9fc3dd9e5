package command

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

// A meter is a line in a terminal that shows the progress of work, and disappears when
// the work is done. Without a terminal it prints nothing.
type meter struct {
	out   io.Writer // nil where nothing is shown
	width int
	shown int // columns of the line that is shown
	last  time.Time
}

// newMeter returns a meter on standard error. It prints nothing if out, which the
// command prints to meanwhile, is a terminal too.
func newMeter(cmd *cobra.Command, out io.Writer) *meter {
	m := &meter{last: time.Now()}
	term := terminalOf(cmd.ErrOrStderr())
	if term.width > 0 && os.Getenv("TERM") != "dumb" && (out == nil || terminalOf(out).width == 0) {
		m.out, m.width = cmd.ErrOrStderr(), term.width
	}
	return m
}

// show replaces the line.
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
	_, _ = fmt.Fprint(m.out, "\r", line, strings.Repeat(" ", max(0, m.shown-columns)))
	m.shown = columns
}

// wipe removes the line.
func (m *meter) wipe() {
	if m.shown > 0 {
		_, _ = fmt.Fprint(m.out, "\r", strings.Repeat(" ", m.shown), "\r")
		m.shown = 0
	}
}

// interruptible returns a context that Ctrl-C ends, so that the command can print how
// much is done. A second Ctrl-C ends the process.
func interruptible(cmd *cobra.Command) (ctx context.Context, stop context.CancelFunc) {
	ctx, stop = signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}
