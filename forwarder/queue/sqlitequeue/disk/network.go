package disk

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// networkTypes are the file systems that other machines can change at the same time, by
// their names in the list of mounts. For FUSE, the name is the part after "fuse.".
//
// SQLite's WAL keeps its index in a mapped file that all connections share. These file
// systems do not keep such a mapping consistent, and their locks may be lost with a
// connection, or never reach the server. The result is a damaged database, days later.
var networkTypes = map[string]string{
	"nfs": "NFS", "nfs4": "NFS",
	"cifs": "SMB", "smb3": "SMB", "smbfs": "SMB", "smbnetfs": "SMB",
	"afs": "AFS", "kafs": "AFS", "coda": "Coda", "ncpfs": "NCP", "ncp": "NCP",
	"ceph": "Ceph", "ceph-fuse": "Ceph",
	"lustre": "Lustre", "gpfs": "GPFS", "beegfs": "BeeGFS", "pvfs2": "OrangeFS", "glusterfs": "GlusterFS",
	"mfs": "MooseFS", "lizardfs": "LizardFS", "juicefs": "JuiceFS", "JuiceFS": "JuiceFS", "seaweedfs": "SeaweedFS",
	"hdfs": "HDFS", "fuse_dfs": "HDFS", "alluxio-fuse": "Alluxio",
	"sshfs": "sshfs", "davfs": "WebDAV", "davfs2": "WebDAV", "curlftpfs": "FTP", "rclone": "rclone", "gvfsd-fuse": "GVfs",
	"s3fs": "S3", "goofys": "S3", "mountpoint-s3": "S3", "gcsfuse": "Google Cloud Storage", "ossfs": "OSS", "cosfs": "COS",
	"blobfuse": "Azure Blob Storage", "blobfuse2": "Azure Blob Storage",
	// Directories of the host in a virtual machine, which are served like a network
	// file system. virtiofs is not included: the guest's kernel handles its locks and
	// mappings.
	"9p": "9P", "v9fs": "9P", "drvfs": "DrvFs", "vboxsf": "VirtualBox shared folder", "vmhgfs": "VMware shared folder",
	"vmhgfs-fuse": "VMware shared folder", "prl_fs": "Parallels shared folder", "osxfs": "osxfs", "grpcfuse": "gRPC FUSE",
}

// networkMagics are the same file systems by the number that statfs returns, for a
// process that cannot read the list of mounts.
var networkMagics = map[uint32]string{
	0x6969: "NFS", 0xff534d42: "SMB", 0xfe534d42: "SMB", 0x517b: "SMB",
	0x5346414f: "AFS", 0x6b414653: "AFS", 0x73757245: "Coda", 0x564c: "NCP",
	0x00c36400: "Ceph", 0x0bd00bd0: "Lustre", 0x47504653: "GPFS", 0x19830326: "BeeGFS", 0x20030528: "OrangeFS",
	0x01021997: "9P", 0x786f4256: "VirtualBox shared folder", 0xbacbacbc: "VMware shared folder",
}

// RefuseNetwork returns an error if a directory is on a network file system.
func RefuseNetwork(dir string) error {
	return refuseNetworkWith(dir, func() ([]byte, error) { return os.ReadFile("/proc/self/mountinfo") }, fileSystemMagic)
}

// refuseNetworkWith is RefuseNetwork with the system calls as parameters. It uses the
// list of mounts first: the list names the program behind a FUSE mount, for which
// statfs has a single number, and a 9P server may return the number of the file system
// that it serves.
func refuseNetworkWith(dir string, mounts func() ([]byte, error), magic func(dir string) (uint32, error)) error {
	kind := ""
	if list, err := mounts(); err == nil {
		kind = networkMount(string(list), dir)
	} else if m, err := magic(dir); err == nil {
		kind = networkMagics[m]
	}
	if kind == "" && strings.HasPrefix(filepath.VolumeName(dir), `\\`) {
		kind = "SMB" // a share on Windows
	}
	if kind == "" {
		return nil
	}
	return fmt.Errorf("the directory %s is on a network file system (%s), where a SQLite database gets damaged: its locks and shared memory do not work there; use a path on a local disk, and use `caddy scribegate backup` for copies elsewhere", dir, kind)
}

// networkMount returns the kind of network file system on which a directory is, or "".
//
// A line of the list of mounts is: id, parent, device, root, mount point, options, any
// number of tags, "-", type, source, options of the file system.
func networkMount(list, dir string) string {
	kind, longest := "", -1
	for line := range strings.Lines(list) {
		head, tail, ok := strings.Cut(strings.TrimRight(line, "\n"), " - ")
		at, fs := strings.Split(head, " "), strings.Split(tail, " ")
		if !ok || len(at) < 6 || len(fs) < 3 {
			continue
		}
		point := unescapeMount(at[4])
		if len(point) >= longest && within(point, dir) { // a later mount at the same point covers the earlier one
			kind, longest = networkKind(fs[0], unescapeMount(fs[1]), fs[2]), len(point)
		}
	}
	return kind
}

func networkKind(fsType, source, options string) string {
	switch name, sub, _ := strings.Cut(fsType, "."); {
	case fsType == "9p" && strings.Contains(","+options, ",rfdno="):
		// The gVisor sandbox reports its files as 9P, with this option in a spelling
		// that Linux never uses. They are files on the host's own disk, and the sandbox
		// keeps mappings and locks consistent for all of its processes. (Its locks do
		// not exclude a second sandbox: two of them must not share a directory.) On
		// WSL2, in contrast, 9P leads to Windows, where databases were damaged.
		return ""
	case name == "fuse" && sub != "":
		return networkTypes[sub]
	case name == "fuse": // the source may be the name of the program
		return networkTypes[source]
	}
	return networkTypes[fsType]
}

// within reports whether dir is the mount point or below it.
func within(point, dir string) bool {
	rest, ok := strings.CutPrefix(dir, strings.TrimSuffix(point, "/"))
	return ok && (rest == "" || rest[0] == '/')
}

var mountEscapes = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`, `\043`, "#")

func unescapeMount(s string) string { return mountEscapes.Replace(s) }
