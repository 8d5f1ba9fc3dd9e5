package wal

import (
	"encoding/binary"
	"fmt"
	"io"
)

// An Index is the state of the WAL according to the database's shared-memory file.
// SQLite writes it under its locks, in every process.
type Index struct {
	Generation uint32 // increased each time the WAL is restarted from its beginning
	Frames     uint32
	Copied     uint32 // number of frames that checkpoints have copied to the main file
	Attempted  uint32 // number of frames that checkpoints have copied or are copying
}

// The offsets of the fields, see https://sqlite.org/walformat.html. All fields except
// the salt are in native byte order.
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

// CheckpointSince reports whether another process may have started a checkpoint since
// the earlier index before. A restarted WAL alone is not a checkpoint if all frames
// were copied before. committed reports whether there were commits since, which may
// have extended the previous WAL.
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
