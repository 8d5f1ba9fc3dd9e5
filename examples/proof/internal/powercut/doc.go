// Package powercut calculates what a power cut can leave of a directory, at any moment in the life of a
// real process, and checks whether a queue that is opened on it still keeps its promises.
//
// The process runs with strace, whose log has each write with all its bytes, and each sync, rename and
// answer, in order. This includes the writes to SQLite's database, to its WAL, and those of each
// checkpoint. [Read] returns the log as a [Recording]. A [Disk] goes through the recording and separates
// data that is on stable storage from data that is not yet. A [Manner] says what happens to the latter.
// [Replay] does this for many moments, and opens the queue on each result.
//
// # What a disk may do
//
// The model guarantees only what POSIX guarantees. Most file systems guarantee more:
//
//   - A write is on stable storage when a sync of its file has returned that began after the end of the
//     write. This is also true for fdatasync and the size of the file, since reading the file needs it:
//     fsync(2), fdatasync(2).
//   - Before that, any of the write's sectors of 512 bytes may be on the disk, or none: writes between two
//     syncs happen in any order, and may be torn (Pillai et al., "All File Systems Are Not Created Equal",
//     OSDI 2014, table 1 and section 3).
//   - A file may have grown without its data. Then the data is zeros or, if nothing was stored there
//     before, any old content of the disk (ext4's data=writeback, Documentation/filesystems/ext4).
//   - A name that was made, replaced or removed is on stable storage when its directory was synced in the
//     same way. fdatasync counts too, since SQLite uses it. Before that the change may be on the disk or
//     not, independently of other names and of the file's data. A rename is done completely or not at all.
//   - The shared memory of SQLite's connections, a file whose name ends in -shm, is written through a
//     mapping and never synced. Its name is recorded like any other. It may be empty, zeros or anything.
//
// An answer counts as given from the moment when the process starts to write it, a sync from the moment
// when it has returned.
//
// # What is not covered
//
// A sector that is torn in itself or unreadable; a disk that reports a sync that it did not do; a rename
// after which both names exist; damage to old data that is not being written; file systems without sectors,
// such as NFS.
//
// A power cut while the queue is opened after another power cut is a separate recording, which starts with
// the files that the first one has left.
package powercut
