// SPDX-License-Identifier: Apache-2.0

package chartreader

import "syscall"

// apart are the namespaces that the program has for itself. They are empty: the
// network has no interface that is up, not even loopback.
const apart = syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS

// ways, the best first: as anybody, in a user namespace, in which the program
// is nobody; as an administrator, where those are forbidden; with the service's
// network.
var ways = []way{
	{attr: withFlags(apart | syscall.CLONE_NEWUSER)},
	{attr: withFlags(apart)},
	{without: "a network namespace without a network", attr: withFlags(0)},
}

func withFlags(flags uintptr) func() *syscall.SysProcAttr {
	return func() *syscall.SysProcAttr {
		return &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGKILL}
	}
}
