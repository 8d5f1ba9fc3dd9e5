package secret

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ReadTimeout is how long reading a secret's file may take. Reading from a mount whose
// server is away never ends.
const ReadTimeout = 2 * time.Second

// maxFile is how many bytes a secret's file may have.
const maxFile = 64 << 10

// ErrSlowFile is the error of a read that takes longer than ReadTimeout.
var ErrSlowFile = errors.New("it could not be read in time; check whether its file system responds")

// Files reads the files of all secrets of the process.
var Files = &FileReader{Read: readRegularFile}

// A FileReader reads small files, each with a time limit. A read that hangs cannot
// be ended and continues in the background, but only one for each file.
type FileReader struct {
	// Read returns the content of a file. It may hang.
	Read func(path string) ([]byte, error)

	mu      sync.Mutex
	reading map[string]chan struct{} // by path; closed when the read ends
}

// Value returns the present content of a file without the line end that editors add,
// as Caddy's own {file.*} does.
func (r *FileReader) Value(ctx context.Context, path string) (string, error) {
	content, err := r.content(ctx, path)
	return strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r"), err
}

// content returns a file's content, or ErrSlowFile once ctx ends.
func (r *FileReader) content(ctx context.Context, path string) ([]byte, error) {
	ended, err := r.begin(ctx, path)
	if err != nil {
		return nil, err
	}
	type result struct {
		content []byte
		err     error
	}
	results := make(chan result, 1)
	go func() {
		content, err := r.Read(path)
		r.mu.Lock()
		delete(r.reading, path)
		r.mu.Unlock()
		close(ended)
		results <- result{content, err}
	}()
	select {
	case got := <-results:
		return got.content, got.err
	case <-ctx.Done():
		return nil, slowFile(path)
	}
}

// begin waits for the read of the file that is under way, if any, and registers that of
// the caller. It returns a channel that the caller closes when its read ends.
func (r *FileReader) begin(ctx context.Context, path string) (chan struct{}, error) {
	for {
		r.mu.Lock()
		ended, busy := r.reading[path]
		if !busy {
			if r.reading == nil {
				r.reading = make(map[string]chan struct{})
			}
			ended = make(chan struct{})
			r.reading[path] = ended
		}
		r.mu.Unlock()
		if !busy {
			return ended, nil
		}
		select {
		case <-ended:
		case <-ctx.Done():
			return nil, slowFile(path)
		}
	}
}

func slowFile(path string) error { return fmt.Errorf("%s: %w", path, ErrSlowFile) }

// readRegularFile reads a regular file that is not too large. It follows links.
func readRegularFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, unsetError{err}
	}
	if err := checkRegular(path, info); err != nil {
		return nil, err
	}
	// If a FIFO has replaced the file since, opening it must not wait.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, unsetError{err}
	}
	defer func() { _ = f.Close() }() // it was for reading only
	if info, err = f.Stat(); err != nil {
		return nil, unsetError{err}
	}
	if err := checkRegular(path, info); err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, unsetError{err}
	}
	if len(content) > maxFile {
		return nil, fmt.Errorf("%s is larger than 64 KiB, which is too large for a secret", path)
	}
	return content, nil
}

func checkRegular(path string, info os.FileInfo) error {
	if info.Mode().IsRegular() {
		return nil
	}
	return fmt.Errorf("%s is not a regular file or a link to one", path)
}
