package caddymodule

import (
	"errors"
	"fmt"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/scribegate/scribegate/forwarder/queue"
)

func replayCommand() *cobra.Command {
	var s selection
	cmd := &cobra.Command{
		Use:   "replay [<id>...]",
		Short: "Delivers events again, with a fresh budget of attempts",
		Long: `
Delivers events again, with a fresh budget of attempts: those named, every dead
delivery, or whatever was received within a time. In a terminal it tells how far it
has come. Ctrl-C stops it; what was replayed until then stays so.`,
		Example: `  caddy scribegate replay soapnoteapi-0123456789abcdef0123456789abcdef
  caddy scribegate replay --dead --upstream ehr
  caddy scribegate replay --since 1h`,
		ValidArgsFunction: completeIDs(anyNumber, queue.Dead),
		RunE: run(func(cmd *cobra.Command, args []string) error {
			s.IDs = args
			if !one(len(s.IDs) > 0, s.Dead, s.Since != "") {
				return errors.New("say what to replay: ids, --dead or --since, and only one of them")
			}
			var done replayed
			if err := changing("replay", "replaying", "replayed").do(cmd, s, &done); err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, done)
			}
			skipped := ""
			if done.WithoutPayload > 0 {
				skipped = fmt.Sprintf(", %d skipped since their payload is no longer kept", done.WithoutPayload)
			}
			_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%s replayed%s\n", counted(done.Replayed, "event"), skipped)
			return nil
		}),
	}
	cmd.Flags().BoolVar(&s.Dead, "dead", false, "every dead delivery")
	cmd.Flags().StringVar(&s.Since, "since", "", "every event received within this time, such as 1h")
	cmd.Flags().StringVar(&s.Upstream, "upstream", "", "deliveries to this upstream only")
	complete(cmd, "since", completeDurations)
	complete(cmd, "upstream", completeUpstreams)
	return addAddress(cmd)
}

func purgeCommand() *cobra.Command {
	var s selection
	cmd := &cobra.Command{
		Use:   "purge [<id>...]",
		Short: "Deletes events for good",
		Long: `
Deletes events for good: those named, whatever their state, or every one that is
dead or quarantined and that no upstream waits for. In a terminal it tells how far
it has come. Ctrl-C stops it; what was purged until then is gone.`,
		Example: `  caddy scribegate purge soapnoteapi-0123456789abcdef0123456789abcdef
  caddy scribegate purge --dead --before 24h`,
		ValidArgsFunction: completeIDs(anyNumber, queue.Dead, queue.Quarantined),
		RunE: run(func(cmd *cobra.Command, args []string) error {
			s.IDs = args
			if !one(len(s.IDs) > 0, s.Dead) {
				return errors.New("say what to purge: ids or --dead, and only one of them")
			}
			if s.Before != "" && !s.Dead {
				return errors.New("--before goes with --dead")
			}
			var done purged
			if err := changing("purge", "purging", "purged").do(cmd, s, &done); err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, done)
			}
			_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%s purged\n", counted(done.Purged, "event"))
			return nil
		}),
	}
	cmd.Flags().BoolVar(&s.Dead, "dead", false, "every dead and quarantined event")
	cmd.Flags().StringVar(&s.Before, "before", "", "only those received longer ago than this, such as 24h")
	complete(cmd, "before", completeDurations)
	return addAddress(cmd)
}

// changing is work on events.
func changing(path, doing, done string) longWork {
	return longWork{
		path: path, doing: doing,
		amount: humanize.Comma,
		stopped: func(p progress) string {
			if p.Done == 0 {
				return "what was not " + done + " yet is as it was"
			}
			return fmt.Sprintf("at least %s of %s events were %s, the others are as they were", humanize.Comma(p.Done), humanize.Comma(p.Total), done)
		},
	}
}
