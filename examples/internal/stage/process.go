package stage

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Grace is the time between SIGTERM and SIGKILL in Stop.
const Grace = 10 * time.Second

// A Command describes a process to start.
type Command struct {
	Name string // used in errors
	Dir  string
	Args []string // with the program first
	Env  []string // in addition to PATH; nothing else is inherited

	Files []*os.File // the file descriptors from 3 on
}

// A Process is a child process whose standard output and error are read as
// lines.
type Process struct {
	name  string
	cmd   *exec.Cmd
	ended chan struct{} // closed when the process has ended and all its lines are read

	mu      sync.Mutex
	lines   []string
	changed chan struct{} // closed and replaced at every line
}

// Start starts a process. The caller must Stop it.
func Start(c Command) (*Process, error) {
	// Not the caller's context, whose end would kill the process: Stop sends SIGTERM first.
	cmd := exec.CommandContext(context.Background(), c.Args[0], c.Args[1:]...)
	cmd.Dir = c.Dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, c.Env...)
	cmd.ExtraFiles = c.Files
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.Name, err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	err = cmd.Start()
	_ = w.Close() // the process has its own copy
	if err != nil {
		_ = r.Close()
		return nil, fmt.Errorf("starting %s: %w", c.Name, err)
	}
	p := &Process{name: c.Name, cmd: cmd, ended: make(chan struct{}), changed: make(chan struct{})}
	go p.read(r)
	return p, nil
}

func (p *Process) read(r io.ReadCloser) {
	defer close(p.ended)
	defer r.Close()
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			p.add(line)
		}
		if err != nil {
			break
		}
	}
	_ = p.cmd.Wait() // ProcessState has the result
}

func (p *Process) add(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines = append(p.lines, line)
	close(p.changed)
	p.changed = make(chan struct{})
}

// PID returns the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Ended returns a channel that is closed when the process has ended and all its lines are read.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// ExitCode returns the exit status of a process that has ended, or -1 if a signal ended it.
func (p *Process) ExitCode() int { return p.cmd.ProcessState.ExitCode() }

// Lines returns the lines that the process has printed so far.
func (p *Process) Lines() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.lines)
}

// WaitLine returns the first line that match accepts, and waits for it if necessary. It
// returns an error if the process or ctx ends first. what names the line in that error.
func (p *Process) WaitLine(ctx context.Context, what string, match func(line string) bool) (string, error) {
	for from := 0; ; {
		p.mu.Lock()
		lines, changed := p.lines[from:], p.changed
		p.mu.Unlock()
		if i := slices.IndexFunc(lines, match); i >= 0 {
			return lines[i], nil
		}
		from += len(lines)

		select {
		case <-changed:
		case <-p.ended:
			if len(p.Lines()) == from {
				return "", fmt.Errorf("waiting for %s of %s: it ended (%s); it printed:\n%s", what, p.name, p.cmd.ProcessState, p.Tail(20))
			}
		case <-ctx.Done():
			return "", fmt.Errorf("waiting for %s of %s: %w; it printed:\n%s", what, p.name, context.Cause(ctx), p.Tail(20))
		}
	}
}

// WaitURL returns the URL that a backend prints when it listens.
func (p *Process) WaitURL(ctx context.Context) (string, error) {
	const prefix = "listening on "
	line, err := p.WaitLine(ctx, "the address", func(line string) bool { return strings.HasPrefix(line, prefix) })
	return strings.TrimPrefix(line, prefix), err
}

// Tail returns the last n lines, indented.
func (p *Process) Tail(n int) string {
	lines := p.Lines()
	lines = lines[max(0, len(lines)-n):]
	return "\t" + strings.Join(lines, "\n\t")
}

// Stop sends SIGTERM to the process and waits until it has ended. If it does not end within
// Grace, Stop kills it and returns an error.
func (p *Process) Stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stopping %s: %w", p.name, err)
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(Grace):
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("killing %s: %w", p.name, err)
	}
	<-p.ended
	return fmt.Errorf("stopping %s: it did not end within %s and was killed; it printed:\n%s", p.name, Grace, p.Tail(20))
}
