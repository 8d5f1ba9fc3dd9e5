package command

import (
	"cmp"
	"io"
	"strings"
	"time"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/forwarder/queue"
)

// The columns of a table of events: all columns, and those for terminals that are
// narrower.
var eventLayouts = [][]column{
	{{name: "RECEIVED"}, {name: "ID"}, {name: "SUBJECT"}, {name: "TYPE"}, {name: "UPSTREAM"}, {name: "STATE"}, {"ATTEMPTS", true}, {name: "NEXT ATTEMPT"}},
	{{"AGE", true}, {name: "ID"}, {name: "SUBJECT"}, {name: "TYPE"}, {name: "UPSTREAM"}, {name: "STATE"}, {"TRIED", true}, {name: "NEXT"}},
	{{"AGE", true}, {name: "ID"}, {name: "SUBJECT"}, {name: "UPSTREAM"}, {name: "STATE"}, {"TRIED", true}, {name: "NEXT"}},
	{{"AGE", true}, {name: "ID"}, {name: "TYPE"}, {name: "UPSTREAM"}, {name: "STATE"}, {"TRIED", true}, {name: "NEXT"}},
	{{"AGE", true}, {name: "ID"}, {name: "UPSTREAM"}, {name: "STATE"}, {"TRIED", true}, {name: "NEXT"}},
	{{"AGE", true}, {name: "ID"}, {name: "UPSTREAM"}, {name: "STATE"}},
}

// eventCells returns the cells of a delivery's row, by the names of their columns. d
// is nil where the event has no deliveries.
func eventCells(e admin.Event, d *admin.Delivery, now time.Time) map[string]cell {
	none := text("-")
	cells := map[string]cell{
		"RECEIVED": text(clock(e.ReceivedAt)), "AGE": text(age(now.Sub(e.ReceivedAt))), "ID": text(e.ID), "TYPE": text(e.Type),
		"SUBJECT": text(cmp.Or(e.Subject, "-")), "UPSTREAM": none, "STATE": none, "ATTEMPTS": none, "TRIED": none, "NEXT ATTEMPT": none, "NEXT": none,
	}
	switch {
	case d != nil:
		next := until(d.NextAttempt, now)
		cells["UPSTREAM"], cells["STATE"] = text(d.Upstream), stateCell(d.State)
		cells["ATTEMPTS"], cells["TRIED"] = number(int64(d.Attempts)), number(int64(d.Attempts))
		cells["NEXT ATTEMPT"], cells["NEXT"] = text(next), text(strings.TrimPrefix(next, "in "))
	case e.State.SetAside():
		cells["STATE"] = stateCell(e.State)
	}
	return cells
}

// stateCell returns a state in its colour.
func stateCell(s queue.State) cell {
	return text(string(s)).paint(green, s == queue.Delivered).paint(red, s == queue.Dead).
		paint(yellow, s == queue.Pending || s.SetAside())
}

// An eventTable prints a row for each delivery of events.
type eventTable struct {
	*table
	now time.Time
}

// newEventTable makes a table with the events, with as many columns as fit the
// terminal.
func newEventTable(out io.Writer, events []admin.Event, now time.Time) *eventTable {
	var t *eventTable
	for _, columns := range eventLayouts {
		t = &eventTable{newTable(out, columns...), now}
		t.add(events)
		if t.fits() {
			break
		}
	}
	return t
}

func (t *eventTable) add(events []admin.Event) {
	for _, e := range events {
		if len(e.Deliveries) == 0 {
			t.named(eventCells(e, nil, t.now))
		}
		for i := range e.Deliveries {
			t.named(eventCells(e, &e.Deliveries[i], t.now))
		}
	}
}
