package pgtest

import "syscall"

// endWithParent makes a process end with the tests, however they end.
func endWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGQUIT }
