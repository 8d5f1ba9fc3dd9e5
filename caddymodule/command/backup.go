package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/command/internal/terminal"
	"github.com/scribegate/scribegate/caddymodule/internal/wording"
)

func backupCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup <file>",
		Short: "Writes a consistent copy of the queue into a file",
		Long: `
Writes a consistent copy of the queue into a new file, while the gateway works. The
file is written where the command runs, readable by its user only. A file that is
already there is never overwritten. The file appears under its name when the copy is
complete and on stable storage.

The copy, with the key of the queue, is a complete queue. The key is not in the copy.

In a terminal the command shows its progress. Ctrl-C cancels the backup; then no file
is left.`,
		Example: `  caddy scribegate backup /backup/queue-$(date +%F).db`,
		Args:    exactly(1, "name the file to write"),
		RunE: run(func(cmd *cobra.Command, args []string) error {
			done, err := backUp(cmd, args[0])
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(cmd, done)
			}
			_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n%s\n", done.File, wording.Size(done.Bytes), done.keyNote())
			return nil
		}),
		ValidArgsFunction: completeFiles,
	}
	return addAddress(cmd)
}

// A backedUp is the result of a backup.
type backedUp struct {
	File  string   `json:"file"`
	Bytes int64    `json:"bytes"`
	Keys  []string `json:"keys,omitempty"` // that the copy needs: admin.KeyOption, or a file; none if they are not known
}

// keyNote returns a note on the keys that the copy needs.
func (b backedUp) keyNote() string {
	if len(b.Keys) == 0 {
		return "the key is not in the copy, and payloads cannot be read without it: keep the queue's key too, but not beside the copy"
	}
	needed := make([]string, len(b.Keys))
	for i, key := range b.Keys {
		if needed[i] = key; key == admin.KeyOption {
			needed[i] = "every key of `" + admin.KeyOption + "` in the configuration"
		}
	}
	return "the key is not in the copy, and payloads cannot be read without it: keep " + strings.Join(needed, " and ") + ", but not beside the copy"
}

// backUp writes a copy of the running server's queue into a new file.
func backUp(cmd *cobra.Command, path string) (done backedUp, err error) {
	switch _, err := os.Lstat(path); {
	case err == nil:
		return done, errThere(path)
	case !errors.Is(err, fs.ErrNotExist):
		return done, fmt.Errorf("looking for %s: %w", path, err)
	}
	c, err := newAdminClient(cmd)
	if err != nil {
		return done, err
	}
	defer c.close()
	ctx, stop := interruptible(cmd)
	defer stop()
	file, err := newHiddenFile(path)
	if err != nil {
		return done, err
	}
	defer file.remove()
	file.meter = terminal.NewMeter(cmd, nil)
	defer file.meter.Remove()
	done.File = path
	if done.Keys, err = file.fill(ctx, c); err != nil {
		if ctx.Err() != nil {
			err = errors.New("stopped")
		}
		return done, fmt.Errorf("%w: no file is left", advised(err))
	}
	done.Bytes = file.written
	return done, file.publish()
}

func errThere(path string) error {
	return fmt.Errorf("%s is there already, and a backup overwrites nothing: name another file, or delete that one", path)
}

// A hiddenFile is a file that has a temporary name until it is complete.
type hiddenFile struct {
	file    *os.File
	path    string // its name in the end
	written int64
	meter   *terminal.Meter
}

// newHiddenFile creates a file beside the path that it gets in the end, with mode
// 0600.
func newHiddenFile(path string) (*hiddenFile, error) {
	if strings.HasSuffix(path, string(filepath.Separator)) {
		return nil, fmt.Errorf("%s is a directory's name: name a file in it", path)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".scribegate-backup-*")
	if err != nil {
		return nil, fmt.Errorf("creating a file: %w", err)
	}
	return &hiddenFile{file: f, path: path}, nil
}

// fill writes the copy of a server's queue into the file, and returns the keys that
// it needs.
func (h *hiddenFile) fill(ctx context.Context, c *adminClient) (keys []string, err error) {
	header, err := c.download(ctx, admin.RouteBackup, h)
	if err != nil {
		return nil, err
	}
	for _, key := range header.Values(admin.KeyHeader) {
		if key, err := url.PathUnescape(key); err == nil {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// Write implements io.Writer.
func (h *hiddenFile) Write(p []byte) (int, error) {
	n, err := h.file.Write(p)
	h.written += int64(n)
	h.meter.Show("backing up: %s", wording.Size(h.written))
	if err != nil {
		return n, fmt.Errorf("writing the copy: %w", err)
	}
	return n, nil
}

// publish puts the file on stable storage and gives it its name, unless another file
// has that name.
func (h *hiddenFile) publish() error {
	if err := errors.Join(h.file.Sync(), h.file.Close()); err != nil {
		return fmt.Errorf("writing %s to stable storage: %w", h.path, err)
	}
	// Unlike a rename, a link never replaces a file.
	switch err := os.Link(h.file.Name(), h.path); {
	case errors.Is(err, fs.ErrExist):
		return errThere(h.path)
	case err != nil:
		return fmt.Errorf("giving the copy its name: %w; if the file system has no hard links, write the copy to another one", err)
	}
	h.remove()
	return syncFolder(filepath.Dir(h.path))
}

// remove deletes the temporary name, if it is still there.
func (h *hiddenFile) remove() {
	_ = h.file.Close() // it may be closed already
	_ = os.Remove(h.file.Name())
}

// syncFolder puts the names of the files in a folder on stable storage.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("opening %s to sync it: %w", path, err)
	}
	if err := errors.Join(folder.Sync(), folder.Close()); err != nil {
		return fmt.Errorf("syncing %s: %w", path, err)
	}
	return nil
}
