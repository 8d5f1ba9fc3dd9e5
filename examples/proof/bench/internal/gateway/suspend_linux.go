package gateway

import "syscall"

// Suspend stops the gateway's process until Resume.
func (g *Gateway) Suspend() error { return syscall.Kill(g.Process.PID(), syscall.SIGSTOP) }

// Resume continues the gateway's process after Suspend.
func (g *Gateway) Resume() error { return syscall.Kill(g.Process.PID(), syscall.SIGCONT) }
