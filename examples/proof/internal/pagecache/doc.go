// Package pagecache takes a file out of the system's page cache, so that what
// reads it next reads it from the disk, as after a boot. It is written for Linux.
package pagecache
