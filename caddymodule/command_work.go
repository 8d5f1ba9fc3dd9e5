package caddymodule

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

// longWork is a request to the running server that may take long.
type longWork struct {
	path    string                  // of the admin API
	doing   string                  // what it does, in a word
	amount  func(n int64) string    // formats progress
	stopped func(p progress) string // describes what is done when it ends early
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
	m := newMeter(cmd, nil)
	defer m.wipe()
	var last progress
	err = c.work(ctx, l.path, body, answer, func(p progress) {
		last = p
		if p.Total > 0 {
			m.show("%s: %s of %s", l.doing, l.amount(p.Done), l.amount(p.Total))
		} else {
			m.show("%s: %s", l.doing, l.amount(p.Done))
		}
	})
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		err = errors.New("stopped")
	case last == progress{}:
		return advised(err)
	}
	return fmt.Errorf("%w: %s", err, l.stopped(last))
}
