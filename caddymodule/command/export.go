package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"syscall"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/command/internal/terminal"
	"github.com/scribegate/scribegate/caddymodule/internal/wording"
	"github.com/scribegate/scribegate/forwarder/queue"
)

// exportedEvent is an event that show and export print: that of the admin API, with
// its history, and with its payload if that was requested.
type exportedEvent struct {
	admin.Event
	Content *admin.Payload `json:"content,omitempty"`

	// Damaged has the parts of the event that could not be read: "record", "payload".
	// Without its record, only the fields in the line are known.
	Damaged []string `json:"damaged,omitempty"`
}

func exportCommand() *cobra.Command {
	x := exporter{}
	var path string
	var keys []string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Prints a line of JSON for each event, newest first",
		Long: `
Prints a line of JSON for each event in the queue, newest first. The line is that
of show --json, and has the payload with --payloads. If the output is a file or a
pipe, the command shows its progress in the terminal.

With --path it reads a queue file that no Caddy is using, even a damaged one, and
exports everything that can be read. It changes nothing. Payloads are decrypted
with the key beside the file, and with each --encryption-key.

It exits with 0 only if everything was exported. Otherwise it prints how many
events could not be exported.`,
		Example: `  caddy scribegate export --state dead
  caddy scribegate export --payloads --path /var/lib/scribegate/queue.db --encryption-key '{env.SCRIBEGATE_KEY}'`,
		Args: noArguments,
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			if err := x.check(cmd, path, keys); err != nil {
				return err
			}
			x.out = cmd.OutOrStdout()
			x.meter = terminal.NewMeter(cmd, x.out)
			defer x.meter.Remove()
			ctx, stop := interruptible(cmd)
			defer stop()
			var err error
			if path != "" {
				err = x.fromFile(ctx, path, keys)
			} else {
				err = x.fromServer(ctx, cmd)
			}
			switch {
			case errors.Is(err, syscall.EPIPE):
				return errNotDone // the reader of the output has closed it
			case err != nil && ctx.Err() != nil:
				return fmt.Errorf("stopped: %s were exported", wording.Counted(x.events, "event"))
			}
			return err
		}),
	}
	cmd.Flags().StringVar(&x.state, "state", "", stateUsage)
	cmd.Flags().BoolVar(&x.payloads, "payloads", false, "export payloads too; the server must allow it, and logs each")
	cmd.Flags().StringVar(&path, "path", "", "read this queue file instead of asking a server; no Caddy may be using it")
	cmd.Flags().StringArrayVar(&keys, "encryption-key", nil, "with --path: a key that opens payloads; may be repeated; a placeholder keeps it out of the shell's history")
	complete(cmd, "state", completeStates)
	complete(cmd, "path", completeFiles)
	return addAddress(cmd)
}

// An exporter prints events.
type exporter struct {
	state    string
	payloads bool
	out      io.Writer
	meter    *terminal.Meter

	events, partly int
}

func (x *exporter) check(cmd *cobra.Command, path string, keys []string) error {
	if err := admin.CheckState(queue.State(x.state)); err != nil {
		return err
	}
	switch {
	case path != "" && (cmd.Flags().Changed("address") || cmd.Flags().Changed("config")):
		return errors.New("--path reads a file and --address and --config ask a server; use one or the other")
	case path == "" && len(keys) > 0:
		return errors.New("--encryption-key needs --path; a server has its own keys")
	case len(keys) > 0 && !x.payloads:
		return errors.New("--encryption-key needs --payloads; only payloads are sealed")
	}
	return nil
}

// print prints a line, in one piece.
func (x *exporter) print(e exportedEvent) error {
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return fmt.Errorf("encoding event %s: %w", e.ID, err)
	}
	if _, err := x.out.Write(line.Bytes()); err != nil {
		return fmt.Errorf("printing event %s: %w", e.ID, err)
	}
	x.events++
	x.meter.Show("exporting: %s events", humanize.Comma(int64(x.events)))
	if len(e.Damaged) > 0 {
		x.partly++
	}
	return nil
}

// fromServer exports the events of a running server, page by page.
func (x *exporter) fromServer(ctx context.Context, cmd *cobra.Command) error {
	c, err := newAdminClient(cmd)
	if err != nil {
		return err
	}
	defer c.close()
	if x.payloads {
		if err := c.payloadsAllowed(ctx); err != nil {
			return err
		}
	}
	query := url.Values{"limit": {strconv.Itoa(admin.MaxLimit)}, "history": {"true"}}
	if x.state != "" {
		query.Set("state", x.state)
	}
	for more := true; more; {
		page, err := c.page(ctx, query)
		if err != nil {
			return err
		}
		for _, e := range page.Events {
			line := exportedEvent{Event: e}
			if x.payloads {
				err = c.addPayload(ctx, &line)
			}
			if err == nil {
				err = x.print(line)
			}
			if err != nil {
				return err
			}
		}
		more = page.NextCursor != ""
	}
	if x.partly > 0 {
		return fmt.Errorf("exported %d events, %d of them in part: their payloads could not be read", x.events, x.partly)
	}
	return nil
}

// payloadsAllowed returns an error unless the server returns payloads.
func (c *adminClient) payloadsAllowed(ctx context.Context) error {
	// No event has this id, so only the permission is checked.
	err := c.ask(ctx, admin.RoutePayload.WithID("-"), new(admin.Payload))
	if failed, ok := errors.AsType[admin.Error](err); ok && failed.Status == http.StatusNotFound {
		return nil
	}
	return err
}

// addPayload adds an event's payload, if one is kept. One that cannot be read is
// noted as damaged.
func (c *adminClient) addPayload(ctx context.Context, e *exportedEvent) error {
	if !e.Payload {
		return nil
	}
	p := new(admin.Payload)
	err := c.ask(ctx, admin.RoutePayload.WithID(e.ID), p)
	failed, refused := errors.AsType[admin.Error](err)
	switch {
	case err == nil:
		e.Content = p
	case refused && (failed.Status == http.StatusNotFound || failed.Status == http.StatusConflict):
		e.Payload = false // it has been deleted since the event was listed
	case refused && failed.Status == http.StatusInternalServerError:
		e.Damaged = []string{"payload"}
	default:
		return err
	}
	return nil
}
