//go:build !linux

package disk

import (
	"errors"
	"os"
)

func fileSystemMagic(string) (uint32, error) { return 0, errors.ErrUnsupported }

// Space returns an error: this system has no reserve.
func Space(string) (free, total uint64, err error) { return 0, 0, errors.ErrUnsupported }

func allocate(*os.File, int64) error { return errors.ErrUnsupported }

// PreventCheckpoint returns an error: it needs locks that belong to an open file.
func PreventCheckpoint(string) (release func() error, err error) { return nil, errors.ErrUnsupported }

// InUse returns false: this system cannot report locks.
func InUse(string) (bool, error) { return false, nil }

// A Range is a part of a file, in bytes. End is the first byte after it.
type Range struct{ Start, End int64 }

// Holes returns none: this system cannot report them.
func Holes(*os.File) ([]Range, error) { return nil, nil }

// Named returns false: this system cannot report it.
func Named(*os.File) bool { return false }
