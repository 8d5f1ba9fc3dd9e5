package files

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/await"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/gateway"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/ledger"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/load"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/scenario"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/table"
)

// Tamper changes and restores the queue's file.
var Tamper = scenario.Scenario{
	Name: "tamper",
	Text: "the queue's file is emptied, truncated, replaced or removed while the gateway runs, and restored",
	Run:  runTamper,
}

// detectLimit is the maximum time until `health ready` reports the change: the promised 5 s, and a reserve for a busy
// machine.
const detectLimit = 6 * time.Second

// A tampering is a change of the queue's file, and how to undo it.
type tampering struct {
	name string
	do   func(ctx context.Context, t *tampered) error
	undo func(t *tampered) error // nil if the gateway continues with the new file
}

// tamperings are all changes. None of them changes the WAL.
var tamperings = []tampering{
	{"emptied", truncate(0), (*tampered).rewrite},
	{"cut in half", truncate(2), (*tampered).rewrite},
	{"removed, and moved back", moveAway, (*tampered).moveBack},
	{"removed, and a copy put there", remove, (*tampered).putCopy},
	{"replaced by another program's database", putDatabase, (*tampered).putCopy},
	{"replaced by text", putText, (*tampered).putCopy},
	{"replaced by a backup of it", putBackup, nil},
	{"replaced by another gateway's", putOther, nil},
}

// A tampered gateway has events that wait an hour for their retry: its file changes only when new events arrive.
type tampered struct {
	*gateway.Rig
	text  string
	book  *ledger.Book
	other []byte // another gateway's file
	saved gateway.Snapshot

	detected, resumed time.Duration // the longest
}

// together is how many tamperings run at once. Each of them mostly waits. With more, a gateway
// gets so little processor time that a checkpoint is often under way when its file is
// changed, and the change may pass for a part of it.
const together = 2

// runTamper runs all tamperings, some at once.
func runTamper(ctx context.Context, e *scenario.Env) ([]table.Row, error) {
	other, err := otherStore(ctx, e)
	if err != nil {
		return nil, err
	}
	rows, errs := make([]table.Row, len(tamperings)), make([]error, len(tamperings))
	var work sync.WaitGroup
	slots := make(chan struct{}, together)
	for i, how := range tamperings {
		work.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			row, failure := tamper(ctx, e, how, other)
			row.Fault = "file " + how.name
			if failure != nil {
				row.Note = table.Failed(failure)
				errs[i] = fmt.Errorf("%s: %w", row.Fault, failure)
			}
			rows[i] = row
		})
	}
	work.Wait()
	return rows, errors.Join(errs...)
}

// otherStore returns the queue file of another gateway.
func otherStore(ctx context.Context, e *scenario.Env) (file []byte, err error) {
	r, err := e.NewRig(ctx, "ehr")
	if err != nil {
		return nil, err
	}
	defer r.CloseInto(&err)
	if err := r.Start(ctx, r.Caddyfile(gateway.Options{})); err != nil {
		return nil, err
	}
	if err := r.Stop(); err != nil {
		return nil, err
	}
	s, err := r.Snapshot()
	return s.Main, err
}

func tamper(ctx context.Context, e *scenario.Env, how tampering, other []byte) (row table.Row, err error) {
	r, err := e.NewRig(ctx, "ehr")
	if err != nil {
		return row, err
	}
	defer r.CloseInto(&err)
	t := &tampered{Rig: r, book: ledger.NewBook(), other: other, text: r.Caddyfile(gateway.Options{Upstream: map[string]string{"ehr": "retry 1h"}})}
	ehr := r.Ledger.Backend("ehr")
	ehr.Behave(ledger.Behavior{RejectAll: true}) // with 409, which does not pause the upstream
	if err := r.Start(ctx, t.text); err != nil {
		return row, err
	}
	few := r.Fleet()
	few.Limit, few.Padding = 300, 2000
	few.Start(ctx, t.book).Done()
	times := e.Pick(1, 10)
	failure := t.rounds(ctx, how, times)
	if failure == nil {
		ehr.Behave(ledger.Behavior{})
		failure = r.ReplayAll(ctx)
	}
	row, err = r.Settle(ctx, t.book, await.Patience)
	row.Times, row.Recovery = 2*times, t.resumed
	row.Note = t.note(how)
	return row, errors.Join(failure, err, t.book.Only("200", ledger.Duplicate, "503", ledger.Cut, ledger.Refused))
}

func (t *tampered) note(how tampering) string {
	if how.undo == nil {
		return "the gateway continues with it, and takes over the events of the old file; " + t.book.Others()
	}
	return fmt.Sprintf("`health ready` reports it after at most %.1f s; SIGTERM ends the gateway in this state; %s", t.detected.Seconds(), t.book.Others())
}

// rounds changes the file and restores it, alternately while the gateway runs and after it is stopped.
func (t *tampered) rounds(ctx context.Context, how tampering, times int) error {
	for range times {
		if how.undo == nil {
			if err := t.replaced(ctx, how); err != nil {
				return err
			}
			continue
		}
		if err := t.broken(ctx, how); err != nil {
			return err
		}
		if err := errors.Join(how.undo(t), t.resume(ctx, time.Now())); err != nil {
			return fmt.Errorf("with the restored file: %w", err)
		}
		if err := t.broken(ctx, how); err != nil {
			return err
		}
		if err := t.Stop(); err != nil {
			return err
		}
		if err := how.undo(t); err != nil {
			return err
		}
		began := time.Now()
		if err := t.Start(ctx, t.text); err != nil {
			return fmt.Errorf("with the restored file: %w", err)
		}
		if err := t.resume(ctx, began); err != nil {
			return fmt.Errorf("started with the restored file: %w", err)
		}
	}
	return nil
}

// replaced replaces the file with another store under load. The gateway continues with it. No event that waited in the
// old file may be lost, even if the gateway is stopped soon after.
func (t *tampered) replaced(ctx context.Context, how tampering) error {
	l := t.senders().Start(ctx, t.book)
	err := how.do(ctx, t)
	l.Stop()
	if err != nil {
		return err
	}
	if err := t.resume(ctx, time.Now()); err != nil {
		return fmt.Errorf("with another store in place of the file: %w", err)
	}
	if err := t.Stop(); err != nil {
		return err
	}
	began := time.Now()
	if err := t.Start(ctx, t.text); err != nil {
		return err
	}
	return t.resume(ctx, began)
}

// senders returns a fleet that sends each event until it is acknowledged.
func (t *tampered) senders() load.Fleet {
	f := t.Fleet()
	f.Again, f.Rate, f.Senders = true, 100, 4
	return f
}

// broken changes the file, waits until `health ready` reports it, and checks that events are rejected.
func (t *tampered) broken(ctx context.Context, how tampering) (err error) {
	if t.saved, err = t.QuietSnapshot(ctx); err != nil {
		return err
	}
	l := t.senders().Start(ctx, t.book)
	defer l.Stop()
	if err := how.do(ctx, t); err != nil {
		return err
	}
	began := time.Now()
	for {
		notReady, err := t.Ready(ctx)
		if err != nil {
			return err
		}
		took := time.Since(began)
		if took > detectLimit {
			return fmt.Errorf("`health ready` does not report it after %.1f s", took.Seconds())
		}
		if notReady != nil {
			t.detected = max(t.detected, took)
			break
		}
	}
	if err := t.AnswersStatus(ctx); err != nil {
		return err
	}
	_, err = t.ExpectRejected(ctx, t.Fleet().Post(fmt.Sprintf("refused-%d", time.Now().UnixNano()), false))
	return err
}

// resume waits until an event is accepted and `health ready` succeeds.
func (t *tampered) resume(ctx context.Context, began time.Time) error {
	f := t.Fleet()
	c := f.Connect()
	defer c.Close()
	p := f.Post(fmt.Sprintf("resumed-%d", began.UnixNano()), false)
	for {
		answer, outcome := f.Send(ctx, c, p)
		took := time.Since(began)
		if load.Acknowledged(answer) {
			t.book.Acknowledge(answer.ID, nil, answer.Duplicate, 0)
			t.resumed = max(t.resumed, took)
			break
		}
		t.book.Record(outcome)
		if took > scenario.ResumeLimit {
			return fmt.Errorf("accepting has not resumed after %.1f s: %s; the gateway's last lines are:\n%s", took.Seconds(), outcome, t.Proc.Tail(10))
		}
	}
	return await.Eventually(ctx, "`health ready`", func() (bool, error) {
		notReady, err := t.Ready(ctx)
		return notReady == nil, err
	})
}

// truncate returns a tampering that keeps the first 1/parts of the file, or nothing if parts is 0.
func truncate(parts int64) func(context.Context, *tampered) error {
	return func(_ context.Context, t *tampered) error {
		size := int64(0)
		if parts > 0 {
			size = int64(len(t.saved.Main)) / parts
		}
		return os.Truncate(t.QueueFile(), size)
	}
}

func moveAway(_ context.Context, t *tampered) error { return os.Rename(t.QueueFile(), t.away()) }

func remove(_ context.Context, t *tampered) error { return os.Remove(t.QueueFile()) }

func putText(_ context.Context, t *tampered) error { return t.put([]byte("this is not a database\n")) }

func putOther(_ context.Context, t *tampered) error { return t.put(t.other) }

// putDatabase replaces the file with a database of another program.
func putDatabase(ctx context.Context, t *tampered) error {
	db, err := sql.Open("sqlite", t.away())
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "CREATE TABLE event(seq INTEGER PRIMARY KEY); CREATE TABLE meta(id INTEGER PRIMARY KEY)")
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	return t.moveBack()
}

// putBackup replaces the file with a new backup of it.
func putBackup(ctx context.Context, t *tampered) error {
	if _, err := t.Command(ctx, "backup", t.away()); err != nil {
		return err
	}
	return t.moveBack()
}

// rewrite writes the saved content into the file.
func (t *tampered) rewrite() error {
	f, err := os.OpenFile(t.QueueFile(), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(t.saved.Main, 0)
	return errors.Join(err, f.Close())
}

func (t *tampered) away() string { return filepath.Join(t.Dir, "away") }

func (t *tampered) moveBack() error { return os.Rename(t.away(), t.QueueFile()) }

func (t *tampered) putCopy() error { return t.put(t.saved.Main) }

// put replaces the queue's file.
func (t *tampered) put(b []byte) error {
	if err := os.WriteFile(t.away(), b, 0o600); err != nil {
		return err
	}
	return t.moveBack()
}
