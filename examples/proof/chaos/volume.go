package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// A volume is a small filesystem of its own, in memory, for a queue's file.
type volume struct {
	dir  string
	size int64 // in bytes
}

// newVolume mounts one. The caller must close it.
func (e *env) newVolume(ctx context.Context, size int64) (*volume, error) {
	dir, err := os.MkdirTemp(e.dir, "scribegate-volume-")
	if err != nil {
		return nil, fmt.Errorf("making a directory for a small filesystem: %w", err)
	}
	v := &volume{dir: dir, size: size}
	if err := command(ctx, "mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d", size), "scribegate-chaos", dir); err != nil {
		return nil, errors.Join(
			fmt.Errorf("mounting a small filesystem, which root may do and anybody below `unshare -rm`: %w", err),
			os.Remove(dir))
	}
	return v, nil
}

// command runs a command of the system's.
func command(ctx context.Context, name string, args ...string) error {
	// The first line says it all; mount's second one points to a log.
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, firstOf(string(out)))
	}
	return nil
}

func firstOf(lines string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(lines), "\n")
	return line
}

// queueFile is the queue's file on the volume.
func (v *volume) queueFile() string { return filepath.Join(v.dir, "queue.db") }

// filler is the file that takes the space that is left.
func (v *volume) filler() string { return filepath.Join(v.dir, "filler") }

// fill takes all the space that is left, and returns how much it was.
func (v *volume) fill() (int64, error) {
	f, err := os.OpenFile(v.filler(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return 0, fmt.Errorf("filling the small filesystem: %w", err)
	}
	defer f.Close()
	n, err := io.Copy(f, zeros{})
	if !errors.Is(err, syscall.ENOSPC) {
		return n, fmt.Errorf("filling the small filesystem: it should be full, and is not: %w", err)
	}
	return n, nil
}

// fillBut takes all the space but some bytes.
func (v *volume) fillBut(room int64) error {
	n, err := v.fill()
	if err != nil {
		return err
	}
	return os.Truncate(v.filler(), n-room)
}

// zeros is an endless reader.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// clear gives the space back.
func (v *volume) clear() error { return os.Remove(v.filler()) }

// relief is how much larger a volume is made when it is to have room again.
const relief = 4 << 20

// relieve gives the space back, and some more: the filler may have got little,
// where the gateway held for a moment what it then used.
func (v *volume) relieve(ctx context.Context) error {
	v.size += relief
	return errors.Join(command(ctx, "mount", "-o", fmt.Sprintf("remount,size=%d", v.size), v.dir), v.clear())
}

// readOnly has the filesystem take no writes, or take them again. The kernel
// refuses it while a file on it is open for writing.
func (v *volume) readOnly(ctx context.Context, yes bool) error {
	mode := "remount,bind,rw"
	if yes {
		mode = "remount,bind,ro"
	}
	return command(ctx, "mount", "-o", mode, v.dir)
}

// close unmounts it. Nobody may use it any more.
func (v *volume) close() error {
	return errors.Join(command(context.Background(), "umount", v.dir), os.Remove(v.dir))
}
