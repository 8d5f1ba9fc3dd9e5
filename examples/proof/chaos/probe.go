package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// probeLimit is how long `health ready` may take, whatever the server does: the 5 s
// that are promised, and something for a busy machine.
const probeLimit = 6 * time.Second

// command runs one of the gateway's own commands beside the server, and returns what
// it printed on standard output.
func (r *rig) command(ctx context.Context, name string, args ...string) (string, error) {
	args = append([]string{"scribegate", name, "--address", r.admin}, args...)
	cmd := exec.CommandContext(ctx, r.binary, args...)
	cmd.Dir, cmd.Env = r.dir, r.env()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("caddy scribegate %s: %w: %s", name, err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

// ready runs `health ready`: nil if an event could be stored now, else what it says.
func (r *rig) ready(ctx context.Context) (says error, err error) {
	began := time.Now()
	_, says = r.command(ctx, "health", "ready")
	if took := time.Since(began); took > probeLimit {
		return says, fmt.Errorf("`health ready` took %.1f s", took.Seconds())
	}
	var exit *exec.ExitError
	if says != nil && !errors.As(says, &exit) {
		return nil, says
	}
	return says, ctx.Err()
}

// answersStatus checks that the status is answered in time, be it with an error.
func (r *rig) answersStatus(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, probeLimit, fmt.Errorf("the status was not answered within %s", probeLimit))
	defer cancel()
	if _, err := r.status(ctx); err != nil && !errors.As(err, new(adminStatus)) {
		return errors.Join(context.Cause(ctx), err)
	}
	return nil
}
