package crash

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/await"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/gateway"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/ledger"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/scenario"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/table"
)

// Backup opens backups in another gateway.
var Backup = scenario.Scenario{
	Name: "backup",
	Text: "a backup is made under load and opened by another gateway with its key",
	Run:  runBackup,
}

// maxBackupDelay is the maximum time of an answer during a backup: the promised tenth of a second, and a
// reserve for a busy machine.
const maxBackupDelay = time.Second

// runBackup makes backups under load while the upstream is down, kills the gateway, and starts another
// one with each copy. It must deliver every event that was acknowledged before the backup started, once.
func runBackup(ctx context.Context, e *scenario.Env) (rows []table.Row, err error) {
	r, err := e.NewRig(ctx, "ehr")
	if err != nil {
		return nil, err
	}
	defer r.CloseInto(&err)
	r.Ledger.Backend("ehr").Stop()
	if err := r.Start(ctx, r.Caddyfile(gateway.Options{})); err != nil {
		return nil, err
	}
	b := ledger.NewBook()
	f := r.Fleet()
	f.Limit = e.Pick(3000, 100_000)
	f.Start(ctx, b).Done()
	f.Limit, f.Rate, f.Again = 0, 300, true
	l := f.Start(ctx, b)
	defer l.Stop()
	var copies []backupCopy
	for n := range e.Pick(2, 10) {
		c, err := backup(ctx, r, b, filepath.Join(r.Dir, fmt.Sprintf("backup-%d.db", n)))
		if err != nil {
			return nil, err
		}
		copies = append(copies, c)
	}
	l.Stop()
	if err := r.Kill(); err != nil {
		return nil, err
	}
	row := table.Row{Fault: "backup under load, opened elsewhere", Times: len(copies)}
	var slowest, took time.Duration
	var size int64
	for _, c := range copies {
		one, err := restore(ctx, e, c)
		row.Acknowledged, row.Delivered, row.Lost, row.Duplicated = row.Acknowledged+one.Acknowledged, row.Delivered+one.Delivered, row.Lost+one.Lost, row.Duplicated+one.Duplicated
		row.Recovery = max(row.Recovery, one.Recovery)
		slowest, took, size = max(slowest, c.slowest), max(took, c.took), max(size, c.size)
		if err != nil {
			return []table.Row{row}, err
		}
	}
	row.Note = fmt.Sprintf("%s in %.2f s, slowest accept meanwhile %s; %s", table.Mebibytes(size), took.Seconds(), table.Milliseconds(slowest), b.Others())
	switch {
	case row.Duplicated > 0:
		err = fmt.Errorf("%d deliveries were repeated", row.Duplicated)
	case slowest > maxBackupDelay:
		err = fmt.Errorf("a backup delayed an answer for %s", table.Milliseconds(slowest))
	}
	return []table.Row{row}, errors.Join(err, b.Only("200"))
}

// A backupCopy is a backup with its key.
type backupCopy struct {
	file, key string
	before    *ledger.Book // events that were acknowledged before the backup started
	size      int64
	took      time.Duration
	slowest   time.Duration // answer during the backup
}

func backup(ctx context.Context, r *gateway.Rig, b *ledger.Book, file string) (c backupCopy, err error) {
	c = backupCopy{file: file, key: r.KeyFile(), before: ledger.NewBook()}
	for id, upstreams := range b.Snapshot() {
		c.before.Acknowledge(id, upstreams, false, 0)
	}
	b.SlowestSince()
	began := time.Now()
	if _, err := r.Command(ctx, "backup", file); err != nil {
		return c, err
	}
	c.took, c.slowest = time.Since(began), b.SlowestSince()
	info, err := os.Stat(file)
	if err != nil {
		return c, fmt.Errorf("reading the backup: %w", err)
	}
	c.size = info.Size()
	if info.Mode().Perm() != 0o600 {
		return c, fmt.Errorf("the backup has the mode %s; 0600 is promised", info.Mode())
	}
	if _, err := r.Command(ctx, "backup", file); err == nil {
		return c, errors.New("a backup has overwritten an existing file")
	}
	return c, gateway.Intact(ctx, file)
}

// restore starts another gateway with a copy and its key, and counts its deliveries.
func restore(ctx context.Context, e *scenario.Env, c backupCopy) (row table.Row, err error) {
	r, err := e.NewRig(ctx, "ehr")
	if err != nil {
		return row, err
	}
	defer r.CloseInto(&err)
	for from, to := range map[string]string{c.file: r.QueueFile(), c.key: r.KeyFile()} {
		content, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to, content, 0o600)
		}
		if err != nil {
			return row, fmt.Errorf("copying the backup: %w", err)
		}
	}
	w := r.Ledger.Watch(c.before)
	defer w.End()
	if err := r.Start(ctx, r.Caddyfile(gateway.Options{})); err != nil {
		return row, fmt.Errorf("with the backup: %w", err)
	}
	recovery, err := r.After(ctx, w.First, "the first delivery of an event in the backup")
	if err != nil {
		return row, err
	}
	row, err = r.Settle(ctx, c.before, await.Patience)
	row.Recovery = recovery
	if err != nil {
		return row, err
	}
	// Events that were acknowledged during the backup may be in it too.
	if err := await.Eventually(ctx, "an empty queue", func() (bool, error) {
		s, err := r.Status(ctx)
		u, _ := s.Upstream("ehr")
		return u.Pending == 0, err
	}); err != nil {
		return row, err
	}
	s, err := r.Status(ctx)
	u, _ := s.Upstream("ehr")
	if err == nil && u.Dead+s.Queue.Unreadable > 0 {
		err = fmt.Errorf("%d events of the backup are dead and %d are unreadable", u.Dead, s.Queue.Unreadable)
	}
	return row, err
}
