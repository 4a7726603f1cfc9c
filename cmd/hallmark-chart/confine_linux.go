// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"runtime"
	"syscall"

	seccomp "github.com/elastic/go-seccomp-bpf"
)

// calls are the system calls that this process makes from here on: to read
// stdin, write stdout and stderr, have memory and end. All others fail: no file
// is opened, no connection made, no program started. They are what Go's runtime
// needs; which ones it makes can be looked up with strace.
var calls = []string{
	"read", "write", "close", "fstat", "lseek",
	"mmap", "munmap", "mremap", "mprotect", "madvise", "mincore", "brk",
	"futex", "sched_yield", "sched_getaffinity", "nanosleep", "clock_nanosleep", "clock_gettime", "gettimeofday", "getrandom",
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall", "gettid", "getpid",
	"epoll_create1", "epoll_ctl", "epoll_pwait", "eventfd2", "pipe2",
	"set_robust_list", "rseq", "exit", "exit_group",
}

// cloneThread is CLONE_THREAD of clone(2): a thread, and not a process.
const cloneThread = 0x00010000

// confine takes from this process, and for good, what a chart has no use for.
// It needs no privilege. What the kernel does not allow is an error; then the
// limits hold nevertheless.
func confine() error {
	self := uint64(os.Getpid()) //nolint:gosec // never negative
	only := []seccomp.NameWithConditions{
		{Name: "clone", Conditions: seccomp.ArgumentConditions{{Argument: 0, Operation: seccomp.BitsSet, Value: cloneThread}}},
		// No owner of a descriptor, to whom the kernel would send signals of our choice: the service, which is of the same user.
		{Name: "fcntl", Conditions: seccomp.ArgumentConditions{{Argument: 1, Operation: seccomp.Equal, Value: syscall.F_GETFL}}},
		{Name: "fcntl", Conditions: seccomp.ArgumentConditions{{Argument: 1, Operation: seccomp.Equal, Value: syscall.F_SETFL}}},
		// The runtime interrupts its own threads.
		{Name: "tgkill", Conditions: seccomp.ArgumentConditions{{Argument: 0, Operation: seccomp.Equal, Value: self}}},
	}
	runtime.LockOSThread() // no_new_privs is the thread's, until the filter takes it to all of them
	defer runtime.UnlockOSThread()
	err := seccomp.LoadFilter(seccomp.Filter{
		NoNewPrivs: true, Flag: seccomp.FilterFlagTSync,
		Policy: seccomp.Policy{
			DefaultAction: seccomp.ActionErrno,
			Syscalls:      []seccomp.SyscallGroup{{Names: calls, NamesWithCondtions: only, Action: seccomp.ActionAllow}},
		},
	})
	if err != nil {
		return fmt.Errorf("filter system calls: %w", err)
	}
	return nil
}
