package powercut

import (
	"cmp"
	"fmt"
	"io"
	"slices"
)

// A Kind is the kind of an Op.
type Kind string

// The kinds of changes to a directory and its files.
const (
	Write    Kind = "write"    // Data of File, at Offset
	Truncate Kind = "truncate" // the size of File, to Size
	Name     Kind = "name"     // File gets a name in Dir
	Unname   Kind = "unname"   // a name in Dir is removed
	Rename   Kind = "rename"   // From in Dir becomes Name, and replaces a file with that name
)

// An Op is a change that the process made. Files and directories are numbered in the order in which they were made. The
// recorded directory is 0.
type Op struct {
	Kind   Kind
	File   int
	Dir    int
	Offset int64
	Data   []byte
	Size   int64
	Name   string
	From   string
	Folder bool // whether the new name is of a directory
	Shared bool // whether the new name is of shared memory, whose content is not recorded

	Start, End int // the moments of its start and end
}

// object returns the file or directory whose sync puts the change onto stable storage.
func (o *Op) object() int {
	if o.Kind == Write || o.Kind == Truncate {
		return o.File
	}
	return o.Dir
}

// A Sync is a sync of a file or a directory that succeeded.
type Sync struct {
	Call string // fsync or fdatasync
	File int

	Start, End int
}

// An Answer acknowledges an event to a provider.
type Answer struct {
	ID string
	At int // the moment at which the process began to write it
}

// A Request delivers an event.
type Request struct {
	Host string // the header field
	ID   string
	At   int // the moment at which the process began to write it
}

// A Recording has what a process did, in order. Moments are numbered from 1 to Length.
type Recording struct {
	Length   int
	Ops      []Op // by Start
	Syncs    []Sync
	Answers  []Answer
	Requests []Request

	base *Base // nil for an empty directory
}

// filesOf returns the numbers of the files that had a name at any time.
func (r *Recording) filesOf(name string) map[int]bool {
	files := make(map[int]bool)
	for i := range r.Ops {
		if o := &r.Ops[i]; (o.Kind == Name || o.Kind == Rename) && o.Name == name {
			files[o.File] = true
		}
	}
	return files
}

// SyncsOf returns a function that reports whether a sync is of a file with this name.
func (r *Recording) SyncsOf(name string) func(Sync) bool {
	files := r.filesOf(name)
	return func(s Sync) bool { return files[s.File] }
}

// Read returns the recording in strace's log. root is the absolute path of the recorded directory, and base its content at
// the start; nil means that it was empty.
func Read(log io.Reader, root string, base *Base) (*Recording, error) {
	r := newRecorder(root, base)
	n, err := readTrace(log, r)
	if err != nil {
		return nil, err
	}
	r.rec.Length = n
	slices.SortStableFunc(r.rec.Ops, func(a, b Op) int { return cmp.Compare(a.Start, b.Start) })
	slices.SortStableFunc(r.rec.Syncs, func(a, b Sync) int { return cmp.Compare(a.End, b.End) })
	if len(r.rec.Ops) == 0 {
		return nil, fmt.Errorf("reading strace's log: nothing in it changed %s", root)
	}
	return r.rec, nil
}
