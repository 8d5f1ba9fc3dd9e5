package command

import (
	"cmp"
	"io"
	"strings"
	"time"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/command/internal/terminal"
	"github.com/scribegate/scribegate/forwarder/queue"
)

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
		"RECEIVED": terminal.Text(clock(e.ReceivedAt)), "AGE": terminal.Text(age(now.Sub(e.ReceivedAt))), "ID": terminal.Text(e.ID), "TYPE": terminal.Text(e.Type),
		"SUBJECT": terminal.Text(cmp.Or(e.Subject, "-")), "UPSTREAM": none, "STATE": none, "ATTEMPTS": none, "TRIED": none, "NEXT ATTEMPT": none, "NEXT": none,
	}
	switch {
	case d != nil:
		next := until(d.NextAttempt, now)
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
