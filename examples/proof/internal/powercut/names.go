package powercut

import (
	"fmt"
	"path/filepath"
	"strings"
)

// A place is a name in a directory, and the file with this name.
type place struct {
	dir  int
	name string // "" is the recorded directory itself
	file int    // -1 if there is no file with this name
}

// place returns the place of a path. inside is false if the path is not below root.
func (r *recorder) place(c *call, arg int) (p place, inside bool, err error) {
	text, err := c.arg(arg)
	if err != nil {
		return place{}, false, err
	}
	raw, err := parseString(text)
	if err != nil {
		return place{}, false, err
	}
	path := filepath.Clean(string(raw))
	if !filepath.IsAbs(path) {
		return place{}, false, nil // the queue uses only absolute paths
	}
	relative, err := filepath.Rel(r.root, path)
	if err != nil || relative == ".." || strings.HasPrefix(relative, "../") {
		return place{}, false, err
	}
	if relative == "." {
		return place{}, true, nil
	}
	dir := 0
	parts := strings.Split(relative, "/")
	for _, part := range parts[:len(parts)-1] {
		below, ok := r.names[dir][part]
		if !ok || r.names[below] == nil {
			return place{}, false, fmt.Errorf("%s is in an unknown directory", relative)
		}
		dir = below
	}
	p = place{dir: dir, name: parts[len(parts)-1], file: -1}
	if file, ok := r.names[dir][p.name]; ok {
		p.file = file
	}
	return p, true, nil
}

// add adds a file or a directory with a name.
func (r *recorder) add(c *call, p place, folder bool) (int, error) {
	file := r.next
	r.next++
	r.names[p.dir][p.name] = file
	if folder {
		r.names[file] = make(map[string]int)
	}
	r.shared[file] = !folder && strings.HasSuffix(p.name, sharedSuffix)
	return file, r.op(c, Op{Kind: Name, Dir: p.dir, Name: p.name, File: file, Folder: folder, Shared: r.shared[file]})
}

func openAt(path int) func(*recorder, *call) error {
	return func(r *recorder, c *call) error {
		delete(r.open, int(c.result))
		p, inside, err := r.place(c, path)
		if err != nil || !inside {
			return err
		}
		flags := strings.Join(c.args[path+1:], "|")
		has := func(flag string) bool { return strings.Contains(flags, flag) }
		if c.name == "creat" {
			flags = "O_CREAT|O_TRUNC"
		}
		h := &handle{file: p.file, appends: has("O_APPEND")}
		switch {
		case p.name == "":
			h.file = 0
		case p.file < 0 && has("O_CREAT"):
			if h.file, err = r.add(c, p, false); err != nil {
				return err
			}
		case p.file < 0:
			return fmt.Errorf("%s existed before the recording started", p.name)
		case has("O_TRUNC") && r.sizes[p.file] > 0:
			r.sizes[p.file] = 0
			if err := r.op(c, Op{Kind: Truncate, File: p.file}); err != nil {
				return err
			}
		}
		r.open[int(c.result)] = h
		return nil
	}
}

func makeAt(path int) func(*recorder, *call) error {
	return func(r *recorder, c *call) error {
		p, inside, err := r.place(c, path)
		if err != nil || !inside {
			return err
		}
		_, err = r.add(c, p, true)
		return err
	}
}

func removeAt(path int) func(*recorder, *call) error {
	return func(r *recorder, c *call) error {
		p, inside, err := r.place(c, path)
		if err != nil || !inside {
			return err
		}
		delete(r.names[p.dir], p.name)
		return r.op(c, Op{Kind: Unname, Dir: p.dir, Name: p.name})
	}
}

func renameAt(from, to int) func(*recorder, *call) error {
	return func(r *recorder, c *call) error {
		old, inside, err := r.place(c, from)
		if err != nil {
			return err
		}
		p, insideToo, err := r.place(c, to)
		if err != nil || (!inside && !insideToo) {
			return err
		}
		if !inside || !insideToo || old.dir != p.dir || old.file < 0 {
			return fmt.Errorf("%s is moved to another directory as %s, which is not recorded", old.name, p.name)
		}
		delete(r.names[old.dir], old.name)
		r.names[p.dir][p.name] = old.file
		return r.op(c, Op{Kind: Rename, Dir: p.dir, Name: p.name, From: old.name, File: old.file})
	}
}

// linkAt records another name of a file.
func linkAt(from, to int) func(*recorder, *call) error {
	return func(r *recorder, c *call) error {
		old, inside, err := r.place(c, from)
		if err != nil {
			return err
		}
		p, insideToo, err := r.place(c, to)
		if err != nil || (!inside && !insideToo) {
			return err
		}
		if !inside || !insideToo || old.file < 0 || p.name == "" {
			return fmt.Errorf("%s is linked as %s from outside of the directory, which is not recorded", old.name, p.name)
		}
		r.names[p.dir][p.name] = old.file
		return r.op(c, Op{Kind: Name, Dir: p.dir, Name: p.name, File: old.file})
	}
}

// rejectPath rejects calls that are not recorded. The gateway does not use them.
func rejectPath(paths ...int) func(*recorder, *call) error {
	return func(r *recorder, c *call) error {
		for _, n := range paths {
			p, inside, err := r.place(c, n)
			if err != nil {
				return err
			}
			if inside {
				return fmt.Errorf("%s is changed in a way that is not recorded; add this call to the recorder", p.name)
			}
		}
		return nil
	}
}
