//go:build !linux

package main

import (
	"errors"
	"time"
)

var errLinux = errors.New("the benchmark measures with what Linux reports of processes and disks, and runs only there")

func fdatasyncs(string, time.Duration) ([]time.Duration, error) { return nil, errLinux }

func ownProcessorTime() (time.Duration, error) { return 0, errLinux }

func freeze(int) error { return errLinux }

func thaw(int) error { return errLinux }
