package probe

import (
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/prometheus/procfs"
)

// Facts returns the facts about the machine and the gateway's binary that the figures depend on.
// dir is the directory of the queues.
func Facts(dir, binary string) ([]string, error) {
	cpus, err1 := os.ReadFile("/proc/cpuinfo")
	memory, err2 := machineMemory()
	kernel, err3 := os.ReadFile("/proc/sys/kernel/osrelease")
	mounts, err4 := procfs.GetMounts()
	dir, err5 := filepath.Abs(dir)
	info, err6 := buildinfo.ReadFile(binary)
	if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
		return nil, err
	}
	return []string{
		fmt.Sprintf("%s, %d cores, %.1f GiB of memory", cpuModel(string(cpus)), runtime.NumCPU(), float64(memory)/(1<<30)),
		fmt.Sprintf("Linux %s, the queues on %s", strings.TrimSpace(string(kernel)), fileSystem(mounts, dir)),
		fmt.Sprintf("%s, Caddy %s%s; the load generator %s", info.GoVersion, dependency(info, caddyModule), revision(info), runtime.Version()),
	}, nil
}

const caddyModule = "github.com/caddyserver/caddy/v2"

// cpuModel returns the processor's name in /proc/cpuinfo.
func cpuModel(cpuinfo string) string {
	for line := range strings.Lines(cpuinfo) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH + " processor"
}

// machineMemory returns the size of the machine's memory in bytes.
func machineMemory() (uint64, error) {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return 0, err
	}
	info, err := fs.Meminfo()
	if err != nil {
		return 0, err
	}
	if info.MemTotalBytes == nil {
		return 0, errors.New("/proc/meminfo has no MemTotal")
	}
	return *info.MemTotalBytes, nil
}

// fileSystem returns the type of the file system that a directory is on: the one with the
// longest mount point that is a parent of the directory.
func fileSystem(mounts []*procfs.MountInfo, dir string) string {
	found, longest := "an unknown file system", -1
	for _, m := range mounts {
		within := dir == m.MountPoint || strings.HasPrefix(dir, strings.TrimSuffix(m.MountPoint, "/")+"/")
		if within && len(m.MountPoint) >= longest {
			found, longest = m.FSType, len(m.MountPoint)
		}
	}
	return found
}

// dependency returns the version of a module that a binary was built with.
func dependency(info *buildinfo.BuildInfo, path string) string {
	for _, m := range info.Deps {
		if m.Path == path {
			return m.Version
		}
	}
	return "of an unknown version"
}

// revision returns the commit that a binary was built from, or "" if it is unknown.
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
