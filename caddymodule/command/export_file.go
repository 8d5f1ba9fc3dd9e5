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
const noFile = "a queue in PostgreSQL has no file: copy it with pg_dump, or leave --path out to ask a running gateway"

// dsn matches a path that is the address of a database, and may hold a password.
var dsn = regexp.MustCompile(`^\w+://|(^|\s)(host|hostaddr|port|dbname|user|password|service)\s*=`)

// fromFile exports the events of a file that no process has in use.
func (x *exporter) fromFile(ctx context.Context, path string, given []string) error {
	keys, err := keyFlags("encryption-key", given)
	if err != nil {
		return err
	}
	r, err := openFile(path, keys)
	if err != nil {
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

// openFile opens the file of a queue that no process has in use.
func openFile(path string, keys []seal.Key) (*salvage.Reader, error) {
	if dsn.MatchString(path) {
		return nil, errors.New("--path names a file of queue sqlite, and not a database; " + noFile)
	}
	r, err := salvage.OpenReader(path, keys)
	switch {
	case errors.Is(err, queue.ErrBusy):
		return nil, fmt.Errorf("%s is in use by a running Caddy; leave --path out to ask that Caddy, or stop it", path)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w; %s", err, noFile)
	}
	return r, err
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
