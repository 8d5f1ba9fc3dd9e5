package boltqueue

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier/event"
)

// A Reader brings out what can be read of a queue file that nobody has in use,
// also where the file is damaged. It writes nothing, neither to the file nor
// beside it.
type Reader struct {
	pager

	path  string
	keys  []Key
	lock  *file // nil where bbolt cannot open the file, and so nobody else can
	metas []meta
}

// A ReadFilter says what a Reader is to bring out.
type ReadFilter struct {
	State    queue.State // "" is any
	Payloads bool        // whether payloads are opened as well
}

// A Found is an event that a Reader has brought out.
type Found struct {
	Record queue.Record
	Event  *event.Event // nil unless it was asked for, is kept and can be opened

	// What of the event could not be read. Without its record only the id and
	// the time of receipt are known, and what the payload says if that was
	// opened.
	RecordLost  bool
	PayloadLost bool

	// The record was found outside of its place and may be an older one, as it
	// was before the last attempts.
	Displaced bool
}

// A Tally counts what a Reader has read.
type Tally struct {
	Events    int  // brought out
	Partly    int  // of them, those of which something could not be read
	Displaced int  // of them, those whose record may be an older one
	Lost      int  // events that could not be brought out
	Locked    int  // payloads that are sealed with a key that was not given
	Damaged   int  // pages of the file that are not as they should be
	Uncertain bool // whether there may have been more events than these
}

// Whole reports whether everything was read.
func (t Tally) Whole() bool { return t.Partly == 0 && t.Lost == 0 && !t.Uncertain }

// OpenReader opens a queue file for reading. The keys, and the one that was made
// beside the file where there is one, open payloads; none is needed to read
// without them. It waits a moment for a file that is in use.
func OpenReader(path string, keys []Key) (*Reader, error) {
	r := &Reader{path: path, keys: keys}
	if err := r.open(); err != nil {
		_ = r.Close() // it was for reading only
		return nil, err
	}
	return r, nil
}

func (r *Reader) open() error {
	info, err := os.Stat(r.path)
	if err != nil {
		return fmt.Errorf("opening the queue file: %w", err)
	}
	switch {
	case !info.Mode().IsRegular():
		return fmt.Errorf("opening the queue file %s: it is no file", r.path)
	case info.Size() == 0:
		return fmt.Errorf("opening the queue file %s: it is empty", r.path)
	}
	if err := r.hold(); err != nil {
		return err
	}
	if r.os, err = os.Open(r.path); err != nil { // the path is the command line's
		return fmt.Errorf("opening the queue file: %w", err)
	}
	if info, err = r.os.Stat(); err != nil {
		return fmt.Errorf("opening the queue file: %w", err)
	}
	r.size = info.Size()
	var marked bool
	if r.metas, marked = r.findMetas(); !marked {
		return fmt.Errorf("opening the queue file %s: it is no queue file, or is damaged at its beginning; give another path", r.path)
	}
	return r.identify()
}

// hold keeps everybody from writing to the file, by bbolt's own lock. Where
// bbolt refuses the file for what is in it, no Caddy can be using it.
func (r *Reader) hold() (err error) {
	defer faults()()
	defer guard(&err, "opening", r.path)
	for {
		f := &file{path: r.path}
		err := f.open(&bbolt.Options{ReadOnly: true})
		switch {
		case errors.Is(err, bolterrors.ErrTimeout):
			return fmt.Errorf("opening the queue file: %s is in use; ask the Caddy that has it, without a path, or stop that one: %w", r.path, queue.ErrBusy)
		case errors.Is(err, fs.ErrPermission), errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("opening the queue file: %w", err)
		case err != nil:
			return nil
		}
		same, err := f.named()
		if same {
			r.lock = f
			return nil
		}
		if err = errors.Join(err, f.db.Close()); err != nil {
			return fmt.Errorf("opening the queue file %s: %w", r.path, err)
		}
	}
}

// Close lets the file go.
func (r *Reader) Close() error {
	var err error
	if r.os != nil {
		err = r.os.Close()
	}
	if r.lock != nil {
		err = errors.Join(err, r.lock.db.Close())
	}
	return err
}

// identify returns an error where the file says that it is not a queue of this
// format. A file that is too damaged to say so is taken for one.
func (r *Reader) identify() error {
	var refused error
	for _, m := range r.metas {
		d := r.reading(context.Background())
		found, whole := d.trees(m.root)
		var format string
		d.walkBucket(found, bucketMeta, func(e element) {
			if string(e.key) == formatKey {
				format = string(d.bytes(e))
			}
		})
		switch {
		case format == formatValue: // also where only the state before the last says so
			return nil
		case refused != nil || !whole:
		case len(found) == 0:
			return nil // its making was cut short
		case strings.HasPrefix(format, formatName):
			refused = fmt.Errorf("opening the queue file %s: it is of format %q and this version reads %q; read it with the version that wrote it", r.path, format, formatValue)
		case found[bucketEvents] == (tree{}):
			refused = fmt.Errorf("opening the queue file %s: it belongs to another program; give another path", r.path)
		}
	}
	return refused
}

// Read calls visit with each event, the newest first, until visit returns an
// error, which it returns. Where payloads are asked for and no key opens any of
// them, that is an error before the first.
func (r *Reader) Read(ctx context.Context, f ReadFilter, visit func(Found) error) (Tally, error) {
	d := r.reading(ctx)
	d.filter = f
	d.find()
	if err := ctx.Err(); err != nil {
		return Tally{}, fmt.Errorf("reading the queue file %s: %w", r.path, err)
	}
	if err := d.findUnstored(); err != nil {
		return Tally{}, err
	}
	if f.Payloads {
		if err := d.unlock(); err != nil {
			return Tally{}, err
		}
	}
	if d.suspicious() {
		d.salvage()
	}
	err := d.tellUnstored(visit)
	if err == nil {
		err = d.tell(visit)
	}
	d.tally.Damaged = len(d.damaged)
	if err == nil {
		err = ctx.Err()
	}
	return d.tally, err
}
