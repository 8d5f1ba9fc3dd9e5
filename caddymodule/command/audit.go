package command

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/command/internal/terminal"
	"github.com/scribegate/scribegate/caddymodule/internal/chain"
	"github.com/scribegate/scribegate/caddymodule/internal/wording"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/seal"
)

func auditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit verify <file>...",
		Short: "Verifies the audit trail",
	}
	cmd.RunE = run(func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return fmt.Errorf("unknown command %q; see: caddy %s --help", args[0], subcommand(cmd))
		}
		return cmd.Help()
	})
	cmd.AddCommand(auditVerifyCommand())
	return cmd
}

func auditVerifyCommand() *cobra.Command {
	var v auditVerification
	cmd := &cobra.Command{
		Use:   "verify <file>...",
		Short: "Reports whether an audit trail is whole, and if not, where",
		Long: `
Reports whether an audit trail is whole: whether lines were changed, dropped, added,
or cut off at the end. Name all files of the trail, in any order: rotated files too,
compressed with gzip or zstd or not, and those of all nodes. "-" is standard input.
Other lines in the files are skipped.

It asks the running gateway, which has the keys and knows the newest line of each
node. Only hashes of the lines are sent to it. With --path it reads both from a queue
file that no Caddy is using. With --encryption-key and --without-end it needs neither.

It exits with 0 only if the trail is whole.`,
		Example: `  caddy scribegate audit verify /var/log/caddy/scribegate-audit*
  caddy scribegate audit verify --encryption-key '{env.SCRIBEGATE_OLD_KEY}' /var/log/caddy/scribegate-audit*`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("name the files of the audit trail; see: caddy %s --help", subcommand(cmd))
			}
			return nil
		},
		ValidArgsFunction: completeFiles,
		RunE: run(func(cmd *cobra.Command, args []string) error {
			ctx, stop := interruptible(cmd)
			defer stop()
			r, err := v.verify(ctx, cmd, args)
			if err != nil {
				return err
			}
			return printAudit(cmd, r)
		}),
	}
	cmd.Flags().StringVar(&v.path, "path", "", "read the keys and the newest lines from this queue file instead of asking a server; no Caddy may be using it")
	cmd.Flags().StringArrayVar(&v.given, "encryption-key", nil, "a key that made lines and that the gateway has no more; may be repeated; a placeholder keeps it out of the shell's history")
	cmd.Flags().BoolVar(&v.WithoutBeginning, "without-beginning", false, "accept that the oldest lines are missing, since the log deletes old files")
	cmd.Flags().BoolVar(&v.withoutEnd, "without-end", false, "do not compare the end with the newest lines that the store knows")
	cmd.Flags().StringArrayVar(&v.Nodes, "node", nil, "verify only the lines of this node; may be repeated")
	cmd.Flags().StringArrayVar(&v.ignored, "ignore", nil, "a field that the log adds or changes, such as `ts`; may be repeated")
	complete(cmd, "path", completeFiles)
	addAddress(cmd)
	completeNothingElse(cmd)
	return cmd
}

// An auditVerification is what `audit verify` is to do.
type auditVerification struct {
	chain.Options
	path       string
	given      []string
	withoutEnd bool
	ignored    []string

	keys   []seal.AuditKey
	client *adminClient // nil if no server is asked
}

func (v *auditVerification) verify(ctx context.Context, cmd *cobra.Command, files []string) (r chain.Report, err error) {
	if v.path != "" && (cmd.Flags().Changed("address") || cmd.Flags().Changed("config")) {
		return r, errors.New("--path reads a file and --address and --config ask a server; use one or the other")
	}
	keys, err := keyFlags("encryption-key", v.given)
	if err != nil {
		return r, err
	}
	var heads []queue.AuditHead
	switch {
	case v.path != "":
		heads, keys, err = v.fromFile(keys)
	case !v.withoutEnd || len(keys) == 0:
		if v.client, err = newAdminClient(cmd); err != nil {
			return r, err
		}
		defer v.client.close()
		heads, err = v.fromServer(ctx)
	}
	if err != nil {
		return r, err
	}
	for _, k := range keys {
		v.keys = append(v.keys, k.Audit())
	}
	trail := chain.NewTrail(func(proofs []chain.Proof) ([]chain.Verdict, error) { return v.check(ctx, proofs) }, v.ignored)
	for _, name := range files { // after the newest lines are known, so that the files have them
		if err := readTrail(trail, name, cmd.InOrStdin()); err != nil {
			return r, err
		}
	}
	if v.withoutEnd {
		heads = nil
	}
	return trail.Report(heads, v.Options), nil
}

// fromFile returns the newest lines and the keys of a queue file.
func (v *auditVerification) fromFile(keys []seal.Key) ([]queue.AuditHead, []seal.Key, error) {
	r, err := openFile(v.path, keys)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = r.Close() }() // it was opened for reading only
	heads, err := r.AuditHeads()
	if heads == nil {
		heads = []queue.AuditHead{}
	}
	return heads, r.Keys(), err
}

// fromServer returns the newest lines that a running gateway knows.
func (v *auditVerification) fromServer(ctx context.Context) ([]queue.AuditHead, error) {
	answer := admin.AuditHeads{Heads: []queue.AuditHead{}}
	err := v.client.ask(ctx, admin.RouteAudit, &answer)
	if refused, ok := errors.AsType[admin.Error](err); err != nil && ctx.Err() == nil && (!ok || refused.Status == http.StatusServiceUnavailable) {
		err = fmt.Errorf("%w; without a running gateway use --path <queue file>, or --encryption-key <key> --without-end", err)
	}
	return answer.Heads, err
}

// check checks lines by the keys that are at hand, and has the server check the others.
func (v *auditVerification) check(ctx context.Context, proofs []chain.Proof) ([]chain.Verdict, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("verifying the audit trail: %w", err)
	}
	verdicts := make([]chain.Verdict, len(proofs))
	var request admin.AuditVerifyRequest
	var asked []int
	for i, p := range proofs {
		if verdicts[i] = chain.Check(p, v.keys); verdicts[i] == chain.UnknownKey && v.client != nil {
			asked = append(asked, i)
			request.Lines = append(request.Lines, admin.AuditProof{Digest: hex.EncodeToString(p.Digest[:]), Chain: p.Link.String()})
		}
	}
	if len(asked) == 0 {
		return verdicts, nil
	}
	var answer admin.AuditVerified
	if err := v.client.askFor(ctx, admin.RouteVerify, request, &answer); err != nil {
		return nil, err
	}
	if len(answer.Verdicts) != len(asked) {
		return nil, errors.New("the admin API's answer does not have a verdict for each line")
	}
	for i, verdict := range answer.Verdicts {
		verdicts[asked[i]] = chain.Verdict(verdict)
	}
	return verdicts, nil
}

func readTrail(trail *chain.Trail, name string, stdin io.Reader) error {
	if name == "-" {
		return trail.Read("standard input", stdin)
	}
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("reading the audit trail: %w", err)
	}
	defer func() { _ = f.Close() }() // it was for reading only
	return trail.Read(name, f)
}

func printAudit(cmd *cobra.Command, r chain.Report) error {
	if wantsJSON(cmd) {
		if err := printJSON(cmd, r); err != nil {
			return err
		}
	} else if err := printAuditTables(cmd.OutOrStdout(), r); err != nil {
		return err
	}
	if !r.Whole {
		return errNotDone
	}
	return nil
}

func printAuditTables(out io.Writer, r chain.Report) error {
	t := terminal.NewTable(out, terminal.Left("NODE"), terminal.Right("LINES"), terminal.Right("FIRST"), terminal.Right("LAST"), terminal.Left("FROM"), terminal.Left("TO"), terminal.Left("WHOLE"))
	for _, n := range r.Nodes {
		t.Row(terminal.Text(n.Node), terminal.Number(int64(n.Lines)), terminal.Number(n.First), terminal.Number(n.Last), when(n.From), when(n.To),
			terminal.Text(yesNo(n.Whole)).Paint(terminal.Green, n.Whole).Paint(terminal.Red, !n.Whole))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(r.Findings) > 0 {
		_, _ = fmt.Fprintln(out)
		t = terminal.NewTable(out, terminal.Left("FINDING"), terminal.Left("NODE"), terminal.Left("LINES"), terminal.Left("AT"), terminal.Left("DETAILS"))
		for _, f := range r.Findings {
			t.Row(terminal.Text(string(f.Kind)).Paint(terminal.Red, true), terminal.Text(f.Node), terminal.Text(numbers(f.Seq, f.Through)), terminal.Text(placeOf(f.File, f.Line)), terminal.Text(f.Text))
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	if r.FindingsLeftOut > 0 {
		_, _ = fmt.Fprintf(out, "and %d further findings\n", r.FindingsLeftOut)
	}
	if len(r.Notes) > 0 {
		_, _ = fmt.Fprintln(out)
		t = terminal.NewTable(out, terminal.Left("NOTE"), terminal.Left("NODE"), terminal.Left("LINE"), terminal.Left("AT"), terminal.Left("DETAILS"))
		for _, n := range r.Notes {
			t.Row(terminal.Text(n.Kind), terminal.Text(n.Node), terminal.Text(numbers(n.Seq, n.Seq)), terminal.Text(placeOf(n.File, n.Line)), terminal.Text(n.Text))
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	if r.NotesLeftOut > 0 {
		_, _ = fmt.Fprintf(out, "and %d further notes\n", r.NotesLeftOut)
	}
	term := terminal.Of(out)
	verdict := term.Paint("the audit trail is whole", terminal.Green)
	if !r.Whole {
		verdict = term.Paint("the audit trail is not whole", terminal.Red)
	}
	_, _ = fmt.Fprintf(out, "\n%s\n", verdict)
	if !r.EndKnown {
		_, _ = fmt.Fprintln(out, "the end was not compared with the newest lines in the store: lines that were cut off there are not noticed")
	}
	return nil
}

// numbers returns the numbers of some lines.
func numbers(from, through int64) string {
	switch {
	case from == 0:
		return "-"
	case from >= through:
		return strconv.FormatInt(from, 10)
	}
	return fmt.Sprintf("%d to %d", from, through)
}

func placeOf(file string, line int) string {
	if file == "" {
		return "-"
	}
	return fmt.Sprintf("%s:%d", file, line)
}

func when(at time.Time) terminal.Cell {
	if at.IsZero() {
		return terminal.Text("-")
	}
	return terminal.Text(wording.Clock(at))
}
