package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/boltqueue"
)

// fromFile exports the events of a file that nobody has in use.
func (x *exporter) fromFile(ctx context.Context, cmd *cobra.Command, path string, given []string) error {
	var keys []boltqueue.Key
	for _, v := range given {
		v, err := usableSecretFlag("encryption-key", v)
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
			return fmt.Errorf("%s is in use by a running Caddy; leave --path out to ask that Caddy, or stop it", path)
		}
		return err
	}
	defer func() { _ = r.Close() }() // it was for reading only
	filter := boltqueue.ReadFilter{State: queue.State(x.state), Payloads: x.payloads}
	tally, err := r.Read(ctx, filter, func(f boltqueue.Found) error {
		return x.print(newExportedEvent(f))
	})
	if err != nil {
		return err
	}
	if !tally.Whole() {
		return errors.New(summary(tally, path))
	}
	if tally.Damaged > 0 || tally.Displaced > 0 {
		x.meter.wipe()
		_, _ = fmt.Fprintln(cmd.ErrOrStderr(), "Warning:", summary(tally, path))
	}
	return nil
}

func newExportedEvent(f boltqueue.Found) exportedEvent {
	line := exportedEvent{eventRecord: newEventRecord(f.Record, true)}
	if f.RecordLost {
		line.State, line.Damaged = "", append(line.Damaged, "record")
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

// summary describes what could be read of a damaged file.
func summary(t boltqueue.Tally, path string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "exported %d events", t.Events)
	if t.Partly > 0 {
		fmt.Fprintf(&b, ", %d of them in part", t.Partly)
	}
	if t.Lost > 0 {
		fmt.Fprintf(&b, "; %d could not be read", t.Lost)
	}
	if t.Displaced > 0 {
		fmt.Fprintf(&b, "; %d may be shown as they were before their last attempts", t.Displaced)
	}
	if t.Uncertain {
		b.WriteString("; more events may be missing, and the last changes may not be shown")
	}
	if t.Locked > 0 {
		fmt.Fprintf(&b, "; %d payloads are damaged or sealed with a key that was not given", t.Locked)
	}
	if t.Damaged > 0 {
		fmt.Fprintf(&b, " (%d pages of %s are damaged)", t.Damaged, path)
	}
	return b.String()
}
