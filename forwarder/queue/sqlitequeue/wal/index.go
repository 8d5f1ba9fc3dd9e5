package wal

import (
	"encoding/binary"
	"fmt"
	"io"
)

// An Index is what a database's shared-memory file says of the WAL. SQLite writes it
// under its locks, whichever process makes a checkpoint.
type Index struct {
	Generation uint32 // one more each time that the WAL is written from its beginning
	Frames     uint32
	Copied     uint32 // of the frames, those that a checkpoint has copied to the main file
	Attempted  uint32 // of the frames, those that a checkpoint has copied or is copying
}

// The offsets of the fields, see https://sqlite.org/walformat.html. All but the salt are
// in the machine's byte order.
const (
	indexFrames    = 16
	indexSalt      = 32
	indexCopied    = 96
	indexAttempted = 128
	indexSize      = 136
)

// ReadIndex reads a shared-memory file.
func ReadIndex(shm io.ReaderAt) (Index, error) {
	var b [indexSize]byte
	if _, err := shm.ReadAt(b[:], 0); err != nil {
		return Index{}, fmt.Errorf("reading the shared-memory file: %w", err)
	}
	return Index{
		Generation: binary.BigEndian.Uint32(b[indexSalt:]),
		Frames:     binary.NativeEndian.Uint32(b[indexFrames:]),
		Copied:     binary.NativeEndian.Uint32(b[indexCopied:]),
		Attempted:  binary.NativeEndian.Uint32(b[indexAttempted:]),
	}, nil
}

// CheckpointSince reports whether another process may have begun a checkpoint since the
// index was as in before. Without one, the WAL begins anew once all of it was copied.
// Committed says that there were commits since, which may have gone to the WAL as it was
// before.
func (x Index) CheckpointSince(before Index, committed bool) bool {
	if x.Generation == before.Generation {
		return x.Attempted > before.Copied
	}
	return before.Copied < before.Frames || x.Generation != before.Generation+1 || x.Attempted > 0 || committed
}

// Size returns the size of a WAL with this many frames.
func Size(frames uint32, pageSize int64) int64 {
	if frames == 0 {
		return 0
	}
	return headerSize + int64(frames)*(frameHeader+pageSize)
}
