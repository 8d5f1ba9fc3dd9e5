// Package pagecache removes a file from the system's page cache, so that the next read comes from the disk, as
// after a boot. It needs Linux.
package pagecache
