//go:build !linux

package main

import (
	"errors"
	"time"
)

var errLinux = errors.New("the benchmark runs only on Linux: it needs /proc and fdatasync")

func fdatasyncs(string, time.Duration) ([]time.Duration, error) { return nil, errLinux }

func ownProcessorTime() (time.Duration, error) { return 0, errLinux }

func suspend(int) error { return errLinux }

func resume(int) error { return errLinux }
