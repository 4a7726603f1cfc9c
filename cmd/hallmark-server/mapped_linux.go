// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// forgetStart takes the program's own text and read-only data out of the
// process's memory. Starting touches most of it once, in the initialization of
// every package that is linked, the clouds' SDKs with it, and the kernel maps
// fifteen neighbours along with each page: 44 MB, of which serving needs 25. What
// is used again comes back from the page cache, page by page, without the disk.
//
// What cannot be done is left as it is: only the resident set is larger.
func forgetStart() {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer func() { _ = maps.Close() }() // was only read
	for _, r := range readOnly(maps, program) {
		// Nothing is lost: pages that cannot be written are those of the file.
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, r.from, r.to-r.from, unix.MADV_DONTNEED)
	}
}

// mapped is a range of addresses.
type mapped struct{ from, to uintptr }

// readOnly are the mappings of a file, of those listed in the form of
// /proc/PID/maps, that nobody writes to.
func readOnly(maps io.Reader, file string) []mapped {
	var found []mapped
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		// "00400000-01c67000 r-xp 00000000 fe:00 10019074    /usr/bin/hallmark-server"
		at, rest, _ := strings.Cut(lines.Text(), " ")
		mode, rest, _ := strings.Cut(rest, " ")
		if (mode != "r-xp" && mode != "r--p") || !strings.HasSuffix(rest, " "+file) {
			continue
		}
		low, high, _ := strings.Cut(at, "-")
		from, err := strconv.ParseUint(low, 16, 64)
		if err != nil {
			continue
		}
		to, err := strconv.ParseUint(high, 16, 64)
		if err != nil || to <= from {
			continue
		}
		found = append(found, mapped{uintptr(from), uintptr(to)})
	}
	return found
}
