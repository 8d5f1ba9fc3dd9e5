//go:build linux && (amd64 || arm64)

package pagecache

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"
)

// dontNeed is POSIX_FADV_DONTNEED.
const dontNeed = 4

// Drop syncs a file, drops it from the page cache and returns the share that is still in the cache, from 0 to
// 1. No process may have the file open.
func Drop(path string) (resident float64, err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return 0, fmt.Errorf("dropping a file from the page cache: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Sync(); err != nil {
		return 0, fmt.Errorf("dropping a file from the page cache: %w", err)
	}
	if _, _, errno := syscall.Syscall6(syscall.SYS_FADVISE64, f.Fd(), 0, 0, dontNeed, 0, 0); errno != 0 {
		return 0, fmt.Errorf("dropping a file from the page cache: %w", errno)
	}
	return residency(f)
}

// residency returns the share of a file that is in the page cache.
func residency(f *os.File) (share float64, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, fmt.Errorf("reading the state of the page cache: %w", err)
	}
	if info.Size() == 0 {
		return 0, nil
	}
	mapped, err := syscall.Mmap(int(f.Fd()), 0, int(info.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return 0, fmt.Errorf("reading the state of the page cache: %w", err)
	}
	defer func() { err = errors.Join(err, syscall.Munmap(mapped)) }()
	pages := make([]byte, (len(mapped)+os.Getpagesize()-1)/os.Getpagesize())
	first, into := unsafe.Pointer(&mapped[0]), unsafe.Pointer(&pages[0]) //nolint:gosec // arguments of mincore
	_, _, errno := syscall.Syscall(syscall.SYS_MINCORE, uintptr(first), uintptr(len(mapped)), uintptr(into))
	if errno != 0 {
		return 0, fmt.Errorf("reading the state of the page cache: %w", errno)
	}
	resident := 0
	for _, page := range pages {
		resident += int(page & 1)
	}
	return float64(resident) / float64(len(pages)), nil
}
