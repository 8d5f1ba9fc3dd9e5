package powercut

import (
	"io"
	"maps"
	"slices"
)

// pageSize is the size of the pieces in an image. It is a multiple of the sector size, and may differ from the page
// size of the process.
const pageSize = 4096

// An image is the content of a file on stable storage. Parts that were never written, or were truncated, are zeros
// and use no memory.
type image struct {
	size  int64
	pages map[int64]*[pageSize]byte
}

func newImage() *image { return &image{pages: make(map[int64]*[pageSize]byte)} }

func (m *image) clone() *image {
	c := &image{size: m.size, pages: make(map[int64]*[pageSize]byte, len(m.pages))}
	for number, page := range m.pages {
		other := *page
		c.pages[number] = &other
	}
	return c
}

// WriteAt implements io.WriterAt. It makes the file longer if necessary.
func (m *image) WriteAt(data []byte, offset int64) (int, error) {
	m.size = max(m.size, offset+int64(len(data)))
	for rest := data; len(rest) > 0; {
		number, within := offset/pageSize, offset%pageSize
		page := m.pages[number]
		if page == nil {
			page = new([pageSize]byte)
			m.pages[number] = page
		}
		n := copy(page[within:], rest)
		rest, offset = rest[n:], offset+int64(n)
	}
	return len(data), nil
}

// Truncate makes the file longer or shorter.
func (m *image) Truncate(size int64) error {
	for number, page := range m.pages {
		switch start := number * pageSize; {
		case start >= size:
			delete(m.pages, number)
		case start+pageSize > size:
			clear(page[size-start:])
		}
	}
	m.size = size
	return nil
}

// stored reports whether data was written near an offset.
func (m *image) stored(offset int64) bool { return m.pages[offset/pageSize] != nil }

// A file is a file that a state is written to.
type file interface {
	io.WriterAt
	Truncate(size int64) error
}

// copyTo writes the image to an empty file.
func (m *image) copyTo(f file) error {
	if err := f.Truncate(m.size); err != nil {
		return err
	}
	for _, number := range slices.Sorted(maps.Keys(m.pages)) {
		start := number * pageSize
		if _, err := f.WriteAt(m.pages[number][:min(pageSize, m.size-start)], start); err != nil {
			return err
		}
	}
	return nil
}

// bytes returns the whole content.
func (m *image) bytes() []byte {
	out := make([]byte, m.size)
	for number, page := range m.pages {
		copy(out[number*pageSize:], page[:])
	}
	return out
}
