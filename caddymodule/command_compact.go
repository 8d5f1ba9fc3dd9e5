package caddymodule

import (
	"fmt"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
)

func compactCommand() *cobra.Command {
	return addAddress(&cobra.Command{
		Use:   "compact",
		Short: "Returns the free space in the queue's file to the disk",
		Long: `
Returns the space of deleted events in the queue's file to the disk, while the
queue works. It needs free disk space for a copy of the stored events. The command
waits until the compaction is done, and shows its progress in a terminal. Ctrl-C
cancels the compaction and leaves the file as it was.`,
		Args: noArguments,
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			var done compacted
			work := longWork{
				path: "compact", doing: "compacting", amount: size,
				stopped: func(progress) string { return "the queue's file is as it was" },
			}
			if err := work.do(cmd, nil, &done); err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, done)
			}
			_, _ = fmt.Fprintf(cmd.OutOrStdout(), "compacted: %s -> %s\n", size(done.Before), size(done.After))
			return nil
		}),
	})
}

// size is a number of bytes in words.
func size(n int64) string { return humanize.IBytes(uint64(max(0, n))) } // not below zero
