// Package probe measures the processor time and memory of processes, and the disk, and returns facts
// about the machine. It measures only on Linux.
package probe
