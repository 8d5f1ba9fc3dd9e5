package main

import (
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// machine returns what the figures depend on.
func (b *bench) machine() ([]string, error) {
	cpus, err1 := os.ReadFile("/proc/cpuinfo")
	memory, err2 := os.ReadFile("/proc/meminfo")
	kernel, err3 := os.ReadFile("/proc/sys/kernel/osrelease")
	mounts, err4 := os.ReadFile("/proc/self/mountinfo")
	dir, err5 := filepath.Abs(b.dir)
	info, err6 := buildinfo.ReadFile(b.binary)
	times, err7 := fdatasyncs(b.dir, b.slice)
	if err := errors.Join(err1, err2, err3, err4, err5, err6, err7); err != nil {
		return nil, fmt.Errorf("looking at the machine: %w", err)
	}
	total, err := kibibytes(string(memory), "MemTotal:")
	if err != nil {
		return nil, fmt.Errorf("looking at the machine: %w", err)
	}
	sync := inTimes(times)
	return []string{
		fmt.Sprintf("%s, %d cores, %.1f GiB of memory", cpuModel(string(cpus)), runtime.NumCPU(), float64(total)/(1<<30)),
		fmt.Sprintf("Linux %s, the queues on %s", strings.TrimSpace(string(kernel)), fileSystem(string(mounts), dir)),
		fmt.Sprintf("%s, Caddy %s%s; the load generator %s", info.GoVersion, dependency(info, caddyModule), revision(info), runtime.Version()),
		fmt.Sprintf("one fdatasync: p50 %s, p99 %s", showSeconds(sync.p50), showSeconds(sync.p99)),
	}, nil
}

const caddyModule = "github.com/caddyserver/caddy/v2"

// cpuModel is the processor's name in /proc/cpuinfo.
func cpuModel(cpuinfo string) string {
	for line := range strings.Lines(cpuinfo) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH + " processor"
}

// fileSystem is the type of the file system that a directory is on, by
// /proc/self/mountinfo: its mount point is the longest that the path begins with.
func fileSystem(mounts, dir string) string {
	found, longest := "an unknown file system", -1
	for line := range strings.Lines(mounts) {
		left, right, ok := strings.Cut(line, " - ")
		fields, kinds := strings.Fields(left), strings.Fields(right)
		if !ok || len(fields) < 5 || len(kinds) < 1 {
			continue
		}
		point := fields[4]
		within := dir == point || strings.HasPrefix(dir, strings.TrimSuffix(point, "/")+"/")
		if within && len(point) >= longest {
			found, longest = kinds[0], len(point)
		}
	}
	return found
}

// dependency is the version of a module that a binary was built with.
func dependency(info *buildinfo.BuildInfo, path string) string {
	for _, m := range info.Deps {
		if m.Path == path {
			return m.Version
		}
	}
	return "of an unknown version"
}

// revision is the commit that a binary was built from, and nothing where that is
// not known.
func revision(info *buildinfo.BuildInfo) string {
	commit, changed := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = " with changes"
		}
	}
	if commit == "" {
		return ""
	}
	return ", gateway " + commit + changed
}
