package command

import (
	"cmp"
	"context"
	"errors"
	"io"
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

func eventsCommand() *cobra.Command {
	var l listing
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Lists events, newest first",
		Long: `
Lists events, newest first: a row for each delivery. All flags that are given must
match. The subject is the id of the note or transcription. In a terminal that is too
narrow for all columns, some are left out; show and --json print everything.`,
		Example: `  caddy scribegate events --state dead --upstream ehr
  caddy scribegate events --subject a1b2c3d4-e5f6-7890-abcd-ef1234567890
  caddy scribegate events --type note.failed --since 24h
  caddy scribegate events --limit 1000 --json`,
		Args: noArguments,
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			if l.limit < 1 {
				return errors.New("--limit must be at least 1")
			}
			return l.print(cmd)
		}),
	}
	cmd.Flags().StringVar(&l.state, "state", "", stateUsage)
	cmd.Flags().StringVar(&l.upstream, "upstream", "", "only events for this upstream")
	cmd.Flags().StringVar(&l.subject, "subject", "", "only events of this note or transcription")
	cmd.Flags().StringVar(&l.shortType, "type", "", "only events of this type, such as note.generated")
	cmd.Flags().StringVar(&l.since, "since", "", "only events received within this time, such as 1h")
	cmd.Flags().IntVar(&l.limit, "limit", admin.DefaultLimit, "how many events at most")
	complete(cmd, "state", completeStates)
	complete(cmd, "upstream", completeUpstreams)
	complete(cmd, "subject", completeSubjects)
	complete(cmd, "type", completeTypes)
	complete(cmd, "since", completeDurations)
	return addAddress(cmd)
}

const stateUsage = "only events with a delivery in this state: pending, delivered or dead; or quarantined, unrouted or unconfirmed events"

// A listing has the values of the flags of `events`.
type listing struct {
	state, upstream, subject, shortType, since string
	limit                                      int
}

// rows returns the events with only those deliveries that the flags select.
func (l listing) rows(page []admin.Event) []admin.Event {
	rows := slices.Clone(page)
	for i := range rows {
		rows[i].Deliveries = slices.DeleteFunc(slices.Clone(rows[i].Deliveries), func(d admin.Delivery) bool {
			return l.state != "" && string(d.State) != l.state || l.upstream != "" && d.Upstream != l.upstream
		})
	}
	return rows
}

// print prints a table page by page, so that a long one begins at once, or one JSON
// value.
func (l listing) print(cmd *cobra.Command) error {
	c, err := newAdminClient(cmd)
	if err != nil {
		return err
	}
	defer c.close()
	var t *eventTable
	all := []admin.Event{}
	show := func(page []admin.Event) error {
		switch {
		case wantsJSON(cmd):
			all = append(all, page...)
			return nil
		case t == nil:
			t = newEventTable(cmd.OutOrStdout(), l.rows(page), time.Now())
		default:
			t.add(l.rows(page))
		}
		return t.Flush()
	}
	query := make(url.Values)
	for name, value := range map[string]string{"state": l.state, "upstream": l.upstream, "subject": l.subject, "type": l.shortType, "since": l.since} {
		if value != "" {
			query.Set(name, value)
		}
	}
	for left := l.limit; left > 0; {
		query.Set("limit", strconv.Itoa(min(left, admin.MaxLimit)))
		page, err := c.page(cmd.Context(), query)
		if err != nil {
			return err
		}
		if err := show(page.Events); err != nil {
			return err
		}
		left -= len(page.Events)
		if page.NextCursor == "" {
			break
		}
	}
	if wantsJSON(cmd) {
		return printJSON(cmd, all)
	}
	return nil
}

// page returns a page of events, and sets the cursor of the query to the next.
func (c *adminClient) page(ctx context.Context, query url.Values) (page admin.EventPage, err error) {
	err = c.ask(ctx, admin.RouteEvents.WithQuery(query), &page)
	query.Set("cursor", page.NextCursor)
	return page, err
}

// The columns of a table of events: all columns, and those for terminals that are
// narrower.
var eventLayouts = [][]terminal.Column{
	{terminal.Left("RECEIVED"), terminal.Left("ID"), terminal.Left("SUBJECT"), terminal.Left("TYPE"), terminal.Left("UPSTREAM"), terminal.Left("STATE"), terminal.Right("ATTEMPTS"), terminal.Left("NEXT ATTEMPT")},
	{terminal.Right("AGE"), terminal.Left("ID"), terminal.Left("SUBJECT"), terminal.Left("TYPE"), terminal.Left("UPSTREAM"), terminal.Left("STATE"), terminal.Right("TRIED"), terminal.Left("NEXT")},
	{terminal.Right("AGE"), terminal.Left("ID"), terminal.Left("SUBJECT"), terminal.Left("UPSTREAM"), terminal.Left("STATE"), terminal.Right("TRIED"), terminal.Left("NEXT")},
	{terminal.Right("AGE"), terminal.Left("ID"), terminal.Left("TYPE"), terminal.Left("UPSTREAM"), terminal.Left("STATE"), terminal.Right("TRIED"), terminal.Left("NEXT")},
	{terminal.Right("AGE"), terminal.Left("ID"), terminal.Left("UPSTREAM"), terminal.Left("STATE"), terminal.Right("TRIED"), terminal.Left("NEXT")},
	{terminal.Right("AGE"), terminal.Left("ID"), terminal.Left("UPSTREAM"), terminal.Left("STATE")},
}

// eventCells returns the cells of a delivery's row, by the names of their columns. d
// is nil where the event has no deliveries.
func eventCells(e admin.Event, d *admin.Delivery, now time.Time) map[string]terminal.Cell {
	none := terminal.Text("-")
	cells := map[string]terminal.Cell{
		"RECEIVED": terminal.Text(wording.Clock(e.ReceivedAt)), "AGE": terminal.Text(wording.Age(now.Sub(e.ReceivedAt))), "ID": terminal.Text(e.ID), "TYPE": terminal.Text(e.Type),
		"SUBJECT": terminal.Text(cmp.Or(e.Subject, "-")), "UPSTREAM": none, "STATE": none, "ATTEMPTS": none, "TRIED": none, "NEXT ATTEMPT": none, "NEXT": none,
	}
	switch {
	case d != nil:
		next := wording.Until(d.NextAttempt, now)
		cells["UPSTREAM"], cells["STATE"] = terminal.Text(d.Upstream), stateCell(d.State)
		cells["ATTEMPTS"], cells["TRIED"] = terminal.Number(int64(d.Attempts)), terminal.Number(int64(d.Attempts))
		cells["NEXT ATTEMPT"], cells["NEXT"] = terminal.Text(next), terminal.Text(strings.TrimPrefix(next, "in "))
	case e.State.SetAside():
		cells["STATE"] = stateCell(e.State)
	}
	return cells
}

// stateCell returns a state in its colour.
func stateCell(s queue.State) terminal.Cell {
	return terminal.Text(string(s)).Paint(terminal.Green, s == queue.Delivered).Paint(terminal.Red, s == queue.Dead).
		Paint(terminal.Yellow, s == queue.Pending || s.SetAside())
}

// An eventTable prints a row for each delivery of events.
type eventTable struct {
	*terminal.Table
	now time.Time
}

// newEventTable makes a table with the events, with as many columns as fit the
// terminal.
func newEventTable(out io.Writer, events []admin.Event, now time.Time) *eventTable {
	var t *eventTable
	for _, columns := range eventLayouts {
		t = &eventTable{terminal.NewTable(out, columns...), now}
		t.add(events)
		if t.Fits() {
			break
		}
	}
	return t
}

func (t *eventTable) add(events []admin.Event) {
	for _, e := range events {
		if len(e.Deliveries) == 0 {
			t.Named(eventCells(e, nil, t.now))
		}
		for i := range e.Deliveries {
			t.Named(eventCells(e, &e.Deliveries[i], t.now))
		}
	}
}
