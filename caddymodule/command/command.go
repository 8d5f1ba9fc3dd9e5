package command

import (
	"fmt"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "scribegate",
		Usage: "<command>",
		Short: "Operates the webhook gateway",
		Long: `
Plays the providers, checks captured requests, generates keys, and operates the
queue of a running Caddy over its admin API: lists pending and dead events, and
delivers them again.

Every command prints a table, or JSON with --json, and exits with 0 only if
everything that was requested is done. Errors go to standard error as text. Write
secrets as placeholders, so that no secret gets into the shell's history:
--secret '{env.SOAPNOTE_SECRET}'.`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.PersistentFlags().Bool("json", false, "print JSON")
			cmd.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
			cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
				return fmt.Errorf("%w; see: caddy %s --help", err, subcommand(cmd))
			})
			// Without this cobra prints the help for an unknown command, and
			// exits as if that had been asked for.
			cmd.RunE = run(func(cmd *cobra.Command, args []string) error {
				if len(args) > 0 {
					return fmt.Errorf("unknown command %q; see: caddy scribegate --help", args[0])
				}
				return cmd.Help()
			})
			cmd.AddCommand(
				sendCommand(), verifyCommand(), keygenCommand(),
				statusCommand(), eventsCommand(), showCommand(), replayCommand(), purgeCommand(),
				recoverCommand(), compactCommand(), backupCommand(), exportCommand(), auditCommand(), healthCommand(), versionCommand(),
			)
			for _, sub := range cmd.Commands() {
				completeNothingElse(sub)
			}
		},
	})
}
