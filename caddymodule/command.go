package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "scribegate",
		Usage: "<command>",
		Short: "Operates the webhook gateway",
		Long: `
Plays the providers, checks captured requests, makes keys, and operates the
queue of a running Caddy over its admin API: what waits, what is dead, and
sending it again.

Every command prints a table, or JSON with --json, and exits with 0 only when
what it was asked for is done. Secrets are best given as placeholders, so that
they end in no shell's history: --secret '{env.SOAPNOTE_SECRET}'.`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.PersistentFlags().Bool("json", false, "print JSON")
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
				compactCommand(), exportCommand(), healthCommand(),
			)
		},
	})
}

// errNotDone makes a command exit with 1 after it has said why by itself.
var errNotDone = errors.New("not done")

// run makes a command's function one that reports errors in a line of its own.
func run(f func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		cmd.SilenceUsage = true
		cmd.SilenceErrors = true
		err := f(cmd, args)
		if err != nil && !errors.Is(err, errNotDone) {
			_, _ = fmt.Fprintln(cmd.ErrOrStderr(), "Error:", err)
		}
		return err
	}
}

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

// A table prints rows whose columns line up.
type table struct{ w *tabwriter.Writer }

func newTable(out io.Writer, columns ...string) table {
	t := table{tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)}
	if len(columns) > 0 {
		t.row(columns...)
	}
	return t
}

func (t table) row(cells ...string) {
	_, _ = fmt.Fprintln(t.w, strings.Join(cells, "\t")) // Flush reports errors
}

func (t table) flush() error {
	if err := t.w.Flush(); err != nil {
		return fmt.Errorf("printing the result: %w", err)
	}
	return nil
}

// since tells how long ago a time was, in words that fit a table.
func since(at *time.Time) string {
	if at == nil || at.IsZero() {
		return "-"
	}
	return humanize.Time(*at)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// secretFlag resolves a flag's placeholders.
func secretFlag(name, value string) (string, error) {
	e, err := parseSecretEntry(value)
	if err != nil {
		return "", fmt.Errorf("--%s: %w", name, err)
	}
	v, err := e.resolve()
	if err != nil {
		return "", fmt.Errorf("--%s: %w", name, err)
	}
	if v == "" {
		return "", fmt.Errorf("--%s: it is empty, or the environment variable or file that it names is", name)
	}
	return v, nil
}
