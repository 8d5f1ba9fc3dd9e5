package command

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/command/internal/terminal"
	"github.com/scribegate/scribegate/forwarder/queue"
)

// tried returns in words how many attempts at a delivery were made, and how many of
// them count.
func tried(d admin.Course) string {
	all := counted(d.Attempts, "attempt")
	switch {
	case d.Unused == 0:
		return all
	case d.Unused < d.Attempts:
		return fmt.Sprintf("%s, %d of which count", all, d.Attempts-d.Unused)
	case d.Attempts == 1:
		return all + ", which does not count"
	}
	return all + ", none of which counts"
}

// historyTable returns a table of every attempt that is kept, with a remark on those
// that are not.
func historyTable(out io.Writer, d admin.Course, meaning func(admin.Attempt) string) *terminal.Table {
	t := terminal.NewTable(out, terminal.Right("ATTEMPT"), terminal.Left("AT"), terminal.Right("SECONDS"), terminal.Left("OUTCOME"), terminal.Right("STATUS"), terminal.Left("MEANING"))
	switch {
	case d.LeftOut > 0:
		t.Remark(fmt.Sprintf("%s left out: the newest %d are kept", counted(d.LeftOut, "earlier attempt"), queue.MaxHistory))
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
	_, _ = fmt.Fprintf(out, "\n%s: %s after %s", terminal.Printable(d.Upstream), term.Cell(stateCell(d.State)), tried(d.Course))
	if d.NextAttempt != nil {
		_, _ = fmt.Fprintf(out, ", next attempt %s", until(d.NextAttempt, now))
	}
	_, _ = fmt.Fprintln(out)
	switch {
	case d.State != queue.Pending:
	case blocked:
		_, _ = fmt.Fprintln(out, term.Paint("it waits until the provider's API has confirmed the event", terminal.Yellow))
	case u.Orphaned:
		_, _ = fmt.Fprintln(out, term.Paint("the upstream is no longer configured: define it again, or purge its events", terminal.Yellow))
	case u.Paused:
		_, _ = fmt.Fprintln(out, term.Paint("the upstream is paused: "+pauseLeft(u, now), terminal.Yellow))
	}
	return printHistory(out, d.Course, meaning)
}

// printStage prints a step of an event that is not a delivery.
func printStage(out io.Writer, s admin.Stage, now time.Time) error {
	what := "result from the provider's API"
	if s.Stage == admin.Cleanup {
		what = "deletion at the provider"
	}
	_, _ = fmt.Fprintf(out, "\n%s: %s after %s", what, terminal.Of(out).Cell(stateCell(s.State)), tried(s.Course))
	if s.NextAttempt != nil {
		_, _ = fmt.Fprintf(out, ", next attempt %s", until(s.NextAttempt, now))
	}
	_, _ = fmt.Fprintln(out)
	return printHistory(out, s.Course, stageMeaning)
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
		terminal.Number(int64(a.Attempt)), terminal.Text(clock(a.At)), terminal.Text(strconv.FormatFloat(a.Seconds, 'f', 3, 64)),
		outcome, terminal.Text(status),
	}
}

// meaning returns the outcome of an attempt in words, and its consequence.
func meaning(a admin.Attempt) string {
	words := outcomeOf(a)
	if a.Unused {
		words, _, _ = strings.Cut(words, ":")
		words += ": does not count"
	}
	return words
}

// stageMeaning returns the outcome of a request to a provider's API in words.
func stageMeaning(a admin.Attempt) string {
	switch a.Status {
	case http.StatusOK, http.StatusNoContent:
		if a.Outcome != queue.Success {
			return "the answer was not the expected one"
		}
	case http.StatusBadRequest, http.StatusNotFound:
		return "the provider does not know it"
	case http.StatusUnauthorized, http.StatusForbidden:
		return "the key was refused: check api_key and api_base"
	case http.StatusPaymentRequired:
		return "the account has no quota left"
	case http.StatusConflict:
		return "not ready"
	case http.StatusTooManyRequests:
		return "too many requests"
	}
	switch {
	case a.Outcome == queue.Success:
		return "done"
	case a.Outcome == queue.Failure && a.Status >= 500:
		return strings.TrimSuffix("the API failed: "+http.StatusText(a.Status), ": ")
	}
	return outcomeOf(a)
}

// outcomeOf returns the outcome of an attempt in words.
func outcomeOf(a admin.Attempt) string {
	switch a.Outcome {
	case queue.Success:
		return "accepted"
	case queue.Gone:
		return "gone: dead at once"
	case queue.Timeout:
		return "no answer in time"
	case queue.ConnectError:
		return "no connection: see the log"
	default:
		return failureOf(a.Status)
	}
}

// failureOf returns a failure with a status in words.
func failureOf(status int) string {
	word := http.StatusText(status)
	switch {
	case status == 0:
		return "no answer: see the log"
	case status == http.StatusTooManyRequests:
		return "too many requests"
	case status >= 300 && status < 400:
		return "a redirect: not followed"
	case status >= 500:
		return strings.TrimSuffix("the backend failed: "+word, ": ")
	}
	return strings.TrimSuffix("refused: "+word, ": ")
}
