package powercut

import (
	"maps"
	"slices"
)

// A Disk has the data on stable storage at a moment of a recording, and the changes that are not on it yet.
type Disk struct {
	rec     *Recording
	counts  func(Sync) bool
	at      int
	ops     int // number of the recording's changes before at
	syncs   int
	names   map[int]map[string]int // by directory
	files   map[int]*image
	shared  []int // files that are shared memory
	pending []*Op // changes not on stable storage, in order of their start
}

// NewDisk returns the disk at the start of the recording. counts reports which syncs have an effect; nil means all
// of them.
func NewDisk(rec *Recording, counts func(Sync) bool) *Disk {
	if counts == nil {
		counts = func(Sync) bool { return true }
	}
	base := rec.base
	if base == nil {
		base = emptyBase()
	}
	d := &Disk{rec: rec, counts: counts, names: make(map[int]map[string]int), files: make(map[int]*image)}
	for dir, names := range base.names {
		d.names[dir] = maps.Clone(names)
	}
	for file, content := range base.files {
		d.files[file] = content.clone()
	}
	for _, file := range slices.Sorted(maps.Keys(base.shared)) {
		if base.shared[file] {
			d.shared = append(d.shared, file)
		}
	}
	return d
}

// Advance moves the disk to a moment, which must not be earlier than the current one. A change that has started by
// then may be on the disk. A sync that has not returned has no effect.
func (d *Disk) Advance(to int) {
	for d.at = to; ; {
		op := d.ops < len(d.rec.Ops) && d.rec.Ops[d.ops].Start <= to
		sync := d.syncs < len(d.rec.Syncs) && d.rec.Syncs[d.syncs].End <= to
		switch {
		case op && (!sync || d.rec.Ops[d.ops].Start <= d.rec.Syncs[d.syncs].End):
			d.begin(&d.rec.Ops[d.ops])
			d.ops++
		case sync:
			d.sync(d.rec.Syncs[d.syncs])
			d.syncs++
		default:
			return
		}
	}
}

// begin adds a change.
func (d *Disk) begin(o *Op) {
	if o.Kind == Name && o.Folder {
		d.names[o.File] = make(map[string]int)
	} else if o.Kind == Name && d.files[o.File] == nil { // otherwise it is another name of the file
		d.files[o.File] = newImage()
		if o.Shared {
			d.shared = append(d.shared, o.File)
		}
	}
	d.pending = append(d.pending, o)
}

// sync puts the changes that ended before the sync started onto stable storage.
func (d *Disk) sync(s Sync) {
	if !d.counts(s) {
		return
	}
	d.pending = slices.DeleteFunc(d.pending, func(o *Op) bool {
		if o.object() != s.File || o.End >= s.Start {
			return false
		}
		d.store(o)
		return true
	})
}

func (d *Disk) store(o *Op) {
	switch o.Kind {
	case Write:
		_, _ = d.files[o.File].WriteAt(o.Data, o.Offset) // an image never returns an error
	case Truncate:
		_ = d.files[o.File].Truncate(o.Size) // likewise
	case Name, Unname, Rename:
		o.applyTo(d.names[o.Dir])
	}
}

// applyTo applies a change to the names of a directory.
func (o *Op) applyTo(names map[string]int) {
	switch o.Kind {
	case Name:
		names[o.Name] = o.File
	case Unname:
		delete(names, o.Name)
	case Rename:
		if names[o.From] == o.File {
			delete(names, o.From)
		}
		names[o.Name] = o.File
	case Write, Truncate: // they do not change names
	}
}
