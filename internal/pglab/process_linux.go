// SPDX-License-Identifier: Apache-2.0

package pglab

import "syscall"

// attributes run a program as who, in a process group of its own (an interrupt
// at the terminal is for the test, which then ends the server), and have it
// killed when the test binary dies, however it does.
func attributes(who *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: who, Setpgid: true, Pdeathsig: syscall.SIGQUIT}
}
