package result

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/result/rest"
	"github.com/scribegate/scribegate/forwarder/result/soniox"
)

// Cleanup are the settings of a stage that deletes results at the provider.
type Cleanup struct {
	API API

	// GiveUp is the time from the first attempt to the last: the event's record is deleted
	// at the queue's history_retention, so it must not be longer. Default: that of a queue
	// without the option.
	GiveUp time.Duration
}

// A CleanupStage deletes transcriptions and their files at Soniox once every upstream has
// accepted the event.
type CleanupStage struct {
	*Stage

	work *cleaning
}

// NewCleanup returns a CleanupStage. It starts at once.
func NewCleanup(q queue.Queue, provider, source string, c Cleanup, o Observer) *CleanupStage {
	w := &cleaning{files: newFileUses()}
	w.set(c)
	return &CleanupStage{newStage(q, queue.Cleanup(provider, source), w, o), w}
}

// Configure replaces the settings of later attempts, and the observer. It probes a paused
// API at once. Attempts in flight end by themselves.
func (s *CleanupStage) Configure(c Cleanup, o Observer) {
	s.work.set(c)
	s.observe(o)
	s.Probe()
}

// cleanupWaits are the waits between attempts to delete: the last one is repeated.
var cleanupWaits = []time.Duration{10 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour}

// giveUpMargin is the time from the end of an event to the first attempt of its cleanup, and
// the time that its last attempt takes: the record of the event must be there still.
const giveUpMargin = time.Minute

// cleaning is the work of a cleanup.
//
// The transcription has to be deleted before the file, and afterwards nothing at Soniox
// says which file was its own. So an attempt that finds a file only notes its id. The note
// is durable before the next attempt begins, and that one deletes both: at whatever point the
// process is killed, the next attempt knows the file.
type cleaning struct {
	settings atomic.Pointer[Cleanup]
	files    *fileUses
}

func (w *cleaning) set(c Cleanup) {
	if c.GiveUp <= 0 {
		c.GiveUp = queue.DefaultSettings().HistoryRetention
	}
	w.settings.Store(&c)
}

// A trail is what is known of a deletion before its next attempt.
type trail struct {
	since time.Time // the first attempt
	file  string    // the transcription's file; "" while it is not known
	tries int       // attempts that failed
}

func (w *cleaning) attempt(ctx context.Context, a *attempt) {
	s := w.settings.Load()
	t := trailOf(a.delivery)
	if t.since.IsZero() {
		t.since = a.outcome.At
	}
	id := a.delivery.Subject
	a.asked = true
	file, err := w.act(ctx, s.API, id, t.file)
	if ctx.Err() != nil {
		return
	}
	now := a.finish()
	o := &a.outcome
	o.Status, a.word, a.err = 200, Done, err
	switch {
	case err != nil:
		t.tries++
		w.failed(a, t, err, now, s.GiveUp)
	case file != "" && t.file == "":
		t.file = file
		o.State, o.Next, o.Result = queue.Pending, now, queue.Success
	default:
		o.State, o.Result = queue.Delivered, queue.Success
	}
	o.Note = t.note()
}

func (w *cleaning) failed(a *attempt, t trail, err error, now time.Time, giveUp time.Duration) {
	o := &a.outcome
	o.State, o.Status = queue.Pending, 0
	next := now.Add(cleanupWaits[min(t.tries, len(cleanupWaits))-1])
	e, ok := errors.AsType[*rest.Error](err)
	if ok {
		o.Status, a.word, a.verdict = e.Status, Word(e.Kind), verdictOn(e)
		if e.RetryAfter.After(next) {
			next = e.RetryAfter
		}
	}
	o.Next, o.Result = next, resultOf(rest.KindOf(err), o.Status)
	if next.Add(giveUpMargin).Sub(t.since) >= giveUp {
		o.State = queue.Dead
	}
}

// act deletes the transcription and its file, if the file is known. If not, it looks the
// transcription up: it deletes one that has no file, else it returns its file.
func (w *cleaning) act(ctx context.Context, api API, id, file string) (found string, err error) {
	if file != "" {
		return file, w.delete(ctx, api, id, file)
	}
	t, err := api.Transcription(ctx, id)
	switch {
	case rest.KindOf(err) == rest.Unknown:
		return "", nil
	case err != nil:
		return "", err
	case t.FileID != "":
		return t.FileID, nil
	}
	return "", absentIsFine(api.DeleteTranscription(ctx, id))
}

// delete deletes a transcription, and its file unless another transcription has it. If one
// has, it looks again afterwards, since both may be deleted at the same time.
func (w *cleaning) delete(ctx context.Context, api API, id, file string) error {
	used, err := w.files.usedByOther(ctx, api, file, id)
	if err != nil {
		return err
	}
	if err := absentIsFine(api.DeleteTranscription(ctx, id)); err != nil {
		return err
	}
	if used {
		if used, err = w.files.usedByOther(ctx, api, file, id); err != nil || used {
			return err
		}
	}
	return absentIsFine(api.DeleteFile(ctx, file))
}

// absentIsFine returns nil for an error that says that something is not there.
func absentIsFine(err error) error {
	if rest.KindOf(err) == rest.Unknown {
		return nil
	}
	return err
}

func (w *cleaning) idle(queue.Delivery) bool { return false }
func (w *cleaning) idles() bool              { return false }
func (w *cleaning) expire(*attempt, error)   {}
func (w *cleaning) needsEvent() bool         { return false }

// note returns the trail as the note of an attempt.
func (t trail) note() string {
	return strings.TrimSpace(fmt.Sprintf("%d %d %s", t.since.Unix(), t.tries, t.file))
}

// trailOf returns the trail in the history of a cleanup.
func trailOf(d queue.Delivery) trail {
	last, ok := newest(d)
	if !ok {
		return trail{}
	}
	var t trail
	var since int64
	if n, _ := fmt.Sscan(last.Note, &since, &t.tries, &t.file); n < 2 || t.file != "" && !soniox.IsID(t.file) {
		return trail{}
	}
	t.since = time.Unix(since, 0)
	return t
}

var _ work = (*cleaning)(nil)
