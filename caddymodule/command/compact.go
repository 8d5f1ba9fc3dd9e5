package command

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/internal/wording"
)

func compactCommand() *cobra.Command {
	return addAddress(&cobra.Command{
		Use:   "compact",
		Short: "Returns the free space in the queue's file to the disk",
		Long: `
Returns the space of deleted events in the queue's file to the disk, while the
queue works. Most of it is returned without this command, more slowly. The command
waits until the compaction is done, and shows its progress in a terminal. Ctrl-C
cancels it; space that has been returned by then stays returned.`,
		Args: noArguments,
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			var done admin.Compacted
			work := longWork{
				route: admin.RouteCompact, doing: "compacting", amount: wording.Size,
				stopped: func(admin.Progress) string { return "the rest of the free space stays in the queue's file" },
			}
			if err := work.do(cmd, nil, &done); err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, done)
			}
			_, _ = fmt.Fprintf(cmd.OutOrStdout(), "compacted: %s -> %s\n", wording.Size(done.Before), wording.Size(done.After))
			return nil
		}),
	})
}
