package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/command/internal/terminal"
	"github.com/scribegate/scribegate/caddymodule/internal/wording"
	"github.com/scribegate/scribegate/forwarder/queue"
)

func showCommand() *cobra.Command {
	var payload bool
	cmd := &cobra.Command{
		Use:   "show <id or subject>",
		Short: "Shows an event, or the events of a note or transcription, with every delivery attempt",
		Long: `
Shows one event with its deliveries and the newest 50 attempts of each delivery.
After a replay, attempts are counted from 1 again. With a subject, which is the id of
a note or transcription, it shows all events of that subject, newest first; --json
prints a list then.

An attempt's outcome is success; failure, with the status of the answer, if any;
timeout; connect_error; or gone (410), after which the event is dead at once. Some
attempts do not count and use up none of the event's attempts: one that could not
connect, one whose new connection ended before an answer began, and one that was
answered 429.`,
		Args:              exactly(1, "name one event by its id, or events by their subject, of those that `caddy scribegate events` lists"),
		ValidArgsFunction: completeIDOrSubject,
		RunE: run(func(cmd *cobra.Command, args []string) error {
			c, err := newAdminClient(cmd)
			if err != nil {
				return err
			}
			defer c.close()
			events, byID, err := c.find(cmd.Context(), args[0])
			if err == nil && payload {
				err = c.addPayloads(cmd.Context(), events)
			}
			if err != nil {
				return advised(err)
			}
			switch {
			case wantsJSON(cmd) && byID:
				err = printJSON(cmd, events[0])
			case wantsJSON(cmd):
				err = printJSON(cmd, events)
			default:
				err = printEvents(cmd, events, c.upstreams(cmd.Context(), events))
			}
			if err == nil && slices.ContainsFunc(events, func(e exportedEvent) bool { return len(e.Damaged) > 0 }) {
				err = queue.ErrUnreadable
			}
			return err
		}),
	}
	cmd.Flags().BoolVar(&payload, "payload", false, "print the payload too; the server must allow it, and logs it")
	return addAddress(cmd)
}

// find returns the event with the id, or else the events with the subject, newest
// first.
func (c *adminClient) find(ctx context.Context, idOrSubject string) (events []exportedEvent, byID bool, err error) {
	var e admin.Event
	err = c.ask(ctx, admin.RouteEvent.WithID(idOrSubject), &e)
	if err == nil {
		return []exportedEvent{{Event: e}}, true, nil
	}
	if failed, ok := errors.AsType[admin.Error](err); !ok || failed.Status != http.StatusNotFound || !admin.SubjectForm.MatchString(idOrSubject) {
		return nil, false, err
	}
	query := url.Values{"subject": {idOrSubject}, "history": {"true"}, "limit": {strconv.Itoa(admin.MaxLimit)}}
	for more := true; more; {
		page, pageErr := c.page(ctx, query)
		if pageErr != nil {
			return nil, false, pageErr
		}
		for _, e := range page.Events {
			events = append(events, exportedEvent{Event: e})
		}
		more = page.NextCursor != ""
	}
	if len(events) == 0 {
		return nil, false, err
	}
	return events, false, nil
}

// addPayloads adds the payloads of events that are kept. It returns an error if the
// server does not allow it, or if none is kept.
func (c *adminClient) addPayloads(ctx context.Context, events []exportedEvent) error {
	if err := c.payloadsAllowed(ctx); err != nil {
		return err
	}
	for i := range events {
		if err := c.addPayload(ctx, &events[i]); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(events, func(e exportedEvent) bool { return e.Payload }) {
		return nil
	}
	return admin.Error{Status: http.StatusConflict, Text: queue.ErrNoPayload.Error()}
}

// upstreams returns the upstreams' status by their names, if one of the events waits
// for an upstream. Without an answer of the server it returns nil.
func (c *adminClient) upstreams(ctx context.Context, events []exportedEvent) map[string]admin.UpstreamStatus {
	var s admin.Status
	if !slices.ContainsFunc(events, waits) || c.ask(ctx, admin.RouteStatus, &s) != nil {
		return nil
	}
	all := make(map[string]admin.UpstreamStatus)
	for _, u := range s.Upstreams {
		all[u.Name] = u
	}
	return all
}

// waits reports whether a delivery of the event is pending.
func waits(e exportedEvent) bool {
	return slices.ContainsFunc(e.Deliveries, func(d admin.Delivery) bool { return d.State == queue.Pending })
}

// printEvents prints events, with an empty line between two.
func printEvents(cmd *cobra.Command, events []exportedEvent, upstreams map[string]admin.UpstreamStatus) error {
	for i, e := range events {
		if i > 0 {
			_, _ = fmt.Fprintln(cmd.OutOrStdout())
		}
		if err := printEvent(cmd, e, upstreams); err != nil {
			return err
		}
	}
	return nil
}

func printEvent(cmd *cobra.Command, e exportedEvent, upstreams map[string]admin.UpstreamStatus) error {
	out := cmd.OutOrStdout()
	t := terminal.NewTable(out)
	for _, line := range [][2]string{
		{"id", e.ID},
		{"provider", e.Provider},
		{"type", e.Type},
		{"subject", e.Subject},
		{"received", wording.Clock(e.ReceivedAt)},
		{"state", string(e.State)},
		{"reason", e.Reason},
		{"payload kept", yesNo(e.Payload)},
		{"damaged", strings.Join(e.Damaged, ", ")},
		{"deliveries", wording.WhyNone(e.Event)},
	} {
		if line[1] != "" {
			t.Row(terminal.Text(line[0]), terminal.Text(line[1]))
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if err := printCourses(out, e.Event, upstreams, time.Now()); err != nil {
		return err
	}
	if e.Content == nil {
		return nil
	}
	_, _ = fmt.Fprintln(out)
	return printJSON(cmd, e.Content)
}

// printCourses prints the stages and the deliveries of an event, in their order.
func printCourses(out io.Writer, e admin.Event, upstreams map[string]admin.UpstreamStatus, now time.Time) error {
	stage := func(name string) (pending bool, err error) {
		for _, s := range e.Stages {
			if s.Stage == name {
				return s.State == queue.Pending, printStage(out, s, now)
			}
		}
		return false, nil
	}
	blocked, err := stage(admin.Completion)
	if err != nil {
		return err
	}
	for _, d := range e.Deliveries {
		if err := printDelivery(out, d, upstreams[d.Upstream], blocked, now); err != nil {
			return err
		}
	}
	_, err = stage(admin.Cleanup)
	return err
}
