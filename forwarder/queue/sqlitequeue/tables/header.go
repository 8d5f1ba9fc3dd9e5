package tables

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// CheckHeader returns an error unless the file begins like a store of this version or
// an older one. Nothing has opened it yet.
func CheckHeader(path string) error {
	f, err := os.Open(path) // the path is the configuration's
	if err != nil {
		return fmt.Errorf("opening the store: %w", err)
	}
	defer f.Close()
	var header [100]byte
	if _, err := io.ReadFull(f, header[:]); err != nil || !bytes.HasPrefix(header[:], []byte("SQLite format 3\x00")) {
		return Refuse(path, "it is not a SQLite database, or its beginning is damaged; give another path, or restore it")
	}
	if binary.BigEndian.Uint32(header[68:]) != applicationID {
		return errForeign(path)
	}
	return nil
}

// ErrOtherProgram is the error of a database that is not a store.
var ErrOtherProgram = errors.New("it is the database of another program")

func errForeign(path string) error {
	return Refuse(path, "%w; give another path", ErrOtherProgram)
}

// Refuse returns the error of a file that is not opened, for a reason.
func Refuse(path, reason string, args ...any) error {
	return fmt.Errorf("opening %s: %w (nothing has been changed; to see what can be read: caddy scribegate export --path %[1]s)", path, fmt.Errorf(reason, args...))
}

// offsetPages is where page 1 has the number of pages, see https://sqlite.org/fileformat2.html.
const offsetPages = 28

// PageCount returns how many pages a main file has by its header.
func PageCount(main io.ReaderAt) (int64, error) {
	var pages [4]byte
	_, err := main.ReadAt(pages[:], offsetPages)
	return int64(binary.BigEndian.Uint32(pages[:])), err
}
