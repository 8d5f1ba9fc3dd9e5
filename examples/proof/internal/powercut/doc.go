// Package powercut works out what a power cut may leave of a directory, at any
// moment of a real process's life, and looks whether a queue that is opened on it
// still keeps what was promised.
//
// The process runs under strace, whose log holds each write, with all its bytes,
// and each sync, rename and answer, in their order: those of SQLite's database, of
// its WAL and of each checkpoint are among them. [Read] makes a [Recording] of it.
// A [Disk] goes through that and separates what is on stable storage from what is
// not yet, and a [Manner] says what becomes of the latter. [Replay] does that at
// many moments, and opens the queue on each outcome.
//
// # What a disk may do
//
// The model grants what POSIX does and no more; most file systems are kinder:
//
//   - A write is on stable storage when a sync of its file that began after the
//     write had ended has returned. fdatasync does for the file's size, too, since
//     reading the file back needs it: fsync(2), fdatasync(2).
//   - Before that, any of its sectors of 512 bytes may be there, or none: writes
//     between two syncs are done in any order and are torn (Pillai et al., "All
//     File Systems Are Not Created Equal", OSDI 2014, table 1 and section 3).
//   - A file may have grown without its data, which is then zeros, or, where
//     nothing was stored before, whatever the disk held there (ext4's
//     data=writeback, Documentation/filesystems/ext4).
//   - A name that was made, replaced or removed is on stable storage when its
//     directory was synced, in the same way, be it by fdatasync, as SQLite does.
//     Before that it may be there or not, whatever became of other names and of the
//     file's data. A rename is done whole or not at all.
//   - The memory that SQLite's connections share, a file whose name ends in -shm, is
//     written through a mapping and never synced. Its name is recorded like any
//     other, and it holds nothing, zeros or anything.
//
// An answer counts as given from the moment at which the process begins to write
// it, a sync from the moment at which it has returned.
//
// # What it leaves out
//
// A sector that is torn in itself, or can no longer be read; a disk that says it
// has synced and has not; a rename of which both names stay; damage to what was
// stored before and is not being written. File systems without sectors of their own,
// as NFS.
//
// A power cut while the queue is opened after another one is a recording of its own,
// which begins with what the first has left.
package powercut
