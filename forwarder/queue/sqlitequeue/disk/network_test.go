package disk

import (
	"errors"
	"strings"
	"testing"
)

const testMounts = `22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
30 27 0:40 / /mnt/nfs rw,relatime shared:2 master:3 - nfs4 server:/export rw,vers=4.2
31 27 0:41 / /mnt/nfs/local rw - xfs /dev/vdb rw
32 27 0:42 / /mnt/share rw - cifs //server/share rw,vers=3.1.1
33 27 0:43 / /mnt/with\040space rw - fuse.sshfs user@host:/ rw,user_id=0
34 27 0:44 / /mnt/s3 rw - fuse mountpoint-s3 rw
35 27 0:45 / /mnt/c rw,noatime - 9p C:\134 rw,dirsync,aname=drvfs;path=C:\;uid=1000,mmap,access=client,trans=fd,rfd=8,wfd=8
36 27 0:46 / /mnt/vm rw - 9p hostshare rw,access=client,trans=virtio
37 27 0:47 / /mnt/over rw - nfs server:/export rw
38 37 0:48 / /mnt/over rw - tmpfs tmpfs rw
39 27 0:49 / /mnt/under rw - tmpfs tmpfs rw
40 39 0:50 / /mnt/under rw - ceph mon:/ rw
41 27 0:51 / /mnt/ntfs rw - fuseblk /dev/sdb1 rw
42 27 0:52 / /mnt/crypt rw - fuse.gocryptfs /home/x rw
43 27 0:53 / /mnt/virtio rw - virtiofs share rw
44 27 0:54 / /mnt/gluster rw - fuse.glusterfs server:vol rw
45 27 0:55 / /mnt/lustre rw - lustre 10.0.0.1@tcp:/fs rw
46 27 0:56 / /mnt/overlay rw - overlay overlay rw,lowerdir=/a,upperdir=/b,workdir=/c
not a line of this form
`

const sandboxMounts = `1 0 0:1 / / rw - 9p none rw,trans=fd,rfdno=4,wfdno=4,aname=/,dfltuid=4294967294,dcache=1000,cache=remote_revalidating,directfs
2 1 0:2 / /data rw - 9p none rw,trans=fd,rfdno=5,wfdno=5,aname=/data
`

func TestRefuseNetwork(t *testing.T) {
	t.Parallel()
	none := errors.New("no list of mounts")
	for _, c := range []struct {
		name, mounts, dir string
		magic             uint32
		kind              string // "": local
	}{
		{"root", testMounts, "/var/lib/caddy", 0, ""},
		{"root itself", testMounts, "/", 0, ""},
		{"nfs", testMounts, "/mnt/nfs", 0, "(NFS)"},
		{"below nfs", testMounts, "/mnt/nfs/a/b", 0, "(NFS)"},
		{"a disk below nfs", testMounts, "/mnt/nfs/local/a", 0, ""},
		{"a name that begins like nfs's", testMounts, "/mnt/nfs2", 0, ""},
		{"smb", testMounts, "/mnt/share/x", 0, "(SMB)"},
		{"sshfs, with a space", testMounts, "/mnt/with space/x", 0, "(sshfs)"},
		{"fuse named by its source", testMounts, "/mnt/s3", 0, "(S3)"},
		{"WSL2", testMounts, "/mnt/c/Users", 0, "(9P)"},
		{"host of a virtual machine", testMounts, "/mnt/vm", 0, "(9P)"},
		{"a disk over nfs", testMounts, "/mnt/over/x", 0, ""},
		{"ceph over a disk", testMounts, "/mnt/under/x", 0, "(Ceph)"},
		{"ntfs-3g", testMounts, "/mnt/ntfs", 0, ""},
		{"gocryptfs", testMounts, "/mnt/crypt", 0, ""},
		{"virtiofs", testMounts, "/mnt/virtio", 0, ""},
		{"overlay", testMounts, "/mnt/overlay", 0, ""},
		{"glusterfs", testMounts, "/mnt/gluster", 0, "(GlusterFS)"},
		{"lustre", testMounts, "/mnt/lustre", 0, "(Lustre)"},
		{"gVisor", sandboxMounts, "/var/lib/caddy", 0, ""},
		{"gVisor, a volume", sandboxMounts, "/data/x", 0, ""},
		{"statfs does not overrule the list", testMounts, "/srv", 0x6969, ""},
		{"no list, ext4", "", "/srv", 0xef53, ""},
		{"no list, nfs", "", "/srv", 0x6969, "(NFS)"},
		{"no list, smb2", "", "/srv", 0xfe534d42, "(SMB)"},
		{"no list, cifs", "", "/srv", 0xff534d42, "(SMB)"},
		{"no list, afs", "", "/srv", 0x5346414f, "(AFS)"},
		{"no list, ceph", "", "/srv", 0x00c36400, "(Ceph)"},
		{"no list, lustre", "", "/srv", 0x0bd00bd0, "(Lustre)"},
		{"no list, 9p", "", "/srv", 0x01021997, "(9P)"},
		{"no list, no statfs", "", "/srv", 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := refuseNetworkWith(c.dir, func() ([]byte, error) {
				if c.mounts == "" {
					return nil, none
				}
				return []byte(c.mounts), nil
			}, func(string) (uint32, error) {
				if c.magic == 0 {
					return 0, errors.New("no statfs")
				}
				return c.magic, nil
			})
			switch {
			case c.kind == "" && err != nil:
				t.Error(err)
			case c.kind != "" && (err == nil || !strings.Contains(err.Error(), c.kind) || !strings.Contains(err.Error(), c.dir) || !strings.Contains(err.Error(), "local disk")):
				t.Errorf("%v, want an error with the directory and %s", err, c.kind)
			}
		})
	}
	mustNot(t, RefuseNetwork(realTempDir(t)))
}
