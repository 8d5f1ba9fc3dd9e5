package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// probeLimit is the maximum time of `health ready`: the promised 5 s, and a reserve for a busy
// machine.
const probeLimit = 6 * time.Second

// Command runs a command of the gateway and returns its standard output.
func (r *Rig) Command(ctx context.Context, name string, args ...string) (string, error) {
	args = append([]string{"scribegate", name, "--address", r.Admin}, args...)
	cmd := exec.CommandContext(ctx, r.Binary, args...)
	cmd.Dir, cmd.Env = r.Dir, r.env()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("caddy scribegate %s: %w: %s", name, err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

// Ready runs `health ready`. notReady is its output as an error, or nil if the gateway is ready.
func (r *Rig) Ready(ctx context.Context) (notReady error, err error) {
	began := time.Now()
	_, notReady = r.Command(ctx, "health", "ready")
	if took := time.Since(began); took > probeLimit {
		return notReady, fmt.Errorf("`health ready` took %.1f s", took.Seconds())
	}
	var exit *exec.ExitError
	if notReady != nil && !errors.As(notReady, &exit) {
		return nil, notReady
	}
	return notReady, ctx.Err()
}

// AnswersStatus checks that the gateway answers the status in time. An error status is allowed.
func (r *Rig) AnswersStatus(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, probeLimit, fmt.Errorf("the status was not answered within %s", probeLimit))
	defer cancel()
	if _, err := r.Status(ctx); err != nil && !errors.As(err, new(AdminStatus)) {
		return errors.Join(context.Cause(ctx), err)
	}
	return nil
}
