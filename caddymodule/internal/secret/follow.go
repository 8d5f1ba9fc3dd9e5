package secret

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
)

// RefreshInterval is how often the files of secrets are read. Together with ReadTimeout
// it is well below the 5 s after which a changed file must be in force.
const RefreshInterval = time.Second

// settleTime is the time between two reads of files that have changed.
const settleTime = 10 * time.Millisecond

// A reading is the result of resolving an entry once.
type reading struct {
	value string
	err   error
}

func (a reading) equal(b reading) bool {
	if a.err == nil || b.err == nil {
		return a.err == b.err && a.value == b.value //nolint:errorlint // one of them is nil
	}
	return a.err.Error() == b.err.Error()
}

// follow updates the values from the files until ctx ends.
func (s *List) follow(ctx context.Context) {
	tick := time.NewTicker(RefreshInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.refresh(ctx)
		}
	}
}

// refresh stores the values of files that have changed, all at once: when a secret
// moves from the first entry to the second, every request must see it in the list.
func (s *List) refresh(ctx context.Context) {
	now := s.readFiles(ctx, s.seen)
	if slices.EqualFunc(now, s.seen, reading.equal) {
		return
	}
	// A file may be in the middle of a write. Only values that two reads agree on
	// are used; otherwise the next refresh reads them again.
	select {
	case <-ctx.Done():
		return
	case <-time.After(settleTime):
	}
	if !slices.EqualFunc(now, s.readFiles(ctx, now), reading.equal) || ctx.Err() != nil {
		return
	}
	values := slices.Clone(s.Values())
	for i := range now {
		if now[i].err == nil {
			values[i] = now[i].value
		}
	}
	before, inForce := s.seen, s.Values()
	s.seen = now
	s.values.Store(&values)
	for i := range now {
		if !now[i].equal(before[i]) {
			s.logChange(i, now[i].err, inForce[i], values[i])
		}
	}
}

// readFiles resolves the entries that have files, all at the same time. A file whose
// last read took too long gets little time, so that it does not delay the others.
func (s *List) readFiles(ctx context.Context, last []reading) []reading {
	now := slices.Clone(last)
	var reads sync.WaitGroup
	for i := range s.entries {
		if !s.entries[i].fromFile() {
			continue
		}
		patience := ReadTimeout
		if errors.Is(last[i].err, ErrSlowFile) {
			patience = RefreshInterval / 10
		}
		reads.Go(func() { now[i] = s.read(ctx, i, patience) })
	}
	reads.Wait()
	return now
}

// logChange logs that the files of an entry have changed, or cannot be used.
func (s *List) logChange(i int, err error, before, now string) {
	fields := s.fields(i)
	switch {
	case err != nil && now == "":
		s.options.Logger.Error("a secret's file cannot be used; its entry stays unset", append(fields, zap.Error(err))...)
	case err != nil:
		s.options.Logger.Error("a secret's file cannot be used; its last good value stays in force", append(fields, zap.Error(err))...)
	case now == before:
		s.options.Logger.Info("a secret's file can be used again; its value is unchanged and stays in force", fields...)
	default:
		s.options.Logger.Info("a secret's file has changed; its new value is in force", fields...)
		s.warn(i, now)
	}
}

// fromFiles reports whether an entry has a placeholder for a file.
func (s *List) fromFiles() bool {
	return slices.ContainsFunc(s.entries, entry.fromFile)
}
