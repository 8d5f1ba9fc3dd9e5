package powercut

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

// calls are the recorded system calls. Those with a question mark do not exist on every architecture.
var calls = []string{
	"write", "writev", "pwrite64", "pwritev", "pwritev2", "sendto", "sendfile", "splice", "copy_file_range",
	"fsync", "fdatasync", "ftruncate", "truncate", "fallocate", "lseek", "mmap",
	"openat", "openat2", "close", "dup", "dup3", "fcntl",
	"mkdirat", "unlinkat", "?renameat", "renameat2", "linkat", "symlinkat",
	"?open", "?creat", "?dup2", "?mkdir", "?rmdir", "?unlink", "?rename", "?link", "?symlink",
}

// wholeStrings is the maximum number of recorded bytes in a string: more than the gateway ever writes at once.
const wholeStrings = "134217728"

// Strace returns the path of strace.
func Strace() (string, error) {
	path, err := exec.LookPath("strace")
	if err != nil {
		return "", fmt.Errorf("looking for strace: %w; install it with: apt-get install strace", err)
	}
	return path, nil
}

// WriteWrapper writes a shell script that runs a program with the script's arguments, and strace, which writes to log. The
// started process is the program itself, not strace, so that it can be killed as usual.
func WriteWrapper(script, strace, program, log string) error {
	args := []string{
		strace, "-D", "-f", "--seccomp-bpf", "-xx", "-s", wholeStrings,
		"-e", "trace=" + strings.Join(calls, ","), "-e", "signal=none", "-o", log, "--", program,
	}
	for i, arg := range args {
		args[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
	}
	text := "#!/bin/sh\nexec " + strings.Join(args, " ") + " \"$@\"\n"
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil { //nolint:gosec // it must be executable
		return fmt.Errorf("writing a script that runs strace: %w", err)
	}
	return nil
}

// WaitLog waits until strace has written the last line about a process that has ended.
func WaitLog(ctx context.Context, log string, pid int) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	last := regexp.MustCompile(fmt.Sprintf(`(?m)^%d +\+\+\+ (exited|killed) `, pid))
	for {
		end, err := tail(log, 4096)
		if err != nil {
			return fmt.Errorf("reading strace's log: %w", err)
		}
		if last.MatchString(end) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("waiting for the end of strace's log: %w", context.Cause(ctx)), lastLine(end))
		}
	}
}

func lastLine(end string) error {
	lines := strings.Split(strings.TrimSpace(end), "\n")
	return fmt.Errorf("it ends with %.200q", lines[len(lines)-1])
}

// tail returns the last n bytes of a file.
func tail(path string, n int64) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	b := make([]byte, min(n, info.Size()))
	if _, err := f.ReadAt(b, info.Size()-int64(len(b))); err != nil {
		return "", err
	}
	return string(b), nil
}
