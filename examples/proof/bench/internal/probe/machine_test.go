package probe

import (
	"debug/buildinfo"
	"runtime/debug"
	"testing"

	"github.com/prometheus/procfs"
)

func TestCPUModel(t *testing.T) {
	t.Parallel()
	if got := cpuModel("processor\t: 0\nmodel\t\t: 17\nmodel name\t: A B: 3000\nmodel name\t: other\n"); got != "A B: 3000" {
		t.Errorf("cpuModel() = %q", got)
	}
	if got := cpuModel("CPU implementer : 0x41\n"); got == "" {
		t.Error("cpuModel() = \"\" for a processor without a name")
	}
}

func TestFileSystem(t *testing.T) {
	t.Parallel()
	mounts := []*procfs.MountInfo{
		{MountPoint: "/", FSType: "ext4"},
		{MountPoint: "/tmp", FSType: "tmpfs"},
		{MountPoint: "/tmp/disk", FSType: "xfs"},
	}
	for dir, want := range map[string]string{"/tmp": "tmpfs", "/tmp/a": "tmpfs", "/tmpfile": "ext4", "/tmp/disk/a/b": "xfs", "/tmp/diskette": "tmpfs", "/home": "ext4"} {
		if got := fileSystem(mounts, dir); got != want {
			t.Errorf("fileSystem(%s) = %s, want %s", dir, got, want)
		}
	}
	if got := fileSystem(nil, "/tmp"); got != "an unknown file system" {
		t.Errorf("fileSystem() = %s without mounts", got)
	}
}

func TestBuildInfo(t *testing.T) {
	t.Parallel()
	info := &buildinfo.BuildInfo{
		Deps:     []*debug.Module{{Path: "a", Version: "v1"}, {Path: caddyModule, Version: "v2.11.9"}},
		Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.modified", Value: "true"}},
	}
	if got := dependency(info, caddyModule); got != "v2.11.9" {
		t.Errorf("dependency() = %s", got)
	}
	if got := dependency(info, "b"); got != "of an unknown version" {
		t.Errorf("dependency() = %s", got)
	}
	if got := revision(info); got != ", gateway 0123456789ab with changes" {
		t.Errorf("revision() = %s", got)
	}
	if got := revision(&buildinfo.BuildInfo{}); got != "" {
		t.Errorf("revision() = %s", got)
	}
}
