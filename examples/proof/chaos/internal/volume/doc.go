// Package volume mounts small file systems in memory, which a scenario can fill.
package volume
