package powercut

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A Base is the content of the directory, on stable storage, at the start of a recording.
type Base struct {
	names  map[int]map[string]int
	files  map[int]*image
	shared map[int]bool
	next   int // number of the next file
}

// ReadBase returns the content of a directory. The directory may change afterwards.
func ReadBase(dir string) (*Base, error) {
	b := emptyBase()
	if err := b.read(0, dir); err != nil {
		return nil, fmt.Errorf("reading the directory before the recording: %w", err)
	}
	return b, nil
}

func emptyBase() *Base {
	return &Base{names: map[int]map[string]int{0: {}}, files: make(map[int]*image), shared: make(map[int]bool), next: 1}
}

func (b *Base) read(number int, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		file := b.next
		b.next++
		b.names[number][e.Name()] = file
		path := filepath.Join(dir, e.Name())
		if e.IsDir() {
			b.names[file] = make(map[string]int)
			if err := b.read(file, path); err != nil {
				return err
			}
			continue
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		b.files[file] = newImage()
		_, _ = b.files[file].WriteAt(content, 0) // an image never returns an error
		b.shared[file] = strings.HasSuffix(e.Name(), sharedSuffix)
	}
	return nil
}
