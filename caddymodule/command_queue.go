package caddymodule

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
)

func statusCommand() *cobra.Command {
	return addAddress(&cobra.Command{
		Use:   "status",
		Short: "Shows what waits for each upstream, and the queue's size",
		Args:  cobra.NoArgs,
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			var s status
			if err := call(cmd, http.MethodGet, adminPrefix+"status", nil, &s); err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, s)
			}
			t := newTable(cmd.OutOrStdout(), "UPSTREAM", "PENDING", "IN FLIGHT", "DEAD", "PAUSED", "ORPHANED", "OLDEST", "LAST SUCCESS")
			for _, u := range s.Upstreams {
				oldest := "-"
				if u.Pending > 0 {
					oldest = time.Duration(u.OldestPendingSeconds * float64(time.Second)).Truncate(time.Second).String()
				}
				t.row(u.Name, count(u.Pending), count(u.InFlight), count(u.Dead), yesNo(u.Paused), yesNo(u.Orphaned), oldest, since(u.LastSuccess))
			}
			if err := t.flush(); err != nil {
				return err
			}
			limit := "no limit"
			if s.Queue.MaxBytes > 0 {
				limit = humanize.IBytes(uint64(s.Queue.MaxBytes)) // it is above zero
			}
			_, _ = fmt.Fprintf(cmd.OutOrStdout(), "\nqueue %s: %s of %s, %d quarantined\n",
				s.Queue.Engine, humanize.IBytes(uint64(max(0, s.Queue.Bytes))), limit, s.Queue.Quarantined) // not below zero
			if s.Queue.SetApart > 0 {
				_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%d events cannot be read any more and were set apart: the disk may be failing\n", s.Queue.SetApart)
			}
			return nil
		}),
	})
}

func count(n int64) string { return strconv.FormatInt(n, 10) }

func eventsCommand() *cobra.Command {
	var state, upstream string
	var limit int
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Lists events, newest first",
		Args:  cobra.NoArgs,
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			if limit < 1 {
				return errors.New("--limit must be at least 1")
			}
			all := []eventRecord{}
			for cursor := ""; len(all) < limit; {
				query := url.Values{"limit": {strconv.Itoa(min(limit-len(all), maxLimit))}}
				for name, value := range map[string]string{"state": state, "upstream": upstream, "cursor": cursor} {
					if value != "" {
						query.Set(name, value)
					}
				}
				var page eventPage
				if err := call(cmd, http.MethodGet, adminPrefix+"events?"+query.Encode(), nil, &page); err != nil {
					return err
				}
				all = append(all, page.Events...)
				if cursor = page.NextCursor; cursor == "" {
					break
				}
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, all)
			}
			t := newTable(cmd.OutOrStdout(), "RECEIVED", "ID", "TYPE", "UPSTREAM", "STATE", "ATTEMPTS", "NEXT ATTEMPT")
			for _, e := range all {
				t.event(e)
			}
			return t.flush()
		}),
	}
	cmd.Flags().StringVar(&state, "state", "", "only events with a delivery in this state: pending, delivered, dead; or quarantined ones")
	cmd.Flags().StringVar(&upstream, "upstream", "", "only events for this upstream")
	cmd.Flags().IntVar(&limit, "limit", defaultLimit, "how many events at most")
	return addAddress(cmd)
}

// event prints a row for each delivery of an event.
func (t table) event(e eventRecord) {
	received := e.ReceivedAt.Local().Format(time.DateTime)
	if len(e.Deliveries) == 0 {
		state := "-"
		if e.Quarantined {
			state = "quarantined"
		}
		t.row(received, e.ID, e.Type, "-", state, "-", "-")
	}
	for _, d := range e.Deliveries {
		t.row(received, e.ID, e.Type, d.Upstream, string(d.State), strconv.Itoa(d.Attempts), since(d.NextAttempt))
	}
}

func showCommand() *cobra.Command {
	var payload bool
	cmd := &cobra.Command{
		Use:   "show <id>",
		Short: "Shows one event with every delivery attempt",
		Args:  cobra.ExactArgs(1),
		RunE: run(func(cmd *cobra.Command, args []string) error {
			path := adminPrefix + "events/" + url.PathEscape(args[0])
			var e eventRecord
			if err := call(cmd, http.MethodGet, path, nil, &e); err != nil {
				return err
			}
			var p *storedPayload
			if payload {
				p = new(storedPayload)
				if err := call(cmd, http.MethodGet, path+"/payload", nil, p); err != nil {
					return err
				}
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, struct {
					eventRecord
					Content *storedPayload `json:"content,omitempty"`
				}{e, p})
			}
			return printEvent(cmd, e, p)
		}),
	}
	cmd.Flags().BoolVar(&payload, "payload", false, "print the payload too; the server must allow it, and logs it")
	return addAddress(cmd)
}

func printEvent(cmd *cobra.Command, e eventRecord, p *storedPayload) error {
	out := cmd.OutOrStdout()
	t := newTable(out)
	t.row("id", e.ID)
	t.row("provider", e.Provider)
	t.row("type", e.Type)
	t.row("received", e.ReceivedAt.Local().Format(time.DateTime))
	t.row("quarantined", yesNo(e.Quarantined))
	t.row("payload kept", yesNo(e.Payload))
	if err := t.flush(); err != nil {
		return err
	}
	for _, d := range e.Deliveries {
		_, _ = fmt.Fprintf(out, "\n%s: %s after %d attempts", d.Upstream, d.State, d.Attempts)
		if d.NextAttempt != nil {
			_, _ = fmt.Fprintf(out, ", next %s", humanize.Time(*d.NextAttempt))
		}
		_, _ = fmt.Fprintln(out)
		if len(d.History) == 0 {
			continue
		}
		t := newTable(out, "ATTEMPT", "AT", "SECONDS", "OUTCOME", "STATUS")
		for _, a := range d.History {
			status := "-"
			if a.Status != 0 {
				status = strconv.Itoa(a.Status)
			}
			t.row(strconv.Itoa(a.Attempt), a.At.Local().Format(time.DateTime), strconv.FormatFloat(a.Seconds, 'f', 3, 64), string(a.Outcome), status)
		}
		if err := t.flush(); err != nil {
			return err
		}
	}
	if p == nil {
		return nil
	}
	_, _ = fmt.Fprintln(out)
	return printJSON(cmd, p)
}

func replayCommand() *cobra.Command {
	var s selection
	cmd := &cobra.Command{
		Use:   "replay [<id>...]",
		Short: "Delivers events again, with a fresh budget of attempts",
		Example: `  caddy scribegate replay soapnoteapi-0123456789abcdef0123456789abcdef
  caddy scribegate replay --dead --upstream ehr
  caddy scribegate replay --since 1h`,
		RunE: run(func(cmd *cobra.Command, args []string) error {
			s.IDs = args
			if !one(len(s.IDs) > 0, s.Dead, s.Since != "") {
				return errors.New("say what to replay: ids, --dead or --since, and only one of them")
			}
			var done struct {
				Replayed       int `json:"replayed"`
				WithoutPayload int `json:"without_payload"`
			}
			if err := call(cmd, http.MethodPost, adminPrefix+"replay", s, &done); err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, done)
			}
			_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%d events replayed, %d skipped since their payload is no longer kept\n", done.Replayed, done.WithoutPayload)
			return nil
		}),
	}
	cmd.Flags().BoolVar(&s.Dead, "dead", false, "every dead delivery")
	cmd.Flags().StringVar(&s.Since, "since", "", "every event received within this time, such as 1h")
	cmd.Flags().StringVar(&s.Upstream, "upstream", "", "deliveries to this upstream only")
	return addAddress(cmd)
}

func purgeCommand() *cobra.Command {
	var s selection
	cmd := &cobra.Command{
		Use:   "purge [<id>...]",
		Short: "Deletes events for good",
		Example: `  caddy scribegate purge soapnoteapi-0123456789abcdef0123456789abcdef
  caddy scribegate purge --dead --before 24h`,
		RunE: run(func(cmd *cobra.Command, args []string) error {
			s.IDs = args
			if !one(len(s.IDs) > 0, s.Dead) {
				return errors.New("say what to purge: ids or --dead, and only one of them")
			}
			if s.Before != "" && !s.Dead {
				return errors.New("--before goes with --dead")
			}
			var done struct {
				Purged int `json:"purged"`
			}
			if err := call(cmd, http.MethodPost, adminPrefix+"purge", s, &done); err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, done)
			}
			_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%d events purged\n", done.Purged)
			return nil
		}),
	}
	cmd.Flags().BoolVar(&s.Dead, "dead", false, "every dead and quarantined event")
	cmd.Flags().StringVar(&s.Before, "before", "", "only those received longer ago than this, such as 24h")
	return addAddress(cmd)
}
