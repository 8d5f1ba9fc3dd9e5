package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A footprint is what the gateway takes of the machine.
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

// footprint measures the gateway that runs. It needs Linux's /proc.
func (r *rig) footprint(ctx context.Context) (footprint, error) {
	var f footprint
	var err error
	if f.memory, err = r.memory(); err != nil {
		return f, err
	}
	handles, err := os.ReadDir(r.proc.path("fd"))
	if err != nil {
		return f, fmt.Errorf("counting the gateway's handles: %w", err)
	}
	f.handles = len(handles)
	if f.goroutines, err = r.goroutines(ctx); err != nil {
		return f, err
	}
	f.file, err = r.fileSize()
	return f, err
}

// fileSize is how many bytes the queue's file and its WAL have.
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

// path is a file below /proc about the process.
func (p *process) path(name string) string {
	return filepath.Join("/proc", strconv.Itoa(p.pid()), name)
}

// memory is the gateway's RssAnon, in bytes.
func (r *rig) memory() (int64, error) {
	text, err := os.ReadFile(r.proc.path("status"))
	if err != nil {
		return 0, fmt.Errorf("measuring the gateway's memory: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("measuring the gateway's memory: %s has no line RssAnon", r.proc.path("status"))
}

// goroutines counts the gateway's, as Caddy's admin endpoint lists them.
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

// goroutineDump lists the gateway's goroutines, each stack with how many are in
// it.
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
