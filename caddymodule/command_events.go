package caddymodule

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

func eventsCommand() *cobra.Command {
	var l listing
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Lists events, newest first",
		Long: `
Lists events, newest first: a row for each delivery. In a terminal that is too
narrow for all columns, some are left out; show and --json print everything.`,
		Example: `  caddy scribegate events --state dead --upstream ehr
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
	cmd.Flags().IntVar(&l.limit, "limit", defaultLimit, "how many events at most")
	complete(cmd, "state", completeStates)
	complete(cmd, "upstream", completeUpstreams)
	return addAddress(cmd)
}

const stateUsage = "only events with a delivery in this state: pending, delivered or dead; or quarantined events"

// A listing is what the flags of `events` say.
type listing struct {
	state, upstream string
	limit           int
}

// rows leaves of the events the deliveries that were asked for.
func (l listing) rows(page []eventRecord) []eventRecord {
	rows := slices.Clone(page)
	for i := range rows {
		rows[i].Deliveries = slices.DeleteFunc(slices.Clone(rows[i].Deliveries), func(d deliveryRecord) bool {
			return l.state != "" && string(d.State) != l.state || l.upstream != "" && d.Upstream != l.upstream
		})
	}
	return rows
}

// print prints a table page by page, so that it begins at once however long it
// becomes, or everything in one piece of JSON.
func (l listing) print(cmd *cobra.Command) error {
	c, err := newAdminClient(cmd)
	if err != nil {
		return err
	}
	defer c.close()
	var t *eventTable
	all := []eventRecord{}
	show := func(page []eventRecord) error {
		switch {
		case wantsJSON(cmd):
			all = append(all, page...)
			return nil
		case t == nil:
			t = newEventTable(cmd.OutOrStdout(), l.rows(page), time.Now())
		default:
			t.add(l.rows(page))
		}
		return t.flush()
	}
	for left, cursor := l.limit, ""; left > 0; {
		query := url.Values{"limit": {strconv.Itoa(min(left, maxLimit))}}
		for name, value := range map[string]string{"state": l.state, "upstream": l.upstream, "cursor": cursor} {
			if value != "" {
				query.Set(name, value)
			}
		}
		var page eventPage
		if err := c.ask(cmd.Context(), http.MethodGet, "events?"+query.Encode(), nil, &page); err != nil {
			return err
		}
		if err := show(page.Events); err != nil {
			return err
		}
		left -= len(page.Events)
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	if wantsJSON(cmd) {
		return printJSON(cmd, all)
	}
	return nil
}
