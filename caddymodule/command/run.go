package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

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
	words := cmd.Name()
	for c := cmd.Parent(); c != nil && c.HasParent(); c = c.Parent() {
		words = c.Name() + " " + words
	}
	return words
}

// exactly accepts n arguments. For any other number its error has the text wanted.
func exactly(n int, wanted string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return fmt.Errorf("%s; see: caddy %s --help", wanted, subcommand(cmd))
		}
		return nil
	}
}

// noArguments accepts no arguments.
var noArguments = exactly(0, "this command takes no arguments")

// wantsJSON reports whether --json is set.
func wantsJSON(cmd *cobra.Command) bool {
	yes, _ := cmd.Flags().GetBool("json") // all commands have the flag
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
