package salvage

import (
	"io"
	"io/fs"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
)

// Open implements fs.FS.
func (m *image) Open(name string) (fs.File, error) {
	if name != "store" {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &imageFile{m: m}, nil
}

// An imageFile is an image as an open file, for one connection of SQLite.
type imageFile struct {
	m  *image
	at int64
	b  [tables.PageSize]byte
}

// Seek implements io.Seeker. SQLite only seeks from the beginning.
func (f *imageFile) Seek(offset int64, _ int) (int64, error) {
	f.at = offset
	return offset, nil
}

// Read implements fs.File.
func (f *imageFile) Read(b []byte) (int, error) {
	page := uint32(f.at/tables.PageSize) + 1
	if page > f.m.pages {
		return 0, io.EOF
	}
	if err := f.m.read(page, f.b[:]); err != nil {
		return 0, err
	}
	n := copy(b, f.b[f.at%tables.PageSize:])
	f.at += int64(n)
	return n, nil
}

// Close implements fs.File.
func (*imageFile) Close() error { return nil }

// Stat implements fs.File.
func (f *imageFile) Stat() (fs.FileInfo, error) { return imageInfo{f.m}, nil }

// imageInfo describes an image.
type imageInfo struct{ m *image }

func (imageInfo) Name() string { return "store" }

func (i imageInfo) Size() int64 { return int64(i.m.pages) * tables.PageSize }

func (imageInfo) Mode() fs.FileMode { return 0o400 }

func (imageInfo) ModTime() time.Time { return time.Time{} }

func (imageInfo) IsDir() bool { return false }

func (imageInfo) Sys() any { return nil }

var (
	_ fs.FS     = (*image)(nil)
	_ io.Seeker = (*imageFile)(nil)
)
