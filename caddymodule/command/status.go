package command

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/command/internal/terminal"
	"github.com/scribegate/scribegate/caddymodule/internal/wording"
	"github.com/scribegate/scribegate/forwarder/queue"
)

func statusCommand() *cobra.Command {
	return addAddress(&cobra.Command{
		Use:   "status",
		Short: "Shows what waits for each upstream, and the queue's size",
		Args:  noArguments,
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			var s admin.Status
			if err := ask(cmd, admin.RouteStatus, &s); err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, s)
			}
			return printStatus(cmd, s, time.Now())
		}),
	})
}

// The columns of the table of upstreams: all columns, and those for terminals that
// are narrower.
var statusLayouts = [][]terminal.Column{
	{
		terminal.Left("UPSTREAM"),
		terminal.Right("PENDING"),
		terminal.Right("IN FLIGHT"),
		terminal.Right("DEAD"),
		terminal.Left("PAUSED"),
		terminal.Left("ORPHANED"),
		terminal.Right("OLDEST"),
		terminal.Right("LAST SUCCESS"),
		terminal.Left("LAST FAILURE"),
	},
	{terminal.Left("UPSTREAM"), terminal.Right("PENDING"), terminal.Right("DEAD"), terminal.Left("PAUSED"), terminal.Left("ORPHANED"), terminal.Right("OLDEST"), terminal.Left("LAST FAILURE")},
}

// upstreamCells returns the cells of an upstream's row, by the names of their columns.
func upstreamCells(u admin.UpstreamStatus, now time.Time) map[string]terminal.Cell {
	return map[string]terminal.Cell{
		"UPSTREAM": terminal.Text(u.Name), "PENDING": terminal.Number(u.Pending), "IN FLIGHT": terminal.Number(u.InFlight),
		"DEAD":     terminal.Number(u.Dead).Paint(terminal.Red, u.Dead > 0),
		"PAUSED":   terminal.Text(pause(u, now)).Paint(terminal.Yellow, u.Paused),
		"ORPHANED": terminal.Text(yesNo(u.Orphaned)).Paint(terminal.Yellow, u.Orphaned),
		"OLDEST":   terminal.Text(oldest(u)), "LAST SUCCESS": terminal.Text(wording.Since(u.LastSuccess, now)),
		"LAST FAILURE": terminal.Text(failedAt(u.LastFailure, now)),
	}
}

// pause returns in words whether an upstream is paused, and until when.
func pause(u admin.UpstreamStatus, now time.Time) string {
	if left := wording.PauseLeft(u, now); left != "" {
		return "yes, " + left
	}
	return yesNo(u.Paused)
}

// failedAt returns in words when an attempt failed, and why.
func failedAt(f *admin.Failure, now time.Time) string {
	if f == nil {
		return "-"
	}
	why := "no answer"
	switch {
	case f.Status != 0:
		why = "status " + strconv.Itoa(f.Status)
	case f.Outcome == queue.ConnectError:
		why = "no connection"
	case f.Outcome == queue.Timeout:
		why = "timeout"
	}
	return wording.Since(&f.At, now) + ": " + why
}

func printStatus(cmd *cobra.Command, s admin.Status, now time.Time) error {
	out := cmd.OutOrStdout()
	var t *terminal.Table
	for _, columns := range statusLayouts {
		t = terminal.NewTable(out, columns...)
		for _, u := range s.Upstreams {
			t.Named(upstreamCells(u, now))
		}
		if t.Fits() {
			break
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if err := printAPIs(out, s.APIs, now); err != nil {
		return err
	}
	limit := "no limit"
	if s.Queue.MaxBytes > 0 {
		limit = wording.Size(s.Queue.MaxBytes)
	}
	q, term := s.Queue, terminal.Of(out)
	unreadable := fmt.Sprintf("%d unreadable", q.Unreadable)
	if q.Unreadable > 0 {
		unreadable = term.Paint(unreadable, terminal.Red)
	}
	_, _ = fmt.Fprintf(out, "\nqueue %s: %s of %s, %d quarantined, %d unrouted, %d unconfirmed, %s\n",
		q.Engine, wording.Size(q.Bytes), limit, q.Quarantined, q.Unrouted, q.Unconfirmed, unreadable)
	if q.Unreadable > 0 {
		_, _ = fmt.Fprintln(out, term.Paint(wording.UnreadableHint, terminal.Red))
	}
	if err := printNodes(out, s.Queue.Nodes, now); err != nil {
		return err
	}
	printDatabase(out, s.Queue.Database)
	return nil
}

// printNodes prints the gateways that share the queue, if it is for several.
func printNodes(out io.Writer, nodes []admin.NodeStatus, now time.Time) error {
	if len(nodes) == 0 {
		return nil
	}
	_, _ = fmt.Fprintln(out)
	t := terminal.NewTable(out, terminal.Left("NODE"), terminal.Right("LEASED"), terminal.Right("LAST SEEN"))
	for _, n := range nodes {
		t.Row(terminal.Text(n.Name), terminal.Number(n.Leased), terminal.Text(wording.Since(&n.LastSeen, now)))
	}
	return t.Flush()
}

// printDatabase prints the state of the database that gateways share, if there is one.
func printDatabase(out io.Writer, d *admin.DatabaseStatus) {
	if d == nil {
		return
	}
	_, _ = fmt.Fprintf(out, "\ndatabase: a request takes %s\n", wording.RoundTrip(*d))
	for _, s := range d.Standbys {
		_, _ = fmt.Fprintf(out, "standby %s: %s\n", s.Name, wording.Standby(s))
	}
}

// printAPIs prints the providers' APIs, if there are any.
func printAPIs(out io.Writer, apis []admin.APIStatus, now time.Time) error {
	if len(apis) == 0 {
		return nil
	}
	_, _ = fmt.Fprintln(out)
	t := terminal.NewTable(out, terminal.Left("API"), terminal.Right("PENDING"), terminal.Right("IN FLIGHT"), terminal.Right("TO DELETE"),
		terminal.Left("PAUSED"), terminal.Right("OLDEST"), terminal.Right("LAST SUCCESS"), terminal.Left("LAST FAILURE"))
	for _, a := range apis {
		u := admin.UpstreamStatus{Pending: a.Pending, OldestPendingSeconds: a.OldestPendingSeconds, Paused: a.Paused, PausedUntil: a.PausedUntil, PauseReason: a.PauseReason}
		paused := terminal.Text(pause(u, now)).Paint(terminal.Yellow, a.Paused)
		if !a.Configured {
			paused = terminal.Text("no api_key").Paint(terminal.Yellow, true)
		}
		failed := "-"
		if f := a.LastFailure; f != nil {
			if failed = wording.Since(&f.At, now) + ": " + f.Reason; f.Status != 0 {
				failed += " (" + strconv.Itoa(f.Status) + ")"
			}
		}
		t.Row(terminal.Text(a.Source), terminal.Number(a.Pending), terminal.Number(a.InFlight), terminal.Number(a.Cleanups),
			paused, terminal.Text(oldest(u)), terminal.Text(wording.Since(a.LastSuccess, now)), terminal.Text(failed))
	}
	return t.Flush()
}

// oldest returns the age of the event that has waited longest.
func oldest(u admin.UpstreamStatus) string {
	if u.Pending == 0 {
		return "-"
	}
	return time.Duration(u.OldestPendingSeconds * float64(time.Second)).Truncate(time.Second).String()
}
