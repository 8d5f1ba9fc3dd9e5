package powercut

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"
)

// A Result has the reports of at most maxReports failures. Replay stops after maxFailures, since each may take long.
const (
	maxReports  = 5
	maxFailures = 20
)

// A Result is the result of replayed cuts.
type Result struct {
	Cuts    int
	Failed  int           // number of cuts after which a promise was broken
	Lost    int           // number of lost acknowledged events, over all cuts
	Slowest time.Duration // the longest time to open the queue
	Reports []string      // the first failures
}

// MemoryDir returns a directory in memory if there is one, and otherwise the given one. Power cuts are replayed there,
// since real syncs would only make them slower.
func MemoryDir(otherwise string) string {
	const shared = "/dev/shm"
	if info, err := os.Stat(shared); err == nil && info.IsDir() {
		return shared
	}
	return otherwise
}

// Replay writes what each cut leaves into a new directory below scratch, opens the queue there and checks the promise. It
// stops after too many failures. counts is as in NewDisk. Replay returns an error only if it could not check.
func Replay(ctx context.Context, rec *Recording, p *Promise, cuts []Cut, counts func(Sync) bool, scratch string) (Result, error) {
	cuts = slices.SortedFunc(slices.Values(cuts), func(a, b Cut) int { return cmp.Compare(a.At, b.At) })
	workers := min(runtime.GOMAXPROCS(0), max(1, len(cuts)))
	var mu sync.Mutex
	var total Result
	var errs []error
	var work sync.WaitGroup
	for w := range workers {
		work.Go(func() {
			disk := NewDisk(rec, counts)
			for i := w; i < len(cuts) && ctx.Err() == nil; i += workers {
				mu.Lock()
				enough := total.Failed >= maxFailures
				mu.Unlock()
				if enough {
					return
				}
				f, err := replay(ctx, disk, p, cuts[i], scratch)
				mu.Lock()
				if err != nil {
					errs = append(errs, fmt.Errorf("replaying a power cut at moment %d: %w", cuts[i].At, err))
					mu.Unlock()
					return
				}
				total.add(cuts[i], f)
				mu.Unlock()
			}
		})
	}
	work.Wait()
	if ctx.Err() != nil {
		errs = append(errs, context.Cause(ctx))
	}
	return total, errors.Join(errs...)
}

// WriteCut writes what a cut leaves to an empty directory.
func WriteCut(rec *Recording, c Cut, dir string) error {
	d := NewDisk(rec, nil)
	d.Advance(c.At)
	return d.Cut(c.Manner, c.random()).WriteTo(dir)
}

// random returns the random numbers of a cut, which are the same every time.
func (c Cut) random() *rand.Rand {
	return rand.New(rand.NewPCG(c.Seed, uint64(c.At))) //nolint:gosec // not used for secrets
}

// Add adds the result of other cuts.
func (r *Result) Add(o Result) {
	r.Cuts, r.Failed, r.Lost = r.Cuts+o.Cuts, r.Failed+o.Failed, r.Lost+o.Lost
	r.Slowest = max(r.Slowest, o.Slowest)
	r.Reports = append(r.Reports, o.Reports...)
}

func (r *Result) add(c Cut, f *findings) {
	r.Cuts++
	r.Lost += f.lost
	r.Slowest = max(r.Slowest, f.opened)
	if len(f.reports) == 0 {
		return
	}
	r.Failed++
	if len(r.Reports) < maxReports {
		r.Reports = append(r.Reports, fmt.Sprintf("power cut at moment %d, unsynced data %s (seed %d): %s", c.At, c.Manner, c.Seed, f))
	}
}

func replay(ctx context.Context, disk *Disk, p *Promise, c Cut, scratch string) (f *findings, err error) {
	disk.Advance(c.At)
	dir, err := os.MkdirTemp(scratch, "cut-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := disk.Cut(c.Manner, c.random()).WriteTo(dir); err != nil {
		return nil, err
	}
	return p.check(ctx, disk.rec, c.At, dir)
}
