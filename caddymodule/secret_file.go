package caddymodule

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

// secretReadTimeout is how long reading a secret's file may take. A mount whose
// server is away takes for ever.
const secretReadTimeout = 2 * time.Second

// maxSecretFile is how many bytes a secret's file may have.
const maxSecretFile = 64 << 10

// errSlowFile is the error of a read that takes longer than secretReadTimeout.
var errSlowFile = errors.New("it could not be read in time; check whether its file system responds")

// secretFiles reads the files of all secrets of the process.
var secretFiles = &fileReader{read: readRegularFile}

// A fileReader reads small files, each with a time limit. A read that hangs cannot
// be ended and continues in the background, but only one for each file.
type fileReader struct {
	read func(path string) ([]byte, error)

	mu      sync.Mutex
	reading map[string]chan struct{} // by path; closed when the read ends
}

// value returns a file's content as it is now without one line end, which is the
// editor's, as for Caddy's own {file.*}.
func (r *fileReader) value(ctx context.Context, path string) (string, error) {
	content, err := r.content(ctx, path)
	return strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r"), err
}

// content returns a file's content, or errSlowFile once ctx ends.
func (r *fileReader) content(ctx context.Context, path string) ([]byte, error) {
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
		content, err := r.read(path)
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

// begin waits until nobody reads the file and notes that the caller does, until
// it closes the channel.
func (r *fileReader) begin(ctx context.Context, path string) (chan struct{}, error) {
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

func slowFile(path string) error { return fmt.Errorf("%s: %w", path, errSlowFile) }

// readRegularFile reads a file, through links, that is one and not too large.
func readRegularFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, unsetError{err}
	}
	if err := checkRegular(path, info); err != nil {
		return nil, err
	}
	// A FIFO that has come in its place since is opened without waiting.
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
	content, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	if err != nil {
		return nil, unsetError{err}
	}
	if len(content) > maxSecretFile {
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
