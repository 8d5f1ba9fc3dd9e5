package salvage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/disk"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// Rebuilt counts the events that a new file has from a damaged store, and the lost
// ones.
type Rebuilt struct {
	Kept string // the path of the damaged file

	Events         int // in the new file
	Unrouted       int // number of those whose upstreams are unknown
	WithoutPayload int // number of those whose payload is lost
	Partly         int // number of those whose record has lost another part
	Locked         int // lost: they have no record, and no key opens the payload
	Lost           int // lost while they waited
	Traces         int // lost after they were delivered
	Gaps           int // unreadable pages of records
}

func (r *Rebuilt) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d events are in it", r.Events)
	for _, part := range []struct {
		n    int
		what string
	}{
		{r.Unrouted, "of them are unrouted, since their upstreams are unknown: replay them"},
		{r.WithoutPayload, "of them have lost their payload"},
		{r.Partly, "of them have lost a part of their record, such as attempts"},
		{r.Locked, "payloads cannot be opened and are lost"},
		{r.Lost, "events that waited are lost"},
		{r.Traces, "traces of events that had been delivered are lost"},
		{r.Gaps, "pages of records could not be read"},
	} {
		if part.n > 0 {
			fmt.Fprintf(&b, ", %d %s", part.n, part.what)
		}
	}
	return b.String()
}

// Rebuild replaces a damaged store by a new file with all readable content. The store
// must be locked, and no process may have it open. keys and the automatic key open
// payloads whose records are lost. accept is called with the number of payloads by key,
// and returns an error if some of them cannot be opened. After any error, nothing is
// replaced.
func Rebuild(ctx context.Context, path string, keys []seal.Key, now time.Time, accept func(sealed map[seal.Fingerprint]int64) error) (_ *Rebuilt, err error) {
	m, err := openImage(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	c, err := readContents(ctx, path, m)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	c.rebuilding = true
	if own, err := seal.ReadFile(path + disk.Key); err == nil {
		keys = append(slices.Clip(keys), own)
	}
	if len(keys) > 0 {
		if c.ring, err = seal.NewRing(keys); err != nil {
			return nil, err
		}
	}
	temp, err := disk.CreateTemp(path, disk.NewFile)
	if err != nil {
		return nil, err
	}
	defer os.Remove(temp.Name())
	r := &rebuilding{ctx: ctx, path: path, from: c, counts: make(policy.Counts), now: policy.Nanos(now)}
	if err := errors.Join(r.copy(temp.Name()), temp.Sync(), temp.Close()); err != nil {
		return nil, err
	}
	if sealed := r.counts.Keys(); len(sealed) > 0 {
		if err := accept(sealed); err != nil {
			return nil, err
		}
	}
	r.Lost, r.Traces, r.Gaps = c.lost, c.traces, c.gaps
	if r.Events == 0 && r.Locked+r.Lost+r.Traces+r.Gaps > 0 {
		return nil, ErrNothing
	}
	r.Kept, err = disk.Replace(path, temp.Name())
	return &r.Rebuilt, err
}
