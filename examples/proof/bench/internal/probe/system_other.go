//go:build !linux

package probe

import (
	"errors"
	"time"
)

var errLinux = errors.New("the benchmark runs only on Linux: it needs /proc and fdatasync")

// Fdatasyncs returns an error.
func Fdatasyncs(string, time.Duration) ([]time.Duration, error) { return nil, errLinux }

// OwnProcessorTime returns an error.
func OwnProcessorTime() (time.Duration, error) { return 0, errLinux }
