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
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
	"github.com/scribegate/scribegate/forwarder/seal"
	"github.com/scribegate/scribegate/verifier/event"
)

// A Reader reads a store that no process has open, even if it is damaged. It changes
// nothing in the store.
type Reader struct {
	path  string
	keys  []seal.Key
	lock  *disk.FileLock // nil if the directory is not writable
	image *image
}

// A ReadFilter selects the events that a Reader returns.
type ReadFilter struct {
	State    queue.State // "" matches all
	Payloads bool        // whether to open payloads
}

// A Found is an event that a Reader has found.
type Found struct {
	Record queue.Record
	Event  *event.Event // nil unless it was requested, is kept and can be opened

	// RecordDamaged is set if only a part of the record was readable. The other fields
	// are empty.
	RecordDamaged  bool
	PayloadDamaged bool // damaged, or sealed with another key
}

// A Tally counts the results of a Reader.
type Tally struct {
	Events     int  // events found
	Partly     int  // number of those that were only partly readable
	Locked     int  // payloads that no key opens
	Gaps       int  // unreadable parts of the file that may contain further events
	WALDamaged bool // the newest changes may be missing
}

// Whole reports whether everything was read.
func (t Tally) Whole() bool { return t.Partly == 0 && t.Locked == 0 && t.Gaps == 0 && !t.WALDamaged }

// OpenReader opens a store for reading. It opens payloads with the keys, and with the
// automatic key if that is next to the file. If the store is in use, it returns
// queue.ErrBusy.
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
	if errors.Is(err, disk.ErrNoLock) { // so no process can be using the store
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

// AuditHeads returns the newest lines of the audit trail that the store has.
func (r *Reader) AuditHeads() ([]queue.AuditHead, error) {
	heads, err := tables.ReadAudit(r.image.conn)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", r.path, err)
	}
	return heads, nil
}

// Keys returns the keys that open payloads.
func (r *Reader) Keys() []seal.Key { return r.keys }

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

// Read calls found with each event, newest first, until found returns an error. If
// payloads are requested and no key opens any of them, Read returns an error before the
// first event.
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

// ring returns the ring of the keys, or an error if none of them opens any payload.
func (r *Reader) ring(c *contents) (*seal.Ring, error) {
	sealed, err := c.sealers()
	if err != nil || len(sealed) == 0 {
		return nil, err
	}
	const what = "set --encryption-key to the key that sealed the payloads, or omit --payloads"
	if len(r.keys) == 0 {
		return nil, fmt.Errorf("no key is given, and %s is missing; %s", r.path+disk.Key, what)
	}
	ring, err := seal.NewRing(r.keys)
	if err == nil && !slices.ContainsFunc(sealed, ring.Opens) {
		err = errors.New("its payloads are sealed with a key that is not among those given; " + what)
	}
	return ring, err
}
