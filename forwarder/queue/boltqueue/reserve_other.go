//go:build !linux

package boltqueue

import "os"

func allocate(*os.File, int64, int64) error { return nil }

func available(*os.File) int64 { return 0 }
