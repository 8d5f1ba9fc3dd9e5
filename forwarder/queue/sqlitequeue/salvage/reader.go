package salvage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/disk"
	"github.com/scribegate/scribegate/forwarder/seal"
	"github.com/scribegate/scribegate/verifier/event"
)

// A Reader reads a store that no process has in use, also where it is damaged. It
// changes nothing in the store.
type Reader struct {
	path  string
	keys  []seal.Key
	lock  *disk.FileLock // nil where the directory cannot be written
	image *image
}

// A ReadFilter selects what a Reader returns.
type ReadFilter struct {
	State    queue.State // "" is any
	Payloads bool        // whether payloads are opened
}

// A Found is an event that a Reader has found.
type Found struct {
	Record queue.Record
	Event  *event.Event // nil unless it was asked for, is kept and can be opened

	// RecordDamaged is set where not all of the record could be read: what is not known
	// is empty.
	RecordDamaged  bool
	PayloadDamaged bool // it is damaged, or sealed with a key that was not given
}

// A Tally counts what a Reader has read.
type Tally struct {
	Events     int  // that were found
	Partly     int  // of them, those that could be read in part only
	Locked     int  // payloads that no key opens
	Gaps       int  // parts of the file that cannot be read and may hold further events
	WALDamaged bool // the newest changes may be missing
}

// Whole reports whether everything was read.
func (t Tally) Whole() bool { return t.Partly == 0 && t.Locked == 0 && t.Gaps == 0 && !t.WALDamaged }

// OpenReader opens a store for reading. Payloads are opened with the keys, and with the
// automatic key where that is beside the file. A store that is in use is queue.ErrBusy.
func OpenReader(path string, keys []seal.Key) (_ *Reader, err error) {
	if path, err = disk.ResolvePath(path); err != nil {
		return nil, fmt.Errorf("opening the store: %w", err)
	}
	info, err := os.Stat(path)
	log, logErr := os.Stat(path + disk.WAL)
	logged := logErr == nil && log.Size() > 0
	switch {
	case err != nil && (!logged || !errors.Is(err, fs.ErrNotExist)):
		return nil, fmt.Errorf("opening the store: %w", err)
	case err == nil && !info.Mode().IsRegular():
		return nil, fmt.Errorf("opening the store %s: it is not a regular file", path)
	case err == nil && info.Size() == 0 && !logged:
		return nil, fmt.Errorf("opening the store %s: it is empty", path)
	}
	r := &Reader{path: path, keys: slices.Clone(keys)}
	r.lock, err = disk.Lock(path, 0)
	if errors.Is(err, disk.ErrNoLock) { // and so no process can have it in use
		err = nil
	}
	if err == nil {
		r.image, err = openImage(path)
	}
	if err == nil {
		var own seal.Key
		if own, err = seal.ReadFile(path + disk.Key); err == nil {
			r.keys = append(r.keys, own)
		} else if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// Close closes the files.
func (r *Reader) Close() (err error) {
	if r.image != nil {
		err = r.image.close()
	}
	if r.lock != nil {
		err = errors.Join(err, r.lock.Unlock())
	}
	return err
}

// Read calls found with each event, newest first, until that returns an error. Where
// payloads are asked for and no key opens any of them, it returns an error before the
// first.
func (r *Reader) Read(ctx context.Context, f ReadFilter, found func(Found) error) (t Tally, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("reading %s: %w", r.path, err)
		}
	}()
	c, err := readContents(ctx, r.path, r.image)
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if f.Payloads {
		if c.ring, err = r.ring(c); err != nil {
			return t, err
		}
	}
	t.WALDamaged = r.image.walDamaged()
	err = c.each(ctx, `DESC`, f.Payloads, func(s *salvaged) error {
		if s.SetAside == policy.Tombstone || f.State != "" && !s.damaged && !s.Matches(f.State, "") {
			return nil
		}
		out := Found{Record: s.Event.Record(), RecordDamaged: s.damaged, PayloadDamaged: s.lost}
		if s.unknown {
			out.Record.State = ""
		}
		if f.Payloads {
			out.Event = s.event
			if s.locked {
				out.PayloadDamaged = true
				t.Locked++
			}
		}
		t.Events++
		if out.RecordDamaged || out.PayloadDamaged {
			t.Partly++
		}
		return found(out)
	})
	if t.Gaps = c.gaps; c.lost+c.traces > 0 {
		t.Gaps = max(1, t.Gaps)
	}
	return t, err
}

// ring returns the ring of the keys, or an error where none of them opens any payload.
func (r *Reader) ring(c *contents) (*seal.Ring, error) {
	sealed, err := c.sealers()
	if err != nil || len(sealed) == 0 {
		return nil, err
	}
	const what = "give the key that sealed the payloads with --encryption-key, or leave --payloads out"
	if len(r.keys) == 0 {
		return nil, fmt.Errorf("no key is given, and %s is missing; %s", r.path+disk.Key, what)
	}
	ring, err := seal.NewRing(r.keys)
	if err == nil && !slices.ContainsFunc(sealed, ring.Opens) {
		err = errors.New("its payloads are sealed with a key that is not among those given; " + what)
	}
	return ring, err
}
