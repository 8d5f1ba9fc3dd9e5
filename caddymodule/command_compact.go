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
Gives the space that deleted events took in the queue's file back to the disk,
while the queue goes on working. That needs as much free space beside the file as
what is stored in it. The command waits until it is done, and tells in a terminal
how far it has come; Ctrl-C gives the compaction up and leaves the file as it was.`,
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
