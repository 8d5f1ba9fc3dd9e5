//go:build unix

package disk

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// CopyOwner gives a file the mode and the owner of another file. If this process is not
// allowed to change the owner, the owner stays.
func CopyOwner(name string, of fs.FileInfo) error {
	if s, ok := of.Sys().(*syscall.Stat_t); ok {
		if err := os.Chown(name, int(s.Uid), int(s.Gid)); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	return os.Chmod(name, of.Mode().Perm())
}
