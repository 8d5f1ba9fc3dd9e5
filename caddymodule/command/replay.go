package command

import (
	"errors"
	"fmt"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/internal/wording"
	"github.com/scribegate/scribegate/forwarder/queue"
)

func replayCommand() *cobra.Command {
	var b admin.ReplayRequest
	cmd := &cobra.Command{
		Use:   "replay [<id>...]",
		Short: "Delivers events again, with all attempts available again",
		Long: `
Delivers events again, with all attempts available again: the named events, every
dead delivery, or every event received within a time. Deliveries to upstreams that
are not configured stay as they are, and so do deliveries in flight. The printed
number counts deliveries.

An unrouted event is delivered to the upstreams that accept it now: correct the
configuration first. If none accepts it, it is skipped and stays unrouted; named by
its id, it is an error. An unconfirmed event is replayed in the same way.

In a terminal the command shows its progress. Ctrl-C stops it; what was replayed by
then stays replayed.`,
		Example: `  caddy scribegate replay soapnoteapi-0123456789abcdef0123456789abcdef
  caddy scribegate replay --dead --upstream ehr
  caddy scribegate replay --unrouted
  caddy scribegate replay --since 1h`,
		ValidArgsFunction: completeIDs(queue.Dead, queue.Unrouted, queue.Unconfirmed),
		RunE: run(func(cmd *cobra.Command, args []string) error {
			b.IDs, b.Upstream = args, given(cmd, "upstream")
			if _, ok := b.State(); !ok {
				return errors.New("choose what to replay: ids, --dead, --unrouted, --unconfirmed or --since, exactly one of them")
			}
			var done admin.Replayed
			if err := changing(admin.RouteReplay, "replaying", "replayed").do(cmd, b, &done); err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, done)
			}
			skipped := ""
			if done.WithoutPayload > 0 {
				skipped = fmt.Sprintf(", %s skipped since the payload is no longer kept", wording.Counted(done.WithoutPayload, "event"))
			}
			if done.Unrouted > 0 {
				skipped += fmt.Sprintf(", %s skipped since no upstream accepts the type", wording.Counted(done.Unrouted, "event"))
			}
			_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%s replayed%s\n", wording.Counted(done.Replayed, "delivery"), skipped)
			return nil
		}),
	}
	cmd.Flags().BoolVar(&b.Dead, "dead", false, "every dead delivery")
	cmd.Flags().BoolVar(&b.Unrouted, "unrouted", false, "every unrouted event, to the upstreams that accept it now")
	cmd.Flags().BoolVar(&b.Unconfirmed, "unconfirmed", false, "every unconfirmed event")
	cmd.Flags().StringVar(&b.Since, "since", "", "every event received within this time, such as 1h")
	cmd.Flags().String("upstream", "", "deliveries to this upstream only")
	complete(cmd, "since", completeDurations)
	complete(cmd, "upstream", completeUpstreams)
	return addAddress(cmd)
}

// changing returns work that changes events.
func changing(route admin.Route, doing, done string) longWork {
	return longWork{
		route: route, doing: doing,
		amount: humanize.Comma,
		stopped: func(p admin.Progress) string {
			if p.Done == 0 {
				return "events that were not " + done + " yet are unchanged"
			}
			return fmt.Sprintf("at least %s of %s events were %s, the others are unchanged", humanize.Comma(p.Done), humanize.Comma(p.Total), done)
		},
	}
}
