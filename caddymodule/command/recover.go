package command

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/command/internal/terminal"
	"github.com/scribegate/scribegate/caddymodule/internal/wording"
)

func recoverCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "recover",
		Short: "Asks a provider's API for results whose webhooks never arrived",
		Long: `
Asks a provider's REST API for results whose webhooks never arrived, and stores their
events as if the webhooks had arrived. The handler needs an api_key.`,
		RunE: run(func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("unknown provider %q; it is soniox or soapnoteapi", args[0])
			}
			return cmd.Help()
		}),
	}
	cmd.FParseErrWhitelist.UnknownFlags = true // the provider is checked first
	cmd.AddCommand(recoverSonioxCommand(), recoverSOAPNoteAPICommand())
	return cmd
}

func recoverSonioxCommand() *cobra.Command {
	b := admin.RecoverRequest{Provider: admin.RecoverSoniox}
	var yes bool
	cmd := &cobra.Command{
		Use:   "soniox",
		Short: "Finds finished transcriptions whose webhook never arrived",
		Long: `
Lists the transcriptions at Soniox, and stores an event for each finished one whose
webhook was sent to this gateway and failed. Transcriptions that the store knows are
left alone. The handler needs an api_key and its webhook_url.

With --prune the command deletes finished transcriptions of this gateway instead, with
their files: those that were created longer ago than the duration and that no event in
the store waits for. It needs a key that may write. In a terminal it asks for
confirmation, unless --yes is given.

The search goes back as far as history_retention: the store does not remember older
events, and would deliver them again. --since with a longer duration needs --force.`,
		Example: `  caddy scribegate recover soniox
  caddy scribegate recover soniox --since 24h --dry-run
  caddy scribegate recover soniox --prune 7d`,
		Args: noArguments,
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			b.Since, b.Prune = given(cmd, "since"), given(cmd, "prune")
			if b.Since != nil && b.Prune != nil {
				return errors.New("choose --since or --prune: a prune deletes at Soniox, and recovers nothing")
			}
			return recoverResults(cmd, b, yes)
		}),
	}
	cmd.Flags().String("since", "", "only transcriptions that were created within this time, such as 24h")
	cmd.Flags().String("prune", "", "delete finished transcriptions at Soniox that were created longer ago than this, such as 7d")
	cmd.Flags().StringVar(&b.Source, "source", "", "the source of the handler, if several have an api_key")
	cmd.Flags().BoolVar(&b.Force, "force", false, "also transcriptions from before history_retention")
	cmd.Flags().BoolVar(&b.DryRun, "dry-run", false, "only print what would be recovered or deleted")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask for confirmation")
	complete(cmd, "since", completeDurations)
	complete(cmd, "prune", completeDurations)
	return addAddress(cmd)
}

func recoverSOAPNoteAPICommand() *cobra.Command {
	b := admin.RecoverRequest{Provider: admin.RecoverSOAPNoteAPI}
	cmd := &cobra.Command{
		Use:   "soapnoteapi <note_id>...",
		Short: "Fetches notes whose webhook was lost",
		Long: `
Fetches the named notes from SOAPNoteAPI, and stores a note.generated event for each.
Without arguments, or with "-", it reads the ids from standard input, one per line. The handler needs
an api_key.

A note that the store knows is left alone, unless --force is given. Then its upstreams
receive it again: with another event id if its webhook arrived, and with the same one if
it was recovered before. An upstream with the format raw receives no recovered note, since
SOAPNoteAPI did not sign it.`,
		Example: `  caddy scribegate recover soapnoteapi a1b2c3d4-e5f6-7890-abcd-ef1234567890
  caddy scribegate recover soapnoteapi < note-ids.txt`,
		RunE: run(func(cmd *cobra.Command, args []string) error {
			if b.IDs = args; len(args) == 0 || len(args) == 1 && args[0] == "-" {
				if len(args) == 0 && terminal.IsTerminal(cmd.InOrStdin()) {
					return errors.New("name the notes to recover, or write their ids to standard input, one per line")
				}
				var err error
				if b.IDs, err = readIDs(cmd.InOrStdin()); err != nil {
					return err
				}
			}
			if len(b.IDs) == 0 {
				return errors.New("name the notes to recover; standard input has none")
			}
			return recoverResults(cmd, b, true)
		}),
	}
	cmd.Flags().StringVar(&b.Source, "source", "", "the source of the handler, if several have an api_key")
	cmd.Flags().BoolVar(&b.Force, "force", false, "also notes that the store knows")
	return addAddress(cmd)
}

// readIDs reads ids, one per line, and skips empty lines.
func readIDs(r io.Reader) (ids []string, err error) {
	lines := bufio.NewScanner(io.LimitReader(r, maxFile))
	for lines.Scan() {
		if id := strings.TrimSpace(lines.Text()); id != "" {
			ids = append(ids, id)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading ids from standard input: %w", err)
	}
	return ids, nil
}

// recoverResults recovers or prunes. In a terminal it asks for confirmation before it
// deletes anything, unless yes is set.
func recoverResults(cmd *cobra.Command, b admin.RecoverRequest, yes bool) error {
	work := changing(admin.RouteRecover, "recovering", "recovered")
	if b.Prune != nil {
		work = changing(admin.RouteRecover, "deleting at Soniox", "deleted")
	}
	var done admin.Recovered
	if ask := terminal.Questioner(cmd); ask != nil && b.Prune != nil && !yes && !b.DryRun {
		preview := b
		preview.DryRun = true
		if err := work.do(cmd, preview, &done); err != nil {
			return err
		}
		if len(done.Pruned) > 0 && !ask("Delete "+wording.Counted(len(done.Pruned), "transcription")+" with the files at Soniox permanently?") {
			return errors.New("not confirmed: nothing was deleted")
		}
		done = admin.Recovered{}
	}
	if err := work.do(cmd, b, &done); err != nil {
		return err
	}
	if err := printRecovered(cmd, b, done); err != nil {
		return err
	}
	if len(done.Failed) > 0 {
		return fmt.Errorf("%s could not be %s; the reasons are above", wording.Counted(len(done.Failed), resultOf(b)), action(b))
	}
	return nil
}

// action returns what a recovery does, as a participle.
func action(b admin.RecoverRequest) string {
	if b.Prune != nil {
		return "deleted"
	}
	return "recovered"
}

// resultOf returns the name of what a recovery is about.
func resultOf(b admin.RecoverRequest) string {
	if b.Provider == admin.RecoverSoniox {
		return "transcription"
	}
	return "note"
}

func printRecovered(cmd *cobra.Command, b admin.RecoverRequest, done admin.Recovered) error {
	if wantsJSON(cmd) {
		return printJSON(cmd, done)
	}
	verb, known, all := action(b), "known to the store", done.Recovered
	if b.Prune != nil {
		all, known = done.Pruned, "kept (their events are not delivered everywhere)"
	}
	if b.DryRun {
		verb = "would be " + verb
	}
	var text strings.Builder
	for _, id := range all {
		_, _ = fmt.Fprintf(&text, "%s  %s\n", id, verb)
	}
	for _, id := range done.Known {
		_, _ = fmt.Fprintf(&text, "%s  %s\n", id, known)
	}
	for _, f := range done.Failed {
		_, _ = fmt.Fprintf(&text, "%s  failed: %s\n", f.ID, f.Reason)
	}
	_, _ = fmt.Fprintf(&text, "%s %s, %d %s, %d failed\n", wording.Counted(len(all), resultOf(b)), verb, len(done.Known), known, len(done.Failed))
	_, err := io.WriteString(cmd.OutOrStdout(), text.String())
	if err != nil {
		return fmt.Errorf("printing the result: %w", err)
	}
	return nil
}
