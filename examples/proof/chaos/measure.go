package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"

	"github.com/prometheus/procfs"
)

// A footprint is the resources that the gateway uses.
type footprint struct {
	memory     int64 // bytes of anonymous memory
	handles    int   // open files and connections
	goroutines int
	file       int64 // bytes of the queue's file and its WAL
}

func (f footprint) String() string {
	return fmt.Sprintf("memory %s, %d handles, %d goroutines, file %s", mebibytes(f.memory), f.handles, f.goroutines, mebibytes(f.file))
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// footprint measures the running gateway. It needs Linux.
func (r *rig) footprint(ctx context.Context) (footprint, error) {
	var f footprint
	var err error
	if f.memory, err = r.memory(); err != nil {
		return f, err
	}
	p, err := procfs.NewProc(r.proc.pid())
	if err == nil {
		f.handles, err = p.FileDescriptorsLen()
	}
	if err != nil {
		return f, fmt.Errorf("counting the gateway's handles: %w", err)
	}
	if f.goroutines, err = r.goroutines(ctx); err != nil {
		return f, err
	}
	f.file, err = r.fileSize()
	return f, err
}

// fileSize returns the size of the queue's file and its WAL in bytes.
func (r *rig) fileSize() (int64, error) {
	var size int64
	for _, name := range []string{r.queueFile(), r.walFile()} {
		info, err := os.Stat(name)
		if errors.Is(err, fs.ErrNotExist) && name == r.walFile() {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("measuring the queue's file: %w", err)
		}
		size += info.Size()
	}
	return size, nil
}

// memory returns the gateway's RssAnon in bytes.
func (r *rig) memory() (int64, error) {
	p, err := procfs.NewProc(r.proc.pid())
	if err != nil {
		return 0, fmt.Errorf("measuring the gateway's memory: %w", err)
	}
	status, err := p.NewStatus()
	if err != nil {
		return 0, fmt.Errorf("measuring the gateway's memory: %w", err)
	}
	return int64(status.RssAnon), nil
}

// goroutines returns the number of the gateway's goroutines.
func (r *rig) goroutines(ctx context.Context) (int, error) {
	dump, err := r.goroutineDump(ctx)
	if err != nil {
		return 0, err
	}
	var n int
	if _, err := fmt.Sscanf(dump, "goroutine profile: total %d", &n); err != nil {
		return 0, fmt.Errorf("counting the gateway's goroutines: %w", err)
	}
	return n, nil
}

// goroutineDump returns the stacks of the gateway's goroutines, with the number of goroutines for
// each stack.
func (r *rig) goroutineDump(ctx context.Context) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.admin+"/debug/pprof/goroutine?debug=1", nil)
	if err != nil {
		return "", fmt.Errorf("counting the gateway's goroutines: %w", err)
	}
	request.Close = true
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", fmt.Errorf("counting the gateway's goroutines: %w", err)
	}
	defer resp.Body.Close()
	dump, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", fmt.Errorf("counting the gateway's goroutines: %w", err)
	}
	return string(dump), nil
}
