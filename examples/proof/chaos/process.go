package main

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

// A process is a gateway that runs. What it prints goes into a file, so that it
// is never held up by a reader.
type process struct {
	cmd   *exec.Cmd
	log   string    // the file
	began time.Time // just before the process was started
	ended chan struct{}

	asked atomic.Bool // whether it was asked to end
}

// startProcess starts the binary with an environment of its own.
func startProcess(binary, dir, log string, env []string, args ...string) (*process, error) {
	out, err := os.Create(log)
	if err != nil {
		return nil, fmt.Errorf("making the gateway's log: %w", err)
	}
	defer out.Close() // the process has its own
	cmd := exec.CommandContext(context.Background(), binary, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, env, out, out
	p := &process{cmd: cmd, log: log, began: time.Now(), ended: make(chan struct{})}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the gateway: %w", err)
	}
	go func() {
		_ = cmd.Wait() // how it ended is in ProcessState
		close(p.ended)
	}()
	return p, nil
}

// pid is the process's id.
func (p *process) pid() int { return p.cmd.Process.Pid }

// kill ends the process as kill -9 does, and returns when it has ended.
func (p *process) kill() error {
	if err := p.end(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.ended
	return p.verdict()
}

// stop asks the process to end, and kills it where it does not within
// stage.Grace, which is an error.
func (p *process) stop() error {
	if err := p.end(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.ended:
		return p.verdict()
	case <-time.After(stage.Grace):
		return errors.Join(fmt.Errorf("stopping the gateway: it did not end within %s and was killed", stage.Grace), p.kill())
	}
}

func (p *process) end(sig syscall.Signal) error {
	select {
	case <-p.ended:
		if !p.asked.Load() {
			return errors.Join(fmt.Errorf("the gateway ended by itself (%s); it printed last:\n%s", p.cmd.ProcessState, p.tail(20)), p.verdict())
		}
	default:
	}
	p.asked.Store(true)
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("ending the gateway: %w", err)
	}
	return nil
}

// disasters are what no log may hold.
var disasters = []string{"panic", "fatal error", "DATA RACE", "concurrent map"}

// verdict reads the log of a process that has ended for what should never be in
// it.
func (p *process) verdict() error {
	log, err := os.ReadFile(p.log)
	if err != nil {
		return fmt.Errorf("reading the gateway's log: %w", err)
	}
	for _, disaster := range disasters {
		if before, _, found := bytes.Cut(log, []byte(disaster)); found {
			from := bytes.LastIndexByte(before, '\n') + 1
			return fmt.Errorf("the gateway printed %q:\n%s", disaster, log[from:min(len(log), from+4000)])
		}
	}
	return nil
}

// tail returns the last n lines that the process has printed.
func (p *process) tail(n int) string {
	log, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(log)), "\n")
	return "\t" + strings.Join(lines[max(0, len(lines)-n):], "\n\t")
}
