package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

var tamperScenario = scenario{
	name: "tamper",
	text: "the queue's file is emptied, cut, replaced or removed under the running gateway, and put back",
	run:  runTamper,
}

// detectLimit is how soon `health ready` has to say what is wrong with the file: the
// 5 s that are promised, and something for a busy machine.
const detectLimit = 6 * time.Second

// A tampering is what is done to the queue's file, and how it is put back.
type tampering struct {
	name string
	do   func(ctx context.Context, t *tampered) error
	undo func(t *tampered) error // nil where the gateway goes on with what is there
}

// tamperings are all there are. The WAL beside the file stays as it is.
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

// A tampered gateway has events that wait for a retry in an hour: what is in its
// file changes only when new ones come.
type tampered struct {
	*rig
	text  string
	book  *book
	other []byte // another gateway's file
	saved snapshot

	detected, resumed time.Duration // the longest
}

// runTamper does all of them at once, since each is mostly waiting.
func runTamper(ctx context.Context, e *env) ([]result, error) {
	other, err := e.otherStore(ctx)
	if err != nil {
		return nil, err
	}
	rows, errs := make([]result, len(tamperings)), make([]error, len(tamperings))
	var work sync.WaitGroup
	for i, how := range tamperings {
		work.Go(func() {
			row, failure := e.tamper(ctx, how, other)
			row.fault = "file " + how.name
			if failure != nil {
				row.note = "FAILED: " + firstLine(failure)
				errs[i] = fmt.Errorf("%s: %w", row.fault, failure)
			}
			rows[i] = row
		})
	}
	work.Wait()
	return rows, errors.Join(errs...)
}

// otherStore makes the file of another gateway.
func (e *env) otherStore(ctx context.Context) (file []byte, err error) {
	r, err := e.newRig(ctx, "ehr")
	if err != nil {
		return nil, err
	}
	defer r.closeInto(&err)
	if err := r.start(ctx, r.caddyfile(options{})); err != nil {
		return nil, err
	}
	if err := r.stop(); err != nil {
		return nil, err
	}
	s, err := r.snapshot()
	return s.main, err
}

func (e *env) tamper(ctx context.Context, how tampering, other []byte) (row result, err error) {
	r, err := e.newRig(ctx, "ehr")
	if err != nil {
		return row, err
	}
	defer r.closeInto(&err)
	t := &tampered{rig: r, book: newBook(), other: other, text: r.caddyfile(options{upstream: map[string]string{"ehr": "retry 1h"}})}
	ehr := r.ledger.backend("ehr")
	ehr.behave(manner{refuseAll: true}) // with 409, which pauses nothing
	if err := r.start(ctx, t.text); err != nil {
		return row, err
	}
	few := r.fleet()
	few.limit, few.padding = 300, 2000
	few.start(ctx, t.book).done()
	times := e.pick(1, 10)
	failure := t.rounds(ctx, how, times)
	if failure == nil {
		ehr.behave(manner{})
		failure = r.replayAll(ctx)
	}
	row, err = r.settle(ctx, t.book, patience)
	row.times, row.recovery = 2*times, t.resumed
	row.note = t.note(how)
	return row, errors.Join(failure, err, t.book.only("200", duplicate, "503", cut, refused))
}

func (t *tampered) note(how tampering) string {
	if how.undo == nil {
		return "goes on with it; what waited in the file before is in it, too; " + t.book.others()
	}
	return fmt.Sprintf("`health ready` says so after at most %.1f s; SIGTERM ends it meanwhile; %s", t.detected.Seconds(), t.book.others())
}

// rounds tampers with the file and puts it back, under the running gateway and
// beyond its end by turns.
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
			return fmt.Errorf("with the file put back: %w", err)
		}
		if err := t.broken(ctx, how); err != nil {
			return err
		}
		if err := t.stop(); err != nil {
			return err
		}
		if err := how.undo(t); err != nil {
			return err
		}
		began := time.Now()
		if err := t.start(ctx, t.text); err != nil {
			return fmt.Errorf("with the file put back: %w", err)
		}
		if err := t.resume(ctx, began); err != nil {
			return fmt.Errorf("started with the file put back: %w", err)
		}
	}
	return nil
}

// replaced has another store take the place of the file under load, with which the
// gateway goes on. Nothing that waited in the file before may be missing, even if the
// gateway is stopped soon.
func (t *tampered) replaced(ctx context.Context, how tampering) error {
	l := t.senders().start(ctx, t.book)
	err := how.do(ctx, t)
	l.stop()
	if err != nil {
		return err
	}
	if err := t.resume(ctx, time.Now()); err != nil {
		return fmt.Errorf("with another store in the file's place: %w", err)
	}
	if err := t.stop(); err != nil {
		return err
	}
	began := time.Now()
	if err := t.start(ctx, t.text); err != nil {
		return err
	}
	return t.resume(ctx, began)
}

// senders send events, each until it is acknowledged.
func (t *tampered) senders() fleet {
	f := t.fleet()
	f.again, f.rate, f.senders = true, 100, 4
	return f
}

// broken tampers with the file, and waits until `health ready` says so. From then on
// events are refused.
func (t *tampered) broken(ctx context.Context, how tampering) (err error) {
	if t.saved, err = t.quietSnapshot(ctx); err != nil {
		return err
	}
	l := t.senders().start(ctx, t.book)
	defer l.stop()
	if err := how.do(ctx, t); err != nil {
		return err
	}
	began := time.Now()
	for {
		says, err := t.ready(ctx)
		if err != nil {
			return err
		}
		took := time.Since(began)
		if took > detectLimit {
			return fmt.Errorf("`health ready` has nothing against it after %.1f s", took.Seconds())
		}
		if says != nil {
			t.detected = max(t.detected, took)
			break
		}
	}
	if err := t.answersStatus(ctx); err != nil {
		return err
	}
	_, err = refuse(ctx, t.rig, t.fleet().post(fmt.Sprintf("refused-%d", time.Now().UnixNano()), false))
	return err
}

// resume waits until an event is accepted and `health ready` has nothing against it.
func (t *tampered) resume(ctx context.Context, began time.Time) error {
	f := t.fleet()
	c := f.connect()
	defer c.close()
	p := f.post(fmt.Sprintf("resumed-%d", began.UnixNano()), false)
	for {
		answer, outcome := f.send(ctx, c, p)
		took := time.Since(began)
		if acknowledged(answer) {
			t.book.acknowledge(answer.ID, nil, answer.Duplicate, 0)
			t.resumed = max(t.resumed, took)
			break
		}
		t.book.note(outcome)
		if took > resumeLimit {
			return fmt.Errorf("accepting has not resumed after %.1f s: %s; the gateway printed last:\n%s", took.Seconds(), outcome, t.proc.tail(10))
		}
	}
	return eventually(ctx, "`health ready`", func() (bool, error) {
		says, err := t.ready(ctx)
		return says == nil, err
	})
}

// truncate leaves the first of so many parts of the file; 0 leaves nothing.
func truncate(parts int64) func(context.Context, *tampered) error {
	return func(_ context.Context, t *tampered) error {
		size := int64(0)
		if parts > 0 {
			size = int64(len(t.saved.main)) / parts
		}
		return os.Truncate(t.queueFile(), size)
	}
}

func moveAway(_ context.Context, t *tampered) error { return os.Rename(t.queueFile(), t.away()) }

func remove(_ context.Context, t *tampered) error { return os.Remove(t.queueFile()) }

func putText(_ context.Context, t *tampered) error { return t.put([]byte("this is not a database\n")) }

func putOther(_ context.Context, t *tampered) error { return t.put(t.other) }

// putDatabase has a database take the file's place that is not a gateway's.
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

// putBackup has a backup that is taken now take the file's place.
func putBackup(ctx context.Context, t *tampered) error {
	if _, err := t.command(ctx, "backup", t.away()); err != nil {
		return err
	}
	return t.moveBack()
}

// rewrite writes into the file what was in it.
func (t *tampered) rewrite() error {
	f, err := os.OpenFile(t.queueFile(), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(t.saved.main, 0)
	return errors.Join(err, f.Close())
}

func (t *tampered) away() string { return filepath.Join(t.dir, "away") }

func (t *tampered) moveBack() error { return os.Rename(t.away(), t.queueFile()) }

func (t *tampered) putCopy() error { return t.put(t.saved.main) }

// put has another file take the place of the queue's.
func (t *tampered) put(b []byte) error {
	if err := os.WriteFile(t.away(), b, 0o600); err != nil {
		return err
	}
	return t.moveBack()
}
