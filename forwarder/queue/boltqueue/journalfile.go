package boltqueue

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// The journal's file has a header, in a block of its own, and two segments that
// are written in turn. Each write is of whole entries, one behind the other, and
// begins at a block, so that no block that is on stable storage is written
// again. What follows an entry that is not whole, or not the next, is older than
// the journal's end.
const (
	journalMagic  = "scribegate journal 1\n"
	journalBlock  = 4096
	journalParts  = 2
	entryHeader   = 4 + 4 + 8 // length of the body, checksum, number
	journalSuffix = ".journal"
)

// segmentBytes is the size of a segment: what a few hundred milliseconds of
// storing at full speed take, which is how far the queue file may be behind.
const segmentBytes = 4 << 20

func journalPath(path string) string { return path + journalSuffix }

// A journalFile is the file of a journal, as it is written. The numbers of its
// entries rise by one.
type journalFile struct {
	os      *os.File
	segment int64
	part    int
	at      int64                // where the next write goes, within the part
	last    [journalParts]uint64 // the highest number in each part
}

// createJournal makes a journal's file, with room for all that it may hold, and
// puts it and its name onto stable storage. It takes the place of another.
func createJournal(path string, identity []byte, segment int64) (_ *journalFile, err error) {
	made, err := os.OpenFile(path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600) // the path is the configuration's
	if err != nil {
		return nil, fmt.Errorf("making the journal: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("making the journal: %w", errors.Join(err, made.Close(), os.Remove(made.Name())))
		}
	}()
	header := append([]byte(journalMagic), identity...)
	header = binary.BigEndian.AppendUint32(header, crc32.Checksum(header, castagnoli))
	if _, err := made.Write(append(header, make([]byte, journalBlock-len(header))...)); err != nil {
		return nil, err
	}
	// What has been written before is written again without a change of the
	// file system's own records, which would cost a sync twice its time.
	zeros := make([]byte, 256<<10)
	for left := journalParts * segment; left > 0; left -= int64(len(zeros)) {
		if _, err := made.Write(zeros[:min(left, int64(len(zeros)))]); err != nil {
			return nil, err
		}
	}
	if err := made.Sync(); err != nil {
		return nil, err
	}
	if err := os.Rename(made.Name(), path); err != nil {
		return nil, err
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	return &journalFile{os: made, segment: segment}, nil
}

// fits reports whether a write of so many bytes has room where the last one
// ended.
func (f *journalFile) fits(size int) bool { return f.at+int64(size) <= f.segment }

// turn goes on to the other part, where everything up to its last entry is done.
func (f *journalFile) turn(done uint64) bool {
	other := (f.part + 1) % journalParts
	if f.last[other] > done {
		return false
	}
	f.part, f.at = other, 0
	return true
}

// write puts entries that end with the number given onto stable storage.
func (f *journalFile) write(entries []byte, last uint64) error {
	f.last[f.part] = last
	if _, err := f.os.WriteAt(entries, journalBlock+int64(f.part)*f.segment+f.at); err != nil {
		return err
	}
	f.at = nextBlock(f.at + int64(len(entries)))
	return syncData(f.os)
}

func nextBlock(at int64) int64 { return (at + journalBlock - 1) / journalBlock * journalBlock }

// appendEntry appends an entry: a record and its sealed payload.
func appendEntry(b []byte, number uint64, r *record, sealed []byte) []byte {
	start := len(b)
	b = append(b, make([]byte, entryHeader)...)
	binary.BigEndian.PutUint64(b[start+8:], number)
	coded := r.coded()
	b = appendNumber(b, int64(len(coded)))
	b = append(append(b, coded...), sealed...)
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-entryHeader)) // far below a part's size
	binary.BigEndian.PutUint32(b[start+4:], crc32.Checksum(b[start+8:], castagnoli))
	return b
}

// A journalEntry is an event, or the outcome of an attempt, as the journal holds it.
type journalEntry struct {
	number uint64
	record record
	sealed []byte
}

// parseEntry reads the entry at the front of b, and tells its size; nil says
// that there is none.
func parseEntry(b []byte) (_ *journalEntry, size int) {
	if len(b) < entryHeader {
		return nil, 0
	}
	length := int64(binary.BigEndian.Uint32(b))
	if length == 0 || length > int64(len(b)-entryHeader) {
		return nil, 0
	}
	size = entryHeader + int(length)
	if crc32.Checksum(b[8:size], castagnoli) != binary.BigEndian.Uint32(b[4:]) {
		return nil, 0
	}
	d := decoder{rest: b[entryHeader:size]}
	r, err := decodeRecord(d.take(d.number()))
	if err != nil || r.payload != (len(d.rest) > 0) {
		return nil, 0
	}
	return &journalEntry{number: binary.BigEndian.Uint64(b[8:]), record: *r, sealed: bytes.Clone(d.rest)}, size
}

// parsePart reads the entries of a part that belong together, from its
// beginning.
func parsePart(b []byte) []journalEntry {
	var entries []journalEntry
	for at := 0; at < len(b); {
		e, size := parseEntry(b[at:])
		switch {
		case e != nil && (len(entries) == 0 || e.number == entries[len(entries)-1].number+1):
			entries = append(entries, *e)
			at += size
		case at%journalBlock == 0:
			return entries
		default:
			at = int(nextBlock(int64(at)))
		}
	}
	return entries
}

// errForeignJournal is the error of a journal that belongs to another queue.
var errForeignJournal = errors.New("it belongs to another queue and holds events that may be in none")

// readJournal reads the entries above a number from a queue's journal, in their
// order. Where there is none, there are no entries. Without an identity it reads
// whatever is there. It changes nothing.
func readJournal(path string, identity []byte, done uint64) ([]journalEntry, error) {
	entries, err := readEntries(path, identity)
	if err != nil {
		return nil, fmt.Errorf("reading the journal %s: %w", path, err)
	}
	var above []journalEntry
	for _, e := range entries {
		if e.number > done {
			above = append(above, e)
		}
	}
	return above, nil
}

func readEntries(path string, identity []byte) ([]journalEntry, error) {
	f, err := os.Open(path) // the path is the configuration's
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	if len(b) < journalBlock {
		return nil, errors.New("it is cut short; put back the whole of it, or move it away, with the events that only it holds")
	}
	size := (len(b) - journalBlock) / journalParts
	var parts [journalParts][]journalEntry
	for i := range parts {
		parts[i] = parsePart(b[journalBlock+i*size:][:size])
	}
	if len(parts[0]) > 0 && len(parts[1]) > 0 && parts[1][0].number < parts[0][0].number {
		parts[0], parts[1] = parts[1], parts[0]
	}
	entries := append(parts[0], parts[1]...)
	if len(entries) == 0 {
		return nil, nil
	}
	const header = len(journalMagic) + identitySize
	switch {
	case !bytes.HasPrefix(b, []byte(journalMagic)) || crc32.Checksum(b[:header], castagnoli) != binary.BigEndian.Uint32(b[header:]):
		return nil, errors.New("it is damaged at its beginning; move it away, with the events that only it holds")
	case identity != nil && !bytes.Equal(b[len(journalMagic):header], identity):
		return nil, fmt.Errorf("%w; put that queue's file back, or move this one away", errForeignJournal)
	}
	return entries, nil
}
