package volume

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/scenario"
)

// A Volume is a small file system in memory, for a queue's file or for databases.
type Volume struct {
	Dir  string
	size int64 // in bytes
}

// New mounts a volume on a new directory in parent. The caller must close it.
func New(ctx context.Context, parent string, size int64) (*Volume, error) {
	dir, err := os.MkdirTemp(parent, "scribegate-volume-")
	if err != nil {
		return nil, fmt.Errorf("making a directory for a small file system: %w", err)
	}
	v := &Volume{Dir: dir, size: size}
	if err := scenario.Command(ctx, "mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d", size), "scribegate-chaos", dir); err != nil {
		return nil, errors.Join(
			fmt.Errorf("mounting a small file system: %w; run it as root or with `unshare -rm`", err),
			os.Remove(dir))
	}
	return v, nil
}

// QueueFile returns the path of the queue's file on the volume.
func (v *Volume) QueueFile() string { return filepath.Join(v.Dir, "queue.db") }

// filler returns the path of the file that fills the volume.
func (v *Volume) filler() string { return filepath.Join(v.Dir, "filler") }

// Fill uses all free space of the volume, and returns its size.
func (v *Volume) Fill() (int64, error) {
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

// FillBut uses all free space except room bytes.
func (v *Volume) FillBut(room int64) error {
	n, err := v.Fill()
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

// Clear deletes the filler.
func (v *Volume) Clear() error { return os.Remove(v.filler()) }

// enlargement is the number of bytes by which Enlarge enlarges a volume.
const enlargement = 4 << 20

// Enlarge frees the space and enlarges the volume, since the filler may be small: the gateway may have used space that was
// not free when the filler was written.
func (v *Volume) Enlarge(ctx context.Context) error {
	v.size += enlargement
	return errors.Join(scenario.Command(ctx, "mount", "-o", fmt.Sprintf("remount,size=%d", v.size), v.Dir), v.Clear())
}

// ReadOnly makes the file system read-only or writable. The kernel rejects this while a file is open for writing.
func (v *Volume) ReadOnly(ctx context.Context, yes bool) error {
	mode := "remount,bind,rw"
	if yes {
		mode = "remount,bind,ro"
	}
	return scenario.Command(ctx, "mount", "-o", mode, v.Dir)
}

// Close unmounts the volume. It must not be in use.
func (v *Volume) Close() error {
	return errors.Join(scenario.Command(context.Background(), "umount", v.Dir), os.Remove(v.Dir))
}
