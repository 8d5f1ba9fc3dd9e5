package tables

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// CheckHeader returns an error unless the file starts with the header of a store of
// this version or an older one. It does not need an open database.
func CheckHeader(path string) error {
	f, err := os.Open(path) // the path is from the configuration
	if err != nil {
		return fmt.Errorf("opening the store: %w", err)
	}
	defer f.Close()
	var header [100]byte
	if _, err := io.ReadFull(f, header[:]); err != nil || !bytes.HasPrefix(header[:], []byte("SQLite format 3\x00")) {
		return Refuse(path, "it is not a SQLite database, or its header is damaged; use another path, or restore it")
	}
	if binary.BigEndian.Uint32(header[68:]) != applicationID {
		return errForeign(path)
	}
	return nil
}

// ErrOtherProgram means that the database is not a store.
var ErrOtherProgram = errors.New("it is the database of another program")

func errForeign(path string) error {
	return Refuse(path, "%w; use another path", ErrOtherProgram)
}

// Refuse returns the error for a file that cannot be opened, with the reason.
func Refuse(path, reason string, args ...any) error {
	return fmt.Errorf("opening %s: %w (nothing has been changed; to see what can be read: caddy scribegate export --path %[1]s)", path, fmt.Errorf(reason, args...))
}

// offsetPages is the offset of the number of pages in page 1, see
// https://sqlite.org/fileformat2.html.
const offsetPages = 28

// PageCount returns the number of pages in the header of a main file.
func PageCount(main io.ReaderAt) (int64, error) {
	var pages [4]byte
	_, err := main.ReadAt(pages[:], offsetPages)
	return int64(binary.BigEndian.Uint32(pages[:])), err
}
