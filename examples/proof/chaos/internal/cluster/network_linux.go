package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/scenario"
)

// A network is a network namespace for the databases, with a link to it for each gateway.
type network struct {
	namespace *os.File
	links     int
}

// newNetwork returns a network with links. The caller must close it.
func newNetwork(ctx context.Context, links int) (n *network, err error) {
	if _, err := exec.LookPath("ip"); err != nil {
		return nil, errors.New("making a network: there is no command ip; install it with: apt-get install -y iproute2")
	}
	n = new(network)
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("making a network: %w; run it as root", err), n.close())
		}
	}()
	err = onThread(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		if n.namespace, err = os.Open("/proc/thread-self/ns/net"); err != nil {
			return err
		}
		return ip(ctx, "link", "set", "lo", "up")
	})
	for err == nil && n.links < links {
		err = n.addLink(ctx)
	}
	return n, err
}

// addLink adds a pair of connected interfaces: one here, and one in the namespace.
func (n *network) addLink(ctx context.Context) error {
	i := n.links
	namespace := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.namespace.Fd())
	if err := ip(ctx, "link", "add", link(i), "type", "veth", "peer", "name", link(i), "netns", namespace); err != nil {
		return err
	}
	n.links++
	err := enable(ctx, i, near(i))
	return errors.Join(err, n.inside(func() error { return enable(ctx, i, n.address(i)) }))
}

func enable(ctx context.Context, i int, address string) error {
	if err := ip(ctx, "address", "add", address+"/24", "dev", link(i)); err != nil {
		return err
	}
	return ip(ctx, "link", "set", link(i), "up")
}

// link returns the name of a link's interfaces.
func link(i int) string { return fmt.Sprint("chaos", i) }

// near returns the address of this side of a link, and address that of the databases. They are in the
// range for tests of networks.
func near(i int) string               { return fmt.Sprintf("198.18.%d.1", i) }
func (*network) address(i int) string { return fmt.Sprintf("198.18.%d.2", i) }

// nobody is a hardware address that no interface has.
const nobody = "02:00:00:00:00:01"

// cut makes both sides of a link send to an address that nobody has: packets vanish, and nobody gets an error.
func (n *network) cut(ctx context.Context, i int) error {
	divert := func(address string) error {
		return ip(ctx, "neighbor", "replace", address, "lladdr", nobody, "dev", link(i), "nud", "permanent")
	}
	return errors.Join(divert(n.address(i)), n.inside(func() error { return divert(near(i)) }))
}

// heal undoes cut.
func (n *network) heal(ctx context.Context, i int) error {
	restore := func(address string) error { return ip(ctx, "neighbor", "del", address, "dev", link(i)) }
	return errors.Join(restore(n.address(i)), n.inside(func() error { return restore(near(i)) }))
}

// inside calls f, whose processes and listeners are in the namespace.
func (n *network) inside(f func() error) error {
	return onThread(func() error {
		if err := unix.Setns(int(n.namespace.Fd()), unix.CLONE_NEWNET); err != nil {
			return err
		}
		return f()
	})
}

// onThread calls f, which may change the thread's network namespace.
func onThread(f func() error) error {
	runtime.LockOSThread()
	here, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer here.Close()
	err = f()
	if back := unix.Setns(int(here.Fd()), unix.CLONE_NEWNET); back != nil {
		return errors.Join(err, back) // the thread ends with this goroutine
	}
	runtime.UnlockOSThread()
	return err
}

// close removes the links and the namespace.
func (n *network) close() error {
	var err error
	for i := range n.links {
		err = errors.Join(err, ip(context.Background(), "link", "del", link(i)))
	}
	if n.namespace != nil {
		err = errors.Join(err, n.namespace.Close())
	}
	return err
}

func ip(ctx context.Context, args ...string) error { return scenario.Command(ctx, "ip", args...) }
