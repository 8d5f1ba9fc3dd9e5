package caddymodule

import (
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

func statusCommand() *cobra.Command {
	return addAddress(&cobra.Command{
		Use:   "status",
		Short: "Shows what waits for each upstream, and the queue's size",
		Args:  noArguments,
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			var s status
			if err := ask(cmd, http.MethodGet, "status", nil, &s); err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, s)
			}
			return printStatus(cmd, s, time.Now())
		}),
	})
}

func printStatus(cmd *cobra.Command, s status, now time.Time) error {
	out := cmd.OutOrStdout()
	t := newTable(out, column{name: "UPSTREAM"}, column{"PENDING", true}, column{"IN FLIGHT", true}, column{"DEAD", true},
		column{name: "PAUSED"}, column{name: "ORPHANED"}, column{"OLDEST", true}, column{"LAST SUCCESS", true})
	for _, u := range s.Upstreams {
		oldest := "-"
		if u.Pending > 0 {
			oldest = time.Duration(u.OldestPendingSeconds * float64(time.Second)).Truncate(time.Second).String()
		}
		t.row(text(u.Name), number(u.Pending), number(u.InFlight), number(u.Dead).paint(red, u.Dead > 0),
			text(yesNo(u.Paused)).paint(yellow, u.Paused), text(yesNo(u.Orphaned)).paint(yellow, u.Orphaned),
			text(oldest), text(since(u.LastSuccess, now)))
	}
	if err := t.flush(); err != nil {
		return err
	}
	limit := "no limit"
	if s.Queue.MaxBytes > 0 {
		limit = size(s.Queue.MaxBytes)
	}
	_, _ = fmt.Fprintf(out, "\nqueue %s: %s of %s, %d quarantined\n", s.Queue.Engine, size(s.Queue.Bytes), limit, s.Queue.Quarantined)
	if s.Queue.SetApart > 0 {
		_, _ = fmt.Fprintf(out, "%s cannot be read any more and were set apart: the disk may be failing\n", counted(int(s.Queue.SetApart), "event"))
	}
	return nil
}
