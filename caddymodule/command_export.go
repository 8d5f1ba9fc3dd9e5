package caddymodule

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/boltqueue"
)

// exportedEvent is a line of an export: the event as the admin API shows it,
// with its history, and its payload where that was asked for.
type exportedEvent struct {
	eventRecord
	Content *storedPayload `json:"content,omitempty"`

	// What of the event could not be read: "record", "payload". Without its
	// record only what stands in the line is known.
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
Prints a line of JSON for each event in the queue, newest first: what show prints
with --json, its payload with --payloads.

With --path it reads a queue file that no Caddy has in use, also a damaged one, and
brings out what can be read. It writes nothing. Payloads are opened with the key
beside the file, and those given with --encryption-key.

It exits with 0 only when everything was exported. What could not be is counted
at the end.`,
		Example: `  caddy scribegate export --state dead
  caddy scribegate export --payloads --path /var/lib/scribegate/queue.db --encryption-key '{env.SCRIBEGATE_KEY}'`,
		Args: cobra.NoArgs,
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			x.out = cmd.OutOrStdout()
			err := x.check(cmd, path, keys)
			switch {
			case err != nil:
			case path != "":
				err = x.fromFile(cmd, path, keys)
			default:
				err = x.fromServer(cmd)
			}
			if errors.Is(err, syscall.EPIPE) {
				return errNotDone // whoever read it has had enough
			}
			return err
		}),
	}
	cmd.Flags().StringVar(&x.state, "state", "", "only events with a delivery in this state: pending, delivered, dead; or quarantined ones")
	cmd.Flags().BoolVar(&x.payloads, "payloads", false, "export payloads too; the server must allow it, and logs each")
	cmd.Flags().StringVar(&path, "path", "", "read this queue file, which no Caddy may have in use, instead of asking a server")
	cmd.Flags().StringArrayVar(&keys, "encryption-key", nil, "with --path: a key that opens payloads; may be repeated; a placeholder keeps it out of the shell's history")
	return addAddress(cmd)
}

// An exporter prints events.
type exporter struct {
	state    string
	payloads bool
	out      io.Writer

	events, partly int
}

func (x *exporter) check(cmd *cobra.Command, path string, keys []string) error {
	switch queue.State(x.state) {
	case "", queue.Pending, queue.Delivered, queue.Dead, queue.Quarantined:
	default:
		return fmt.Errorf("state %q is unknown; it is pending, delivered, dead or quarantined", x.state)
	}
	switch {
	case cmd.Flags().Changed("path") && path == "":
		return errors.New("--path: it is empty; name a queue file")
	case path != "" && (cmd.Flags().Changed("address") || cmd.Flags().Changed("config")):
		return errors.New("--path reads a file and --address and --config ask a server; give one of them")
	case path == "" && len(keys) > 0:
		return errors.New("--encryption-key goes with --path; a server has its keys")
	case len(keys) > 0 && !x.payloads:
		return errors.New("--encryption-key goes with --payloads; nothing else is sealed")
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
	if len(e.Damaged) > 0 {
		x.partly++
	}
	return nil
}

// fromServer exports the events of a running server, page by page.
func (x *exporter) fromServer(cmd *cobra.Command) error {
	c, err := newAdminClient(cmd)
	if err != nil {
		return err
	}
	defer c.close()
	if x.payloads {
		// No event has this id, so that nothing but the permission is asked for.
		err := c.get(cmd.Context(), adminPrefix+"events/-/payload", new(storedPayload))
		if said, ok := errors.AsType[adminError](err); err != nil && (!ok || said.status != http.StatusNotFound) {
			return err
		}
	}
	query := url.Values{"limit": {strconv.Itoa(maxLimit)}, "history": {"true"}}
	if x.state != "" {
		query.Set("state", x.state)
	}
	for more := true; more; {
		var page eventPage
		if err := c.get(cmd.Context(), adminPrefix+"events?"+query.Encode(), &page); err != nil {
			return err
		}
		for _, e := range page.Events {
			line, err := x.withPayload(cmd, c, e)
			if err == nil {
				err = x.print(line)
			}
			if err != nil {
				return err
			}
		}
		query.Set("cursor", page.NextCursor)
		more = page.NextCursor != ""
	}
	if x.partly > 0 {
		return fmt.Errorf("exported %d events, %d of them in part: their payloads could not be read", x.events, x.partly)
	}
	return nil
}

// withPayload asks for an event's payload. One that has gone since the event was
// listed is none.
func (x *exporter) withPayload(cmd *cobra.Command, c *adminClient, e eventRecord) (exportedEvent, error) {
	line := exportedEvent{eventRecord: e}
	if !x.payloads || !e.Payload {
		return line, nil
	}
	p := new(storedPayload)
	err := c.get(cmd.Context(), adminPrefix+"events/"+url.PathEscape(e.ID)+"/payload", p)
	if err == nil {
		line.Content = p
		return line, nil
	}
	said, ok := errors.AsType[adminError](err)
	switch {
	case ok && (said.status == http.StatusNotFound || said.status == http.StatusConflict):
		line.Payload = false
	case ok && said.status == http.StatusInternalServerError:
		line.Damaged = []string{"payload"}
	default:
		return line, err
	}
	return line, nil
}

// fromFile exports the events of a file that nobody has in use.
func (x *exporter) fromFile(cmd *cobra.Command, path string, given []string) error {
	var keys []boltqueue.Key
	for _, v := range given {
		v, err := secretFlag("encryption-key", v)
		if err != nil {
			return err
		}
		key, err := boltqueue.ParseKey(v)
		if err != nil {
			return fmt.Errorf("--encryption-key: %w", err)
		}
		keys = append(keys, key)
	}
	r, err := boltqueue.OpenReader(path, keys)
	if err != nil {
		if errors.Is(err, queue.ErrBusy) {
			return fmt.Errorf("%s is in use; leave --path out, so that the Caddy that has it is asked, or stop that one", path)
		}
		return err
	}
	defer func() { _ = r.Close() }() // it was for reading only
	filter := boltqueue.ReadFilter{State: queue.State(x.state), Payloads: x.payloads}
	tally, err := r.Read(cmd.Context(), filter, func(f boltqueue.Found) error {
		return x.print(newExportedEvent(f))
	})
	if err != nil {
		return err
	}
	if !tally.Whole() {
		return errors.New(told(tally, path))
	}
	if tally.Damaged > 0 || tally.Displaced > 0 {
		_, _ = fmt.Fprintln(cmd.ErrOrStderr(), "Warning:", told(tally, path))
	}
	return nil
}

func newExportedEvent(f boltqueue.Found) exportedEvent {
	line := exportedEvent{eventRecord: newEventRecord(f.Record, true)}
	if f.RecordLost {
		line.Damaged = append(line.Damaged, "record")
	}
	if f.PayloadLost {
		line.Damaged = append(line.Damaged, "payload")
	}
	if f.Event != nil {
		// An event that has lost its record does not say whether it is one.
		quarantined := f.Record.Quarantined || (f.RecordLost && !json.Valid(f.Event.AppendStructured(nil)))
		p := newPayload(f.Event, quarantined)
		line.Content = &p
	}
	return line
}

// told says in words what was read of a damaged file.
func told(t boltqueue.Tally, path string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "exported %d events", t.Events)
	if t.Partly > 0 {
		fmt.Fprintf(&b, ", %d of them in part", t.Partly)
	}
	if t.Lost > 0 {
		fmt.Fprintf(&b, "; %d could not be read", t.Lost)
	}
	if t.Displaced > 0 {
		fmt.Fprintf(&b, "; %d may be told as they were before their last attempts", t.Displaced)
	}
	if t.Uncertain {
		b.WriteString("; more may be missing, and what was changed last may be told as it was before")
	}
	if t.Locked > 0 {
		fmt.Fprintf(&b, "; %d payloads are damaged or sealed with a key that was not given", t.Locked)
	}
	if t.Damaged > 0 {
		fmt.Fprintf(&b, " (%d pages of %s are damaged)", t.Damaged, path)
	}
	return b.String()
}
