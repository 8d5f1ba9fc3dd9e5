package disk

import (
	"errors"
	"os"
	"syscall"
)

// The positions that lseek finds, see lseek(2).
const (
	seekData = 3
	seekHole = 4
)

// A Range is a part of a file, in bytes. End is the first byte after it.
type Range struct{ Start, End int64 }

// Holes returns the parts of a file that were never written, such as those between the end of
// a truncated file and what is written behind it. A file system that does not record them
// reports none. It must not be called while another goroutine uses the file's position.
func Holes(f *os.File) (holes []Range, err error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	size := info.Size()
	for at := int64(0); at < size; {
		hole, err := syscall.Seek(int(f.Fd()), at, seekHole)
		if err != nil {
			return nil, &os.PathError{Op: "seek", Path: f.Name(), Err: err}
		}
		if hole >= size {
			return holes, nil
		}
		at, err = syscall.Seek(int(f.Fd()), hole, seekData)
		if errors.Is(err, syscall.ENXIO) {
			at, err = size, nil // there is no data behind it
		}
		if err != nil {
			return nil, &os.PathError{Op: "seek", Path: f.Name(), Err: err}
		}
		holes = append(holes, Range{hole, at})
	}
	return holes, nil
}
