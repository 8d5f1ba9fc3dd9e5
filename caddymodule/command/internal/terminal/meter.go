package terminal

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// meterEvery is the shortest time between two changes of a meter.
const meterEvery = 100 * time.Millisecond

// A Meter is a line in a terminal that shows the progress of work, and disappears when
// the work is done. Without a terminal it prints nothing.
type Meter struct {
	out   io.Writer // nil where nothing is shown
	width int
	shown int // columns of the line that is shown
	last  time.Time
}

// NewMeter returns a meter on standard error. It prints nothing if out, which the
// command prints to meanwhile, is a terminal too.
func NewMeter(cmd *cobra.Command, out io.Writer) *Meter {
	m := &Meter{last: time.Now()}
	term := Of(cmd.ErrOrStderr())
	if term.width > 0 && os.Getenv("TERM") != "dumb" && (out == nil || Of(out).width == 0) {
		m.out, m.width = cmd.ErrOrStderr(), term.width
	}
	return m
}

// Show replaces the line.
func (m *Meter) Show(format string, args ...any) {
	now := time.Now()
	if m.out == nil || now.Sub(m.last) < meterEvery {
		return
	}
	m.last = now
	line := fmt.Sprintf(format, args...)
	if n := max(0, m.width-1); utf8.RuneCountInString(line) > n {
		line = string([]rune(line)[:n]) // a longer text would continue on a second line, which would stay
	}
	columns := utf8.RuneCountInString(line)
	_, _ = fmt.Fprint(m.out, "\r", line, strings.Repeat(" ", max(0, m.shown-columns)))
	m.shown = columns
}

// Remove removes the line.
func (m *Meter) Remove() {
	if m.shown > 0 {
		_, _ = fmt.Fprint(m.out, "\r", strings.Repeat(" ", m.shown), "\r")
		m.shown = 0
	}
}
