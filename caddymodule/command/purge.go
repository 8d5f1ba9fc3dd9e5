package command

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/command/internal/terminal"
	"github.com/scribegate/scribegate/caddymodule/internal/wording"
	"github.com/scribegate/scribegate/forwarder/queue"
)

func purgeCommand() *cobra.Command {
	var b admin.PurgeRequest
	var yes bool
	cmd := &cobra.Command{
		Use:   "purge [<id>...]",
		Short: "Deletes events permanently",
		Long: `
Deletes permanently: the named events, every dead delivery, every quarantined,
unrouted or unconfirmed event, or the pending and dead deliveries to an upstream. The other deliveries of an event
stay. When the last delivery of an event is purged, the event and its id are
deleted: the same webhook, sent again, is a new event. The printed number counts
events.

An event that still waits for an upstream is deleted by its id only with --force.
Events that wait for an upstream that is no longer configured stay until they are
purged, or until the upstream is defined again. An attempt in flight may still
reach its upstream.

In a terminal the command prints what it would delete and asks for confirmation,
unless --yes is given, and shows its progress. Ctrl-C stops it; what was purged by
then stays deleted.`,
		Example: `  caddy scribegate purge soapnoteapi-0123456789abcdef0123456789abcdef
  caddy scribegate purge --dead --before 24h
  caddy scribegate purge --upstream old --dry-run`,
		ValidArgsFunction: completeIDs(queue.Dead, queue.Quarantined, queue.Unrouted, queue.Unconfirmed),
		RunE: run(func(cmd *cobra.Command, args []string) error {
			b.IDs, b.Before = args, given(cmd, "before")
			state, ok := b.State()
			switch {
			case !ok:
				return errors.New("choose what to purge: ids, --dead, --quarantined, --unrouted, --unconfirmed or --upstream, exactly one of them")
			case b.Before != nil && state == "":
				return errors.New("--before needs --dead, --quarantined, --unrouted or --unconfirmed")
			case b.Force && len(b.IDs) == 0:
				return errors.New("--force needs ids")
			}
			return purge(cmd, b, yes)
		}),
	}
	cmd.Flags().BoolVar(&b.Dead, "dead", false, "every dead delivery")
	cmd.Flags().BoolVar(&b.Quarantined, "quarantined", false, "every quarantined event")
	cmd.Flags().BoolVar(&b.Unrouted, "unrouted", false, "every unrouted event")
	cmd.Flags().BoolVar(&b.Unconfirmed, "unconfirmed", false, "every unconfirmed event")
	cmd.Flags().StringVar(&b.Upstream, "upstream", "", "every pending and dead delivery to this upstream")
	cmd.Flags().String("before", "", "only for events received longer ago than this, such as 24h")
	cmd.Flags().BoolVar(&b.Force, "force", false, "delete the named events even if they still wait for an upstream")
	cmd.Flags().BoolVar(&b.DryRun, "dry-run", false, "only print what would be deleted")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask for confirmation")
	complete(cmd, "before", completeDurations)
	complete(cmd, "upstream", completeUpstreams)
	return addAddress(cmd)
}

// purge purges. In a terminal it asks for confirmation first, unless yes is set.
func purge(cmd *cobra.Command, b admin.PurgeRequest, yes bool) error {
	work := changing(admin.RoutePurge, "purging", "purged")
	var done admin.Purged
	if ask := terminal.Questioner(cmd); ask != nil && !yes && !b.DryRun {
		preview := b
		preview.DryRun = true
		if err := work.do(cmd, preview, &done); err != nil {
			return err
		}
		if done.Purged == 0 {
			return printPurged(cmd, b, done)
		}
		if !ask("Purge " + purgedBy(b, done.Purged) + " permanently?") {
			return errors.New("not confirmed: nothing was purged")
		}
	}
	if err := work.do(cmd, b, &done); err != nil {
		return err
	}
	return printPurged(cmd, b, done)
}

func printPurged(cmd *cobra.Command, b admin.PurgeRequest, done admin.Purged) (err error) {
	switch {
	case wantsJSON(cmd):
		return printJSON(cmd, done)
	case b.DryRun:
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "would purge %s\n", purgedBy(b, done.Purged))
	default:
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s purged\n", wording.Counted(done.Purged, "event"))
	}
	return err
}

// purgedBy describes what a purge of that many events deletes.
func purgedBy(b admin.PurgeRequest, events int) string {
	switch {
	case b.Dead:
		return "the dead deliveries of " + wording.Counted(events, "event")
	case b.Quarantined:
		return wording.Counted(events, "quarantined event")
	case b.Unrouted:
		return wording.Counted(events, "unrouted event")
	case b.Unconfirmed:
		return wording.Counted(events, "unconfirmed event")
	case b.Upstream != "":
		return "the pending and dead deliveries to " + b.Upstream + " of " + wording.Counted(events, "event")
	}
	return wording.Counted(events, "event") + " with every delivery"
}
