package disk

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

// A volume is a small file system in memory, for a queue's file.
type volume struct {
	dir  string
	size int64 // in bytes
}

// newVolume mounts a volume on a new directory in parent. The caller must close it.
func newVolume(ctx context.Context, parent string, size int64) (*volume, error) {
	dir, err := os.MkdirTemp(parent, "scribegate-volume-")
	if err != nil {
		return nil, fmt.Errorf("making a directory for a small file system: %w", err)
	}
	v := &volume{dir: dir, size: size}
	if err := command(ctx, "mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d", size), "scribegate-chaos", dir); err != nil {
		return nil, errors.Join(
			fmt.Errorf("mounting a small file system: %w; run it as root or with `unshare -rm`", err),
			os.Remove(dir))
	}
	return v, nil
}

// command runs a command.
func command(ctx context.Context, name string, args ...string) error {
	// The first line of the output is enough; the second line of mount points to a log.
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

// queueFile returns the path of the queue's file on the volume.
func (v *volume) queueFile() string { return filepath.Join(v.dir, "queue.db") }

// filler returns the path of the file that fills the volume.
func (v *volume) filler() string { return filepath.Join(v.dir, "filler") }

// fill uses all free space of the volume, and returns its size.
func (v *volume) fill() (int64, error) {
	f, err := os.OpenFile(v.filler(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return 0, fmt.Errorf("filling the small file system: %w", err)
	}
	defer f.Close()
	n, err := io.Copy(f, zeros{})
	if !errors.Is(err, syscall.ENOSPC) {
		return n, fmt.Errorf("filling the small file system: it is not full: %w", err)
	}
	return n, nil
}

// fillBut uses all free space except room bytes.
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

// clear frees the space again.
func (v *volume) clear() error { return os.Remove(v.filler()) }

// enlargement is the number of bytes by which enlarge enlarges a volume.
const enlargement = 4 << 20

// enlarge frees the space and enlarges the volume, since the filler may be small: the gateway may have used space that was
// not free when the filler was written.
func (v *volume) enlarge(ctx context.Context) error {
	v.size += enlargement
	return errors.Join(command(ctx, "mount", "-o", fmt.Sprintf("remount,size=%d", v.size), v.dir), v.clear())
}

// readOnly makes the file system read-only or writable. The kernel rejects this while a file is open for writing.
func (v *volume) readOnly(ctx context.Context, yes bool) error {
	mode := "remount,bind,rw"
	if yes {
		mode = "remount,bind,ro"
	}
	return command(ctx, "mount", "-o", mode, v.dir)
}

// close unmounts the volume. It must not be in use.
func (v *volume) close() error {
	return errors.Join(command(context.Background(), "umount", v.dir), os.Remove(v.dir))
}
