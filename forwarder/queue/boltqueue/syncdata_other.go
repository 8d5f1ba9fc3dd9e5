//go:build !linux

package boltqueue

import "os"

func syncData(f *os.File) error { return f.Sync() }
