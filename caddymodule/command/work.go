package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/command/internal/terminal"
)

// A longWork is a request to the running server that may take long.
type longWork struct {
	route   admin.Route
	doing   string                        // the name of the work, such as "purging"
	amount  func(n int64) string          // formats progress
	stopped func(p admin.Progress) string // describes the state after work that ended early
}

// do sends the request, and shows its progress in the terminal.
func (l longWork) do(cmd *cobra.Command, body, answer any) error {
	c, err := newAdminClient(cmd)
	if err != nil {
		return err
	}
	defer c.close()
	ctx, stop := interruptible(cmd)
	defer stop()
	m := terminal.NewMeter(cmd, nil)
	defer m.Remove()
	var last admin.Progress
	err = c.work(ctx, l.route, body, answer, func(p admin.Progress) {
		last = p
		if p.Total > 0 {
			m.Show("%s: %s of %s", l.doing, l.amount(p.Done), l.amount(p.Total))
		} else {
			m.Show("%s: %s", l.doing, l.amount(p.Done))
		}
	})
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		err = errors.New("stopped")
	case last == admin.Progress{}:
		return advised(err)
	}
	return fmt.Errorf("%w: %s", err, l.stopped(last))
}

// interruptible returns a context that Ctrl-C ends, so that the command can print how
// much is done. A second Ctrl-C ends the process.
func interruptible(cmd *cobra.Command) (ctx context.Context, stop context.CancelFunc) {
	ctx, stop = signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}
