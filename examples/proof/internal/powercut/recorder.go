package powercut

import (
	"fmt"
	"maps"
	"path/filepath"
	"strconv"
	"strings"
)

// A recorder makes a recording of system calls. It keeps track of the process's file descriptors and of the names of
// files.
type recorder struct {
	rec   *Recording
	root  string
	open  map[int]*handle // by descriptor, for files below root
	names map[int]map[string]int
	sizes map[int]int64
	next  int // number of the next file

	shared map[int]bool // files that are shared memory
}

// sharedSuffix is the suffix of the file with the WAL index, which SQLite's connections share. It is written through
// memory and never synced, and the first connection after a power cut does not use it.
const sharedSuffix = "-shm"

// A handle is an open file. Copies of a descriptor share it.
type handle struct {
	file     int
	position int64
	appends  bool
}

func newRecorder(root string, base *Base) *recorder {
	r := &recorder{
		rec: &Recording{base: base}, root: filepath.Clean(root), open: make(map[int]*handle),
		names: make(map[int]map[string]int), sizes: make(map[int]int64),
	}
	if base == nil {
		base = emptyBase()
	}
	r.next, r.shared = base.next, maps.Clone(base.shared)
	for dir, names := range base.names {
		r.names[dir] = maps.Clone(names)
	}
	for file, content := range base.files {
		r.sizes[file] = content.size
	}
	return r
}

// begin implements listener.
func (r *recorder) begin(c *call) error {
	switch c.name {
	case "write", "writev", "sendto":
		if fd, err := c.fd(0); err != nil || r.open[fd] != nil {
			return err
		}
		data, err := c.data()
		if err != nil {
			return nil //nolint:nilerr // strace could not read the data, so the kernel cannot either
		}
		r.rec.recordTraffic(data, c.start)
	case "close":
		// From here on the descriptor may be another file.
		fd, err := c.fd(0)
		delete(r.open, fd)
		return err
	}
	return nil
}

// finish implements listener.
func (r *recorder) finish(c *call) error {
	if c.failed {
		return nil
	}
	handle, ok := handlers[c.name]
	if !ok {
		return nil
	}
	if err := handle(r, c); err != nil {
		return fmt.Errorf("%s: %w", c.name, err)
	}
	return nil
}

var handlers = map[string]func(*recorder, *call) error{
	"open": openAt(0), "creat": openAt(0), "openat": openAt(1), "openat2": openAt(1),
	"mkdir": makeAt(0), "mkdirat": makeAt(1),
	"unlink": removeAt(0), "unlinkat": removeAt(1), "rmdir": removeAt(0),
	"rename": renameAt(0, 1), "renameat": renameAt(1, 3), "renameat2": renameAt(1, 3),
	"link": linkAt(0, 1), "linkat": linkAt(1, 3), "symlink": rejectPath(1), "symlinkat": rejectPath(2), "truncate": rejectPath(0),

	"write": (*recorder).write, "writev": (*recorder).write, "pwrite64": (*recorder).writeAt,
	"pwritev": (*recorder).rejectFile, "pwritev2": (*recorder).rejectFile, "fallocate": (*recorder).allocate,
	"copy_file_range": (*recorder).rejectCopy, "splice": (*recorder).rejectCopy, "sendfile": (*recorder).rejectFile,
	"lseek": (*recorder).seek, "ftruncate": (*recorder).truncate,
	"fsync": (*recorder).sync, "fdatasync": (*recorder).sync,
	"dup": (*recorder).duplicate, "dup2": (*recorder).duplicate, "dup3": (*recorder).duplicate, "fcntl": (*recorder).control,
	"mmap": (*recorder).mapped,
}

func (c *call) arg(n int) (string, error) {
	if n >= len(c.args) {
		return "", fmt.Errorf("it has no argument %d", n+1)
	}
	return c.args[n], nil
}

func (c *call) number(n int) (int64, error) {
	arg, err := c.arg(n)
	if err != nil {
		return 0, err
	}
	v, err := strconv.ParseInt(arg, 0, 64)
	if err != nil {
		return 0, fmt.Errorf("its argument %d is not a number: %.40s", n+1, arg)
	}
	return v, nil
}

func (c *call) fd(n int) (int, error) {
	v, err := c.number(n)
	return int(v), err
}

// data returns the data that a call was given.
func (c *call) data() ([]byte, error) {
	arg, err := c.arg(1)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(arg, "[") {
		return parseVector(arg)
	}
	return parseString(arg)
}

// written returns the data that a call has written, which may be less.
func (c *call) written() ([]byte, error) {
	data, err := c.data()
	if err != nil {
		return nil, err
	}
	if c.result > int64(len(data)) {
		return nil, fmt.Errorf("it wrote %d bytes, but the log has %d", c.result, len(data))
	}
	return data[:c.result], nil
}

// op records a change that a call made.
func (r *recorder) op(c *call, o Op) error {
	if r.shared[o.File] && (o.Kind == Write || o.Kind == Truncate) {
		return nil
	}
	o.Start, o.End = c.start, c.end
	r.rec.Ops = append(r.rec.Ops, o)
	return nil
}
