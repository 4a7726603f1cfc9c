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
// A mapping of which a page is not the file's any more is left alone: it is
// lost with its page. In a position-independent program those are the tables of
// addresses that the loader has filled in and then protected; under a debugger,
// the text with a breakpoint in it.
//
// What cannot be done is left as it is: only the resident set is larger.
func forgetStart() {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer func() { _ = maps.Close() }() // was only read
	for _, r := range readOnly(maps, program) {
		// Nothing is lost: these pages are those of the file.
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, r.from, r.to-r.from, unix.MADV_DONTNEED)
	}
}

// mapped is a range of addresses.
type mapped struct{ from, to uintptr }

// readOnly are the mappings of a file, of those listed in the form of
// /proc/PID/smaps, that nobody writes to or has written to.
func readOnly(maps io.Reader, file string) []mapped {
	var found []mapped
	var at mapped // of the mapping that the lines are about; zero: none that is wanted
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		// "00400000-01c67000 r-xp 00000000 fe:00 10019074    /usr/bin/hallmark-server"
		// "Anonymous:             0 kB", its pages in memory that are not the file's
		// "Swap:                  0 kB", and those that are in swap space
		name, rest, _ := strings.Cut(lines.Text(), " ")
		none := strings.TrimSpace(rest) == "0 kB"
		switch {
		case name == "Anonymous:" && !none:
			at = mapped{}
		case name == "Swap:" && none && at != mapped{}:
			found = append(found, at)
		case strings.HasSuffix(name, ":"):
		default:
			at = mapping(name, rest, file)
		}
	}
	return found
}

// mapping reads the first line about a mapping. It is zero if that is not a
// read-only one of the file.
func mapping(addresses, rest, file string) mapped {
	mode, rest, _ := strings.Cut(rest, " ")
	if (mode != "r-xp" && mode != "r--p") || !strings.HasSuffix(rest, " "+file) {
		return mapped{}
	}
	low, high, _ := strings.Cut(addresses, "-")
	from, err := strconv.ParseUint(low, 16, 64)
	if err != nil {
		return mapped{}
	}
	to, err := strconv.ParseUint(high, 16, 64)
	if err != nil || to <= from {
		return mapped{}
	}
	return mapped{uintptr(from), uintptr(to)}
}
