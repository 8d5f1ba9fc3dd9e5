package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/internal/wording"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/salvage"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// noFile is what to do for a queue that is not in a file.
const noFile = "a queue in PostgreSQL has no file: copy it with pg_dump, or leave --path out to export from a running gateway"

// dsn matches a path that is the address of a database, and may hold a password.
var dsn = regexp.MustCompile(`^\w+://|(^|\s)(host|hostaddr|port|dbname|user|password|service)\s*=`)

// fromFile exports the events of a file that no process has in use.
func (x *exporter) fromFile(ctx context.Context, path string, given []string) error {
	if dsn.MatchString(path) {
		return errors.New("--path names a file of queue sqlite, and not a database; " + noFile)
	}
	var keys []seal.Key
	for _, v := range given {
		v, err := usableSecretFlag("encryption-key", v)
		if err != nil {
			return err
		}
		key, err := seal.ParseKey(v)
		if err != nil {
			return fmt.Errorf("--encryption-key: %w", err)
		}
		keys = append(keys, key)
	}
	r, err := salvage.OpenReader(path, keys)
	switch {
	case errors.Is(err, queue.ErrBusy):
		return fmt.Errorf("%s is in use by a running Caddy; leave --path out to ask that Caddy, or stop it", path)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w; %s", err, noFile)
	case err != nil:
		return err
	}
	defer func() { _ = r.Close() }() // it was opened for reading only
	filter := salvage.ReadFilter{State: queue.State(x.state), Payloads: x.payloads}
	tally, err := r.Read(ctx, filter, func(f salvage.Found) error {
		return x.print(newExportedEvent(f))
	})
	if err != nil {
		return err
	}
	if !tally.Whole() {
		return errors.New(summary(tally, path))
	}
	return nil
}

func newExportedEvent(f salvage.Found) exportedEvent {
	line := exportedEvent{Event: admin.NewEvent(f.Record, true)}
	if f.RecordDamaged {
		line.Damaged = append(line.Damaged, "record")
	}
	if f.PayloadDamaged {
		line.Damaged = append(line.Damaged, "payload")
	}
	if f.Event != nil {
		// Without its record an event's state is not known: a quarantined one is not an
		// event in JSON.
		quarantined := f.Record.State == queue.Quarantined || (f.RecordDamaged && !json.Valid(f.Event.AppendStructured(nil)))
		p := admin.NewPayload(f.Event, quarantined)
		line.Content = &p
	}
	return line
}

// summary describes the parts of a file that could not be read, and the remedy.
func summary(t salvage.Tally, path string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "exported %s", wording.Counted(t.Events, "event"))
	if t.Partly > 0 {
		fmt.Fprintf(&b, ", %d of them in part: `damaged` in a line names the missing parts", t.Partly)
	}
	if t.Locked > 0 {
		fmt.Fprintf(&b, "; %s cannot be opened: damaged, or sealed with a key that was not given with --encryption-key", wording.Counted(t.Locked, "payload"))
	}
	if t.Gaps > 0 {
		fmt.Fprintf(&b, "; %s of %s cannot be read, and more events may be missing: a backup may have them", wording.Counted(t.Gaps, "part"), path)
	}
	if t.WALDamaged {
		fmt.Fprintf(&b, "; %s-wal is damaged, and the newest changes may be missing", path)
	}
	return b.String()
}
