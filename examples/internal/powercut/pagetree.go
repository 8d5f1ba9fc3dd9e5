package powercut

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// Where bbolt keeps things, in bytes, as version 2 of its format has it. Numbers
// are in the machine's order.
const (
	pageHeader    = 16 // id 8, flags 2, count 2, overflow 4
	elementSize   = 16 // branch: position 4, key 4, page 8; leaf: flags 4, position 4, key 4, value 4
	branchPage    = 0x01
	leafPage      = 0x02
	bucketElement = 0x01
	bucketHeader  = 16 // page 8, sequence 8

	metaMagic    = 0xED0CDAED
	metaVersion  = 2
	metaSize     = pageHeader + 8 // the offset of the size of a page
	metaRoot     = pageHeader + 16
	metaPages    = pageHeader + 40
	metaTx       = pageHeader + 48
	metaChecksum = pageHeader + 56
	metaEnd      = pageHeader + 64
)

// A pageTree walks through a database without bbolt, which trusts what it reads:
// a page that points to one above it has it call itself until the process ends.
type pageTree struct {
	file  io.ReaderAt
	bytes uint64 // of the file
	size  uint64 // of a page
	pages uint64
	seen  map[uint64]bool
}

// walkPages returns an error unless every page that the database uses is where
// it says it is, and is used once. A file without a whole beginning is
// errNoDatabase.
func walkPages(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	t := pageTree{file: f, bytes: uint64(info.Size()), seen: make(map[uint64]bool)}
	root, err := t.meta()
	if err != nil {
		return err
	}
	if t.pages*t.size > t.bytes {
		return fmt.Errorf("the database has %d bytes and its file %d", t.pages*t.size, t.bytes)
	}
	return t.page(root)
}

// meta reads the newest of the whole meta pages and returns the root's page.
func (t *pageTree) meta() (root uint64, err error) {
	var newest uint64
	found := false
	number := binary.NativeEndian
	m := make([]byte, metaEnd)
	for _, at := range []int64{0, pageSize} {
		if _, err := t.file.ReadAt(m, at); err != nil {
			break // the file ends before
		}
		sum := fnv.New64a()
		_, _ = sum.Write(m[pageHeader:metaChecksum]) // a hash takes all
		if number.Uint32(m[pageHeader:]) != metaMagic || number.Uint32(m[pageHeader+4:]) != metaVersion || number.Uint64(m[metaChecksum:]) != sum.Sum64() {
			continue
		}
		if tx := number.Uint64(m[metaTx:]); !found || tx > newest {
			found, newest = true, tx
			root, t.pages, t.size = number.Uint64(m[metaRoot:]), number.Uint64(m[metaPages:]), uint64(number.Uint32(m[metaSize:]))
		}
	}
	if !found {
		return 0, errNoDatabase
	}
	return root, nil
}

func (t *pageTree) page(id uint64) error {
	if id < 2 || id >= t.pages {
		return fmt.Errorf("page %d is used, and the database has %d", id, t.pages)
	}
	if t.seen[id] {
		return fmt.Errorf("page %d is used twice", id)
	}
	t.seen[id] = true
	p := make([]byte, t.size)
	if _, err := t.file.ReadAt(p, int64(id*t.size)); err != nil {
		return err
	}
	if is := binary.NativeEndian.Uint64(p); is != id {
		return fmt.Errorf("page %d says it is page %d", id, is)
	}
	if more := uint64(binary.NativeEndian.Uint32(p[12:])) * t.size; more > 0 {
		if (id+1)*t.size+more > t.bytes {
			return fmt.Errorf("page %d is longer than the file", id)
		}
		p = append(p, make([]byte, more)...)
		if _, err := t.file.ReadAt(p[t.size:], int64((id+1)*t.size)); err != nil {
			return err
		}
	}
	if err := t.elements(p); err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	return nil
}

// elements walks through what a page holds.
func (t *pageTree) elements(p []byte) error {
	number := binary.NativeEndian
	kind, count := number.Uint16(p[8:]), uint64(number.Uint16(p[10:]))
	if kind != branchPage && kind != leafPage {
		return fmt.Errorf("it is of kind %#x", kind)
	}
	if pageHeader+count*elementSize > uint64(len(p)) {
		return errors.New("it has more elements than there is room for")
	}
	for i := range count {
		at := pageHeader + i*elementSize
		e := p[at:]
		if kind == branchPage {
			if at+uint64(number.Uint32(e))+uint64(number.Uint32(e[4:])) > uint64(len(p)) {
				return errors.New("a key in it is not within it")
			}
			if err := t.page(number.Uint64(e[8:])); err != nil {
				return err
			}
			continue
		}
		from := at + uint64(number.Uint32(e[4:])) + uint64(number.Uint32(e[8:]))
		to := from + uint64(number.Uint32(e[12:]))
		if to > uint64(len(p)) {
			return errors.New("a value in it is not within it")
		}
		if number.Uint32(e)&bucketElement != 0 {
			if err := t.bucket(p[from:to]); err != nil {
				return err
			}
		}
	}
	return nil
}

// bucket walks through a bucket, which has a page or is within another's.
func (t *pageTree) bucket(value []byte) error {
	if len(value) < bucketHeader {
		return errors.New("a bucket in it is cut short")
	}
	if root := binary.NativeEndian.Uint64(value); root != 0 {
		return t.page(root)
	}
	if len(value) < bucketHeader+pageHeader {
		return errors.New("a bucket in it is cut short")
	}
	return t.elements(value[bucketHeader:])
}
