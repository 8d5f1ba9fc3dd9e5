package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/scribegate/scribegate/examples/internal/stage"
)

// A Process is a running gateway. Its output goes to a file, so that no reader delays it.
type Process struct {
	cmd   *exec.Cmd
	Log   string    // the file
	Began time.Time // immediately before the start
	Ended chan struct{}

	asked atomic.Bool // whether its end is expected
}

// startProcess starts the binary with this environment.
func startProcess(binary, dir, log string, env []string, args ...string) (*Process, error) {
	out, err := os.Create(log)
	if err != nil {
		return nil, fmt.Errorf("making the gateway's log: %w", err)
	}
	defer out.Close() // the process has its own copy
	cmd := exec.CommandContext(context.Background(), binary, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, env, out, out
	p := &Process{cmd: cmd, Log: log, Began: time.Now(), Ended: make(chan struct{})}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the gateway: %w", err)
	}
	go func() {
		_ = cmd.Wait() // ProcessState has the result
		close(p.Ended)
	}()
	return p, nil
}

// PID returns the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// kill kills the process with SIGKILL, waits until it has ended, and checks its log.
func (p *Process) kill() error {
	if err := p.end(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.Ended
	return p.checkLog()
}

// stop sends SIGTERM to the process, waits until it has ended, and checks its log. If it does not end
// within stage.Grace, stop kills it and returns an error.
func (p *Process) stop() error {
	if err := p.end(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.Ended:
		return p.checkLog()
	case <-time.After(stage.Grace):
		return errors.Join(fmt.Errorf("stopping the gateway: it did not end within %s and was killed", stage.Grace), p.kill())
	}
}

func (p *Process) end(sig syscall.Signal) error {
	select {
	case <-p.Ended:
		if !p.asked.Load() {
			return errors.Join(fmt.Errorf("the gateway ended by itself (%s); its last lines are:\n%s", p.cmd.ProcessState, p.Tail(20)), p.checkLog())
		}
	default:
	}
	p.asked.Store(true)
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stopping the gateway: %w", err)
	}
	return nil
}

// forbiddenTexts are texts that must not be in a log.
var forbiddenTexts = []string{"panic", "fatal error", "DATA RACE", "concurrent map"}

// checkLog returns an error if the log of an ended process contains one of these texts.
func (p *Process) checkLog() error {
	log, err := os.ReadFile(p.Log)
	if err != nil {
		return fmt.Errorf("reading the gateway's log: %w", err)
	}
	for _, text := range forbiddenTexts {
		if before, _, found := bytes.Cut(log, []byte(text)); found {
			from := bytes.LastIndexByte(before, '\n') + 1
			return fmt.Errorf("the gateway printed %q:\n%s", text, log[from:min(len(log), from+4000)])
		}
	}
	return nil
}

// Tail returns the last n lines that the process has printed.
func (p *Process) Tail(n int) string {
	log, err := os.ReadFile(p.Log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(log)), "\n")
	return "\t" + strings.Join(lines[max(0, len(lines)-n):], "\n\t")
}
