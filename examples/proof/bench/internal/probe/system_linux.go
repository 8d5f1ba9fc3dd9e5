package probe

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"
)

// The file for measuring fdatasync. It is fully written before, so that no write changes its size.
const (
	syncFile  = 64 << 20
	syncBlock = 4 << 10
	syncMost  = 5000
)

// Fdatasyncs measures, for the duration lasts, the time of a write of 4 KiB with fdatasync, in a file
// whose space is already allocated. It returns all times, sorted. The file is in dir, and is deleted.
func Fdatasyncs(dir string, lasts time.Duration) (times []time.Duration, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("measuring fdatasync: %w", err)
		}
	}()
	f, err := os.CreateTemp(dir, "fdatasync-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	whole := make([]byte, 1<<20)
	for range syncFile / len(whole) {
		if _, err := f.Write(whole); err != nil {
			return nil, err
		}
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	block := make([]byte, syncBlock)
	for began := time.Now(); time.Since(began) < lasts && len(times) < syncMost; {
		block[0]++
		start := time.Now()
		if _, err := f.WriteAt(block, int64(len(times)*syncBlock%syncFile)); err != nil {
			return nil, err
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			return nil, err
		}
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	return times, nil
}

// OwnProcessorTime returns the processor time that this process has used since its start, with
// that of its children that have ended.
func OwnProcessorTime() (sum time.Duration, err error) {
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var usage syscall.Rusage
		if err := syscall.Getrusage(who, &usage); err != nil {
			return 0, fmt.Errorf("measuring the load generator's processor time: %w", err)
		}
		sum += time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	return sum, nil
}
