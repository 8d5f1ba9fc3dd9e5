package powercut

import (
	"fmt"
	"strings"
)

// maxSize is larger than any file, in bytes.
const maxSize = 1 << 50

func (r *recorder) write(c *call) error {
	fd, err := c.fd(0)
	h := r.open[fd]
	if err != nil || h == nil {
		return err
	}
	if h.appends {
		h.position = r.sizes[h.file]
	}
	offset := h.position
	h.position += c.result
	return r.put(c, h, offset)
}

func (r *recorder) writeAt(c *call) error {
	fd, err := c.fd(0)
	h := r.open[fd]
	if err != nil || h == nil {
		return err
	}
	offset, err := c.number(3)
	if err != nil {
		return err
	}
	return r.put(c, h, offset)
}

func (r *recorder) put(c *call, h *handle, offset int64) error {
	data, err := c.written()
	if err != nil || len(data) == 0 {
		return err
	}
	if offset < 0 || offset > maxSize {
		return fmt.Errorf("it writes at the invalid offset %d", offset)
	}
	r.sizes[h.file] = max(r.sizes[h.file], offset+int64(len(data)))
	return r.op(c, Op{Kind: Write, File: h.file, Offset: offset, Data: data})
}

func (r *recorder) truncate(c *call) error {
	fd, err := c.fd(0)
	h := r.open[fd]
	if err != nil || h == nil {
		return err
	}
	size, err := c.number(1)
	if err != nil {
		return err
	}
	if size < 0 || size > maxSize {
		return fmt.Errorf("it sets the invalid size %d", size)
	}
	r.sizes[h.file] = size
	return r.op(c, Op{Kind: Truncate, File: h.file, Size: size})
}

// allocate records a call that makes a file longer. A call that only reserves space changes nothing that a reader
// sees.
func (r *recorder) allocate(c *call) error {
	fd, err := c.fd(0)
	h := r.open[fd]
	if err != nil || h == nil {
		return err
	}
	mode, err := c.arg(1)
	if err != nil || mode == "FALLOC_FL_KEEP_SIZE" {
		return err
	}
	if mode != "0" {
		return fmt.Errorf("it changes file %d in the mode %s, which is not recorded; add this mode to the recorder", h.file, mode)
	}
	offset, err := c.number(2)
	if err != nil {
		return err
	}
	length, err := c.number(3)
	if err != nil {
		return err
	}
	size := offset + length
	if offset < 0 || length < 0 || size < 0 || size > maxSize {
		return fmt.Errorf("it sets the invalid size %d", size)
	}
	if size <= r.sizes[h.file] {
		return nil
	}
	r.sizes[h.file] = size
	return r.op(c, Op{Kind: Truncate, File: h.file, Size: size})
}

func (r *recorder) sync(c *call) error {
	fd, err := c.fd(0)
	h := r.open[fd]
	if err != nil || h == nil {
		return err
	}
	r.rec.Syncs = append(r.rec.Syncs, Sync{Call: c.name, File: h.file, Start: c.start, End: c.end})
	return nil
}

func (r *recorder) seek(c *call) error {
	fd, err := c.fd(0)
	if h := r.open[fd]; err == nil && h != nil {
		h.position = c.result
	}
	return err
}

func (r *recorder) duplicate(c *call) error {
	fd, err := c.fd(0)
	if err != nil {
		return err
	}
	delete(r.open, int(c.result))
	if h := r.open[fd]; h != nil {
		r.open[int(c.result)] = h
	}
	return nil
}

func (r *recorder) control(c *call) error {
	command, err := c.arg(1)
	if err != nil || !strings.HasPrefix(command, "F_DUPFD") {
		return err
	}
	return r.duplicate(c)
}

// mapped rejects files that are written through memory, since the log does not have these writes, unless they are
// SQLite's shared memory.
func (r *recorder) mapped(c *call) error {
	if len(c.args) < 6 {
		return fmt.Errorf("it has %d arguments", len(c.args))
	}
	fd, err := c.fd(4)
	if err != nil || r.open[fd] == nil || r.shared[r.open[fd].file] {
		return err
	}
	if strings.Contains(c.args[2], "PROT_WRITE") && strings.Contains(c.args[3], "MAP_SHARED") {
		return fmt.Errorf("it maps file %d for writing through memory, which cannot be recorded", r.open[fd].file)
	}
	return nil
}

// rejectFile and rejectCopy reject calls whose writes are not recorded. The gateway does not use them.
func (r *recorder) rejectFile(c *call) error { return r.reject(c, 0) }

func (r *recorder) rejectCopy(c *call) error { return r.reject(c, 2) }

func (r *recorder) reject(c *call, arg int) error {
	fd, err := c.fd(arg)
	if err == nil && r.open[fd] != nil {
		return fmt.Errorf("it changes file %d in a way that is not recorded; add this call to the recorder", r.open[fd].file)
	}
	return err
}
