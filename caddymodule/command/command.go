package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/scribegate/scribegate/caddymodule/internal/secret"
	"github.com/scribegate/scribegate/verifier"
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
				compactCommand(), backupCommand(), exportCommand(), healthCommand(), versionCommand(),
			)
			for _, sub := range cmd.Commands() {
				completeNothingElse(sub)
			}
		},
	})
}

// errNotDone makes a command exit with 1, without an error message.
var errNotDone = errors.New("not done")

// run returns a command's function that prints its error as one line.
func run(f func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		cmd.SilenceUsage = true
		cmd.SilenceErrors = true
		err := filledIn(cmd, args)
		if err == nil {
			err = f(cmd, args)
		}
		if err != nil && !errors.Is(err, errNotDone) {
			_, _ = fmt.Fprintln(cmd.ErrOrStderr(), "Error:", err)
		}
		return err
	}
}

// filledIn returns an error for an empty flag or argument, such as that of an unset
// variable: without it a command would mean something else, such as every upstream.
func filledIn(cmd *cobra.Command, args []string) error {
	var err error
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if f.Value.String() == "" && err == nil {
			err = fmt.Errorf("--%s is empty; give it a value, or leave it out", f.Name)
		}
	})
	if err == nil && slices.Contains(args, "") {
		err = errors.New("an argument is empty; give it a value, or leave it out")
	}
	return err
}

// subcommand returns the words of a command behind `caddy`.
func subcommand(cmd *cobra.Command) string {
	if cmd.HasParent() && cmd.Parent().HasParent() {
		return cmd.Parent().Name() + " " + cmd.Name()
	}
	return cmd.Name()
}

// exactly returns an error with the text wanted for any other number of arguments.
func exactly(n int, wanted string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return fmt.Errorf("%s; see: caddy %s --help", wanted, subcommand(cmd))
		}
		return nil
	}
}

// noArguments is for commands that take none.
var noArguments = exactly(0, "this command takes no arguments")

func wantsJSON(cmd *cobra.Command) bool {
	yes, _ := cmd.Flags().GetBool("json") // it is defined for all commands
	return yes
}

// printJSON prints a value in indented JSON.
func printJSON(cmd *cobra.Command, v any) error {
	enc := json.NewEncoder(cmd.OutOrStdout())
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("printing the result: %w", err)
	}
	return nil
}

// counted returns a number of things in words.
func counted(n int, thing string) string {
	stem, y := strings.CutSuffix(thing, "y")
	switch {
	case n == 1:
	case y:
		thing = stem + "ies"
	default:
		thing += "s"
	}
	return humanize.Comma(int64(n)) + " " + thing
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// usableSecretFlag is secretFlag with an error for a value that is certainly a
// mistake.
func usableSecretFlag(name, value string) (string, error) {
	v, err := secretFlag(name, value)
	if err != nil {
		return "", err
	}
	if err := verifier.CheckSecret(v); err != nil {
		return "", fmt.Errorf("--%s: %w", name, err)
	}
	return v, nil
}

// secretFlag resolves a flag's placeholders.
func secretFlag(name, value string) (string, error) {
	v, err := secret.Resolve(value)
	if err != nil {
		return "", fmt.Errorf("--%s: %w", name, err)
	}
	return v, nil
}
