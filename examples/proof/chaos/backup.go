package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

var backupScenario = scenario{
	name: "backup",
	text: "a backup is made under load and opened by another gateway with its key",
	run:  runBackup,
}

// maxBackupDelay is the maximum time of an answer during a backup: the promised tenth of a second, and a
// reserve for a busy machine.
const maxBackupDelay = time.Second

// runBackup makes backups under load while the upstream is down, kills the gateway, and starts another
// one with each copy. It must deliver every event that was acknowledged before the backup started, once.
func runBackup(ctx context.Context, e *env) (rows []result, err error) {
	r, err := e.newRig(ctx, "ehr")
	if err != nil {
		return nil, err
	}
	defer r.closeInto(&err)
	r.ledger.backend("ehr").stop()
	if err := r.start(ctx, r.caddyfile(options{})); err != nil {
		return nil, err
	}
	b := newBook()
	f := r.fleet()
	f.limit = e.pick(3000, 100_000)
	f.start(ctx, b).done()
	f.limit, f.rate, f.again = 0, 300, true
	l := f.start(ctx, b)
	defer l.stop()
	var copies []backupCopy
	for n := range e.pick(2, 10) {
		c, err := r.backup(ctx, b, filepath.Join(r.dir, fmt.Sprintf("backup-%d.db", n)))
		if err != nil {
			return nil, err
		}
		copies = append(copies, c)
	}
	l.stop()
	if err := r.kill(); err != nil {
		return nil, err
	}
	row := result{fault: "backup under load, opened elsewhere", times: len(copies)}
	var slowest, took time.Duration
	var size int64
	for _, c := range copies {
		one, err := e.restore(ctx, c)
		row.acknowledged, row.delivered, row.lost, row.duplicated = row.acknowledged+one.acknowledged, row.delivered+one.delivered, row.lost+one.lost, row.duplicated+one.duplicated
		row.recovery = max(row.recovery, one.recovery)
		slowest, took, size = max(slowest, c.slowest), max(took, c.took), max(size, c.size)
		if err != nil {
			return []result{row}, err
		}
	}
	row.note = fmt.Sprintf("%s in %.2f s, slowest accept meanwhile %s; %s", mebibytes(size), took.Seconds(), milliseconds(slowest), b.others())
	switch {
	case row.duplicated > 0:
		err = fmt.Errorf("%d deliveries were repeated", row.duplicated)
	case slowest > maxBackupDelay:
		err = fmt.Errorf("a backup delayed an answer for %s", milliseconds(slowest))
	}
	return []result{row}, errors.Join(err, b.only("200"))
}

// A backupCopy is a backup with its key.
type backupCopy struct {
	file, key string
	before    *book // events that were acknowledged before the backup started
	size      int64
	took      time.Duration
	slowest   time.Duration // answer during the backup
}

func (r *rig) backup(ctx context.Context, b *book, file string) (c backupCopy, err error) {
	c = backupCopy{file: file, key: r.keyFile(), before: newBook()}
	for id, upstreams := range b.snapshot() {
		c.before.acknowledge(id, upstreams, false, 0)
	}
	b.slowestSince()
	began := time.Now()
	if _, err := r.command(ctx, "backup", file); err != nil {
		return c, err
	}
	c.took, c.slowest = time.Since(began), b.slowestSince()
	info, err := os.Stat(file)
	if err != nil {
		return c, fmt.Errorf("reading the backup: %w", err)
	}
	c.size = info.Size()
	if info.Mode().Perm() != 0o600 {
		return c, fmt.Errorf("the backup has the mode %s; 0600 is promised", info.Mode())
	}
	if _, err := r.command(ctx, "backup", file); err == nil {
		return c, errors.New("a backup has overwritten an existing file")
	}
	return c, intact(ctx, file)
}

// restore starts another gateway with a copy and its key, and counts its deliveries.
func (e *env) restore(ctx context.Context, c backupCopy) (row result, err error) {
	r, err := e.newRig(ctx, "ehr")
	if err != nil {
		return row, err
	}
	defer r.closeInto(&err)
	for from, to := range map[string]string{c.file: r.queueFile(), c.key: r.keyFile()} {
		content, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to, content, 0o600)
		}
		if err != nil {
			return row, fmt.Errorf("copying the backup: %w", err)
		}
	}
	w := r.ledger.watch(c.before)
	defer w.end()
	if err := r.start(ctx, r.caddyfile(options{})); err != nil {
		return row, fmt.Errorf("with the backup: %w", err)
	}
	recovery, err := r.after(ctx, w.first, "the first delivery of an event in the backup")
	if err != nil {
		return row, err
	}
	row, err = r.settle(ctx, c.before, patience)
	row.recovery = recovery
	if err != nil {
		return row, err
	}
	// Events that were acknowledged during the backup may be in it too.
	if err := eventually(ctx, "an empty queue", func() (bool, error) {
		s, err := r.status(ctx)
		u, _ := s.upstream("ehr")
		return u.Pending == 0, err
	}); err != nil {
		return row, err
	}
	s, err := r.status(ctx)
	u, _ := s.upstream("ehr")
	if err == nil && u.Dead+s.Queue.Unreadable > 0 {
		err = fmt.Errorf("%d events of the backup are dead and %d are unreadable", u.Dead, s.Queue.Unreadable)
	}
	return row, err
}
