package powercut

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

// A State is the directory that a power cut has left.
type State struct {
	disk  *Disk
	names map[int]map[string]int
	steps map[int][]step // the kept changes of each file that are not on stable storage
	paths map[int]string // the path that each file was written to
}

// A step is a write or, without data, a change of the size.
type step struct {
	offset int64 // or the new size
	data   []byte
}

// Cut returns the state that a power cut at the disk's moment leaves. It is valid until the disk advances.
func (d *Disk) Cut(m Manner, random *rand.Rand) *State {
	s := &State{disk: d, names: make(map[int]map[string]int, len(d.names)), steps: make(map[int][]step), paths: make(map[int]string)}
	for dir, names := range d.names {
		s.names[dir] = maps.Clone(names)
	}
	sizes := make(map[int]int64)
	survivals := m.survivals(len(d.pending), random)
	for i, o := range d.pending {
		switch f := survivals[i]; o.Kind {
		case Write:
			s.write(o, f, sizes, random)
		case Truncate:
			if random.Float64() < f.chance {
				s.resize(o.File, o.Size, sizes)
			}
		case Name, Unname, Rename:
			if random.Float64() < f.chance {
				o.applyTo(s.names[o.Dir])
			}
		}
	}
	for _, file := range d.shared {
		s.fillShared(file, random)
	}
	return s
}

// fillShared makes shared memory empty, zeros or random, since it was never synced.
func (s *State) fillShared(file int, random *rand.Rand) {
	const size = 32 << 10 // the unit in which SQLite makes it larger
	switch random.IntN(3) {
	case 0:
	case 1:
		s.steps[file] = []step{{offset: size}}
	case 2:
		s.steps[file] = []step{{data: garbage(size, random)}}
	}
}

func (s *State) size(file int, sizes map[int]int64) int64 {
	if size, ok := sizes[file]; ok {
		return size
	}
	return s.disk.files[file].size
}

func (s *State) resize(file int, size int64, sizes map[int]int64) {
	sizes[file] = size
	s.steps[file] = append(s.steps[file], step{offset: size})
}

// write keeps some sectors of a write. Sectors after the end of the file are kept only if the file has grown.
func (s *State) write(o *Op, f survival, sizes map[int]int64, random *rand.Rand) {
	size, end := s.size(o.File, sizes), o.Offset+int64(len(o.Data))
	if end > size && random.Float64() < f.grown {
		size = end
		s.resize(o.File, size, sizes)
	}
	for from := o.Offset; from < min(end, size); {
		to := min((from/sectorSize+1)*sectorSize, end, size)
		if f.chance >= 1 {
			to = min(end, size)
		}
		data := o.Data[from-o.Offset : to-o.Offset]
		switch {
		case random.Float64() < f.chance:
			s.add(o.File, from, data)
		case f.stale && !s.disk.files[o.File].stored(from) && random.Float64() < 0.5:
			s.add(o.File, from, garbage(len(data), random))
		}
		from = to
	}
}

// add adds a piece of a write. It is joined with the previous piece if it follows it directly.
func (s *State) add(file int, offset int64, data []byte) {
	steps := s.steps[file]
	if n := len(steps); n > 0 && steps[n-1].data != nil && steps[n-1].offset+int64(len(steps[n-1].data)) == offset {
		steps[n-1].data = slices.Concat(steps[n-1].data, data)
		return
	}
	s.steps[file] = append(steps, step{offset: offset, data: data})
}

func garbage(n int, random *rand.Rand) []byte {
	out := make([]byte, (n+7)&^7)
	for i := 0; i < n; i += 8 {
		binary.NativeEndian.PutUint64(out[i:], random.Uint64())
	}
	return out[:n]
}

// copyTo writes a file of the state to an empty file.
func (s *State) copyTo(number int, f file) error {
	if err := s.disk.files[number].copyTo(f); err != nil {
		return err
	}
	for _, st := range s.steps[number] {
		var err error
		if st.data == nil {
			err = f.Truncate(st.offset)
		} else {
			_, err = f.WriteAt(st.data, st.offset)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// WriteTo writes the state to an empty directory.
func (s *State) WriteTo(dir string) error {
	clear(s.paths)
	return s.writeDir(0, dir)
}

func (s *State) writeDir(number int, path string) error {
	for name, below := range s.names[number] {
		path := filepath.Join(path, name)
		if s.names[below] != nil {
			if err := os.Mkdir(path, 0o700); err != nil {
				return err
			}
			if err := s.writeDir(below, path); err != nil {
				return err
			}
			continue
		}
		if err := s.writeFile(below, path); err != nil {
			return err
		}
	}
	return nil
}

func (s *State) writeFile(number int, path string) error {
	if other, ok := s.paths[number]; ok {
		return os.Link(other, path)
	}
	s.paths[number] = path
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(s.copyTo(number, f), f.Close())
}

// Matches returns an error unless the recording produces exactly the content of the directory. If it does, the recording
// is complete.
func (r *Recording) Matches(dir string) error {
	d := NewDisk(r, nil)
	d.Advance(r.Length)
	s := d.Cut(Everything, rand.New(rand.NewPCG(0, 0))) //nolint:gosec // not used
	return s.matches(0, dir)
}

func (s *State) matches(number int, path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return fmt.Errorf("comparing the recording: %w", err)
	}
	if len(entries) != len(s.names[number]) {
		return fmt.Errorf("comparing the recording: %s has %d names, but %d are recorded", path, len(entries), len(s.names[number]))
	}
	for name, below := range s.names[number] {
		path := filepath.Join(path, name)
		if s.names[below] != nil {
			if err := s.matches(below, path); err != nil {
				return err
			}
			continue
		}
		if slices.Contains(s.disk.shared, below) {
			continue
		}
		there, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("comparing the recording: %w", err)
		}
		made := newImage()
		if err := s.copyTo(below, made); err != nil {
			return err
		}
		if !bytes.Equal(there, made.bytes()) {
			return fmt.Errorf("comparing the recording: the content of %s differs from the recorded writes", path)
		}
	}
	return nil
}
