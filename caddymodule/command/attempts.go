package command

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/command/internal/terminal"
	"github.com/scribegate/scribegate/caddymodule/internal/wording"
	"github.com/scribegate/scribegate/forwarder/queue"
)

// historyTable returns a table of every attempt that is kept, with a remark on those
// that are not.
func historyTable(out io.Writer, d admin.Course, meaning func(admin.Attempt) string) *terminal.Table {
	t := terminal.NewTable(out, terminal.Right("ATTEMPT"), terminal.Left("AT"), terminal.Right("SECONDS"), terminal.Left("OUTCOME"), terminal.Right("STATUS"), terminal.Left("MEANING"))
	switch {
	case d.LeftOut > 0:
		t.Remark(fmt.Sprintf("%s left out: the newest %d are kept", wording.Counted(d.LeftOut, "earlier attempt"), queue.MaxHistory))
	case len(d.History) >= queue.MaxHistory:
		t.Remark(fmt.Sprintf("the newest %d attempts are kept: earlier ones, before a replay, may be left out", queue.MaxHistory))
	}
	last := 0
	for _, a := range d.History {
		if a.Attempt <= last {
			t.Remark("replayed: attempts are counted from 1 again")
		}
		last = a.Attempt
		t.Row(append(attemptCells(a), terminal.Text(meaning(a)))...)
	}
	if d.Attempts < last {
		t.Remark("replayed: not attempted since")
	}
	return t
}

// printDelivery prints a delivery and its attempts. blocked is whether it waits for the
// event's completion.
func printDelivery(out io.Writer, d admin.Delivery, u admin.UpstreamStatus, blocked bool, now time.Time) error {
	term := terminal.Of(out)
	_, _ = fmt.Fprintf(out, "\n%s: %s after %s", terminal.Printable(d.Upstream), term.Cell(stateCell(d.State)), wording.Tried(d.Course))
	if d.NextAttempt != nil {
		_, _ = fmt.Fprintf(out, ", next attempt %s", wording.Until(d.NextAttempt, now))
	}
	_, _ = fmt.Fprintln(out)
	switch {
	case d.State != queue.Pending:
	case blocked:
		_, _ = fmt.Fprintln(out, term.Paint("it waits until the provider's API has confirmed the event", terminal.Yellow))
	case u.Orphaned:
		_, _ = fmt.Fprintln(out, term.Paint("the upstream is no longer configured: define it again, or purge its events", terminal.Yellow))
	case u.Paused:
		_, _ = fmt.Fprintln(out, term.Paint("the upstream is paused: "+wording.PauseLeft(u, now), terminal.Yellow))
	}
	return printHistory(out, d.Course, wording.Meaning)
}

// printStage prints a step of an event that is not a delivery.
func printStage(out io.Writer, s admin.Stage, now time.Time) error {
	what := "result from the provider's API"
	if s.Stage == admin.Cleanup {
		what = "deletion at the provider"
	}
	_, _ = fmt.Fprintf(out, "\n%s: %s after %s", what, terminal.Of(out).Cell(stateCell(s.State)), wording.Tried(s.Course))
	if s.NextAttempt != nil {
		_, _ = fmt.Fprintf(out, ", next attempt %s", wording.Until(s.NextAttempt, now))
	}
	_, _ = fmt.Fprintln(out)
	return printHistory(out, s.Course, wording.StageMeaning)
}

// printHistory prints the attempts of a delivery or a stage.
func printHistory(out io.Writer, d admin.Course, meaning func(admin.Attempt) string) error {
	if len(d.History) == 0 {
		return nil
	}
	t := historyTable(out, d, meaning)
	if !t.Fits() {
		t = historyTable(out, d, func(a admin.Attempt) string {
			short, _, _ := strings.Cut(meaning(a), ":")
			return short
		})
	}
	return t.Flush()
}

func attemptCells(a admin.Attempt) []terminal.Cell {
	status := "-"
	if a.Status != 0 {
		status = strconv.Itoa(a.Status)
	}
	outcome := terminal.Text(string(a.Outcome)).Paint(terminal.Green, a.Outcome == queue.Success).Paint(terminal.Red, a.Outcome == queue.Gone)
	return []terminal.Cell{
		terminal.Number(int64(a.Attempt)), terminal.Text(wording.Clock(a.At)), terminal.Text(strconv.FormatFloat(a.Seconds, 'f', 3, 64)),
		outcome, terminal.Text(status),
	}
}
