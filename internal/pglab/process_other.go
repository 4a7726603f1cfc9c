// SPDX-License-Identifier: Apache-2.0

//go:build unix && !linux

package pglab

import "syscall"

// attributes run a program as who, in a process group of its own. Only Linux
// ends it with a test binary that is killed.
func attributes(who *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: who, Setpgid: true}
}
