//go:build examples

package cell

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A Cell is a mount namespace with a root of its own.
type Cell struct {
	root string // in the namespace
	ns   string // the namespace, as a file
}

// An overlay's changes are kept in memory. /run is empty, so that no script finds an init to
// send its orders to.
const overlay = `
mount -t tmpfs none "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay none -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount --rbind /proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
mount -t tmpfs none "$1/root/run"
mount -t tmpfs -o mode=1777 none "$1/root/tmp"
`

// A tree is read-only but for the folders that follow it in the arguments.
const tree = `
mount --bind "$1" "$1"
mkdir -p "$1/proc"
mount -t proc none "$1/proc"
root=$1
shift
for folder; do
	mount -t tmpfs -o mode=1777 none "$root$folder"
done
mount -o remount,ro,bind "$root"
`

// Overlay returns a cell whose root is a copy of this machine's file system.
func Overlay(t *testing.T) *Cell {
	t.Helper()
	dir := t.TempDir()
	return enter(t, overlay, filepath.Join(dir, "root"), dir)
}

// Tree returns a cell whose root is dir, read-only. Each of the folders in writable is an
// empty file system that every user may write to.
func Tree(t *testing.T, dir string, writable ...string) *Cell {
	t.Helper()
	return enter(t, tree, dir, append([]string{dir}, writable...)...)
}

// enter starts the process that keeps the namespace. It ends with its standard input, so
// with this process at the latest, and then nothing of the namespace is left.
func enter(t *testing.T, script, root string, args ...string) *Cell {
	t.Helper()
	Need(t, "unshare", "util-linux")
	if os.Geteuid() != 0 {
		t.Fatal("this test mounts file systems: run it as root")
	}
	holder := exec.CommandContext(context.WithoutCancel(t.Context()), "unshare", append([]string{
		"--mount", "--propagation", "private", "sh", "-ec", script + "echo ready\nread -r _ || true", "cell",
	}, args...)...)
	holder.Stderr = os.Stderr
	stdin, err := holder.StdinPipe()
	must(t, err)
	stdout, err := holder.StdoutPipe()
	must(t, err)
	must(t, holder.Start())
	t.Cleanup(func() {
		_ = stdin.Close()
		_, _ = io.Copy(io.Discard, stdout)
		_ = holder.Wait()
	})
	if line, _ := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		t.Fatal("the file systems of the test could not be mounted; see above")
	}
	return &Cell{root: root, ns: filepath.Join("/proc", strconv.Itoa(holder.Process.Pid), "ns", "mnt")}
}

// Args returns the arguments that run a program in the cell. A user, such as 65532:65532, may
// be given; otherwise it is root.
func (c *Cell) Args(user string, args ...string) []string {
	all := []string{"nsenter", "--mount=" + c.ns, "/usr/sbin/chroot"} // PATH may be that of an image
	if user != "" {
		all = append(all, "--userspec="+user)
	}
	return append(append(all, c.root), args...)
}

// Try runs a program in the cell as root. It returns what the program printed to its
// standard output, and an error with what it printed to its standard error.
func (c *Cell) Try(ctx context.Context, args ...string) (string, error) {
	all := c.Args("", args...)
	command := exec.CommandContext(ctx, all[0], all[1:]...)
	command.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C"}
	var stderr strings.Builder
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		err = fmt.Errorf("%s: %w; it printed:\n%s%s", strings.Join(args, " "), err, out, &stderr)
	}
	return string(out), err
}

// Run is [Cell.Try] that fails the test on an error.
func (c *Cell) Run(ctx context.Context, t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.Try(ctx, args...)
	must(t, err)
	return out
}

// Sh runs a shell script in the cell as root, and returns what it printed.
func (c *Cell) Sh(ctx context.Context, t *testing.T, script string, args ...string) string {
	t.Helper()
	return c.Run(ctx, t, append([]string{"sh", "-ec", script, "sh"}, args...)...)
}

// Write writes a file that every user can read. The root of the cell need not have any
// program.
func (c *Cell) Write(ctx context.Context, t *testing.T, path, content string) {
	t.Helper()
	command := exec.CommandContext(ctx, "nsenter", "--mount="+c.ns, "install", "-m", "0444", "/dev/stdin", filepath.Join(c.root, path))
	command.Stdin = strings.NewReader(content)
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("writing %s: %v\n%s", path, err, out)
	}
}

// Need fails the test if a program of a Debian package is missing.
func Need(t *testing.T, program, debian string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Fatalf("%s is not installed; install it with: apt-get install %s", program, debian)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
