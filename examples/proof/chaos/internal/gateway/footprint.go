package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"

	"github.com/prometheus/procfs"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/table"
)

// A Footprint is the resources that the gateway uses.
type Footprint struct {
	Memory     int64 // bytes of anonymous memory
	Handles    int   // open files and connections
	Goroutines int
	file       int64 // bytes of the queue's file and its WAL
}

func (f Footprint) String() string {
	return fmt.Sprintf("memory %s, %d handles, %d goroutines, file %s", table.Mebibytes(f.Memory), f.Handles, f.Goroutines, table.Mebibytes(f.file))
}

// Footprint measures the running gateway. It needs Linux.
func (r *Rig) Footprint(ctx context.Context) (Footprint, error) {
	var f Footprint
	var err error
	if f.Memory, err = r.Memory(); err != nil {
		return f, err
	}
	p, err := procfs.NewProc(r.Proc.PID())
	if err == nil {
		f.Handles, err = p.FileDescriptorsLen()
	}
	if err != nil {
		return f, fmt.Errorf("counting the gateway's handles: %w", err)
	}
	if f.Goroutines, err = r.goroutines(ctx); err != nil {
		return f, err
	}
	f.file, err = r.FileSize()
	return f, err
}

// FileSize returns the size of the queue's file and its WAL in bytes.
func (r *Rig) FileSize() (int64, error) {
	var size int64
	for _, name := range []string{r.QueueFile(), r.WALFile()} {
		info, err := os.Stat(name)
		if errors.Is(err, fs.ErrNotExist) && name == r.WALFile() {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("measuring the queue's file: %w", err)
		}
		size += info.Size()
	}
	return size, nil
}

// Memory returns the gateway's RssAnon in bytes.
func (r *Rig) Memory() (int64, error) {
	p, err := procfs.NewProc(r.Proc.PID())
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
func (r *Rig) goroutines(ctx context.Context) (int, error) {
	dump, err := r.GoroutineDump(ctx)
	if err != nil {
		return 0, err
	}
	var n int
	if _, err := fmt.Sscanf(dump, "goroutine profile: total %d", &n); err != nil {
		return 0, fmt.Errorf("counting the gateway's goroutines: %w", err)
	}
	return n, nil
}

// GoroutineDump returns the stacks of the gateway's goroutines, with the number of goroutines for
// each stack.
func (r *Rig) GoroutineDump(ctx context.Context) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.Admin+"/debug/pprof/goroutine?debug=1", nil)
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
