//go:build !linux

package disk

import (
	"errors"
	"os"
)

func fileSystemMagic(string) (uint32, error) { return 0, errors.ErrUnsupported }

// Space returns an error: there is no reserve on this system.
func Space(string) (free, total uint64, err error) { return 0, 0, errors.ErrUnsupported }

func allocate(*os.File, int64) error { return errors.ErrUnsupported }

// PreventCheckpoint returns an error: it needs locks that belong to an open file.
func PreventCheckpoint(string) (release func() error, err error) { return nil, errors.ErrUnsupported }

// InUse reports whether another open file has a lock on the database, as far as is known.
func InUse(string) (bool, error) { return false, nil }

// Named reports whether an open file has a name in any directory, as far as is known.
func Named(*os.File) bool { return false }
