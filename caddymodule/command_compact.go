package caddymodule

import (
	"fmt"
	"net/http"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
)

func compactCommand() *cobra.Command {
	return addAddress(&cobra.Command{
		Use:   "compact",
		Short: "Gives the free space of the queue's file back",
		Long: `
Gives the space that deleted events took in the queue's file back to the disk,
while the queue goes on working. That needs as much free space beside the file as
what is stored in it. The command waits until it is done; ending it before gives
the compaction up and leaves the file as it was.`,
		Args: cobra.NoArgs,
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			var done compacted
			if err := call(cmd, http.MethodPost, adminPrefix+"compact", nil, &done); err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, done)
			}
			_, _ = fmt.Fprintf(cmd.OutOrStdout(), "compacted: %s -> %s\n",
				humanize.IBytes(uint64(max(0, done.Before))), humanize.IBytes(uint64(max(0, done.After)))) // not below zero
			return nil
		}),
	})
}
