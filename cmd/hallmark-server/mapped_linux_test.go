// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestReadOnly(t *testing.T) {
	const (
		clean   = "Size:               100 kB\nPrivate_Dirty:       12 kB\nAnonymous:             0 kB\nSwap:                  0 kB\nVmFlags: rd ex mr mw me\n"
		changed = "Size:               100 kB\nPrivate_Dirty:       12 kB\nAnonymous:            12 kB\nSwap:                  0 kB\nVmFlags: rd ex mr mw me\n"
		swapped = "Size:               100 kB\nPrivate_Dirty:       12 kB\nAnonymous:             0 kB\nSwap:                 12 kB\nVmFlags: rd ex mr mw me\n"
	)
	const maps = `00400000-01c67000 r-xp 00000000 fe:00 10019074                           /usr/bin/hallmark-server
` + clean + `01c67000-037a7000 r--p 01867000 fe:00 10019074                           /usr/bin/hallmark-server
` + clean + `037a7000-038b1000 rw-p 033a7000 fe:00 10019074                           /usr/bin/hallmark-server
` + clean + `038b1000-05908000 rw-p 00000000 00:00 0
` + clean + `05908000-05909000 r--p 033a7000 fe:00 10019074                           /usr/bin/hallmark-server
` + changed + `05909000-0590a000 r--p 033a7000 fe:00 10019074                           /usr/bin/hallmark-server
` + swapped + `7f0000000000-7f0000008000 rw-s 00000000 fe:00 4                          /data/hallmark.db-shm
` + clean + `7f0000010000-7f0000020000 r--p 00000000 fe:00 5                          /opt/usr/bin/hallmark-server.old
` + clean + `7f0000030000-7f0000020000 r--p 00000000 fe:00 10019074                   /usr/bin/hallmark-server
` + clean + `none-7f0000020000 r--p 00000000 fe:00 10019074                           /usr/bin/hallmark-server
` + clean + `r--p /usr/bin/hallmark-server
` + clean + `7f0000040000-7f0000050000 r--p 00000000 fe:00 10019074                   /usr/bin/hallmark-server
`
	want := []mapped{{0x400000, 0x1c67000}, {0x1c67000, 0x37a7000}}
	if got := readOnly(strings.NewReader(maps), "/usr/bin/hallmark-server"); !slices.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
}

// TestForgetStart touches all of the program's read-only data, forgets it, and
// reads it once more: the resident set is smaller, and the bytes are the same.
func TestForgetStart(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	ranges := readOnly(bytes.NewReader(maps), program)
	if len(ranges) == 0 {
		t.Fatalf("no mapping of %s:\n%s", program, maps)
	}
	memory, err := os.Open("/proc/self/mem")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = memory.Close() }()
	read := func() (all []byte) {
		for _, r := range ranges {
			part := make([]byte, r.to-r.from)
			if _, err := memory.ReadAt(part, int64(r.from)); err != nil {
				t.Fatal(err)
			}
			all = append(all, part...)
		}
		return all
	}
	before := read()
	full := residentFiles(t)
	forgetStart()
	if left := residentFiles(t); left > full-len(before)/4 {
		t.Errorf("%d bytes of files are resident after %d, with a program of %d", left, full, len(before))
	}
	if !bytes.Equal(before, read()) {
		t.Error("the program is another one")
	}
}

// TestForgetRelocated: what the loader of a position-independent program has
// written into its read-only data, as distributions build programs, is not
// forgotten. Here it is written by hand.
func TestForgetRelocated(t *testing.T) {
	program, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = program.Close() }()
	page := os.Getpagesize()
	data, err := unix.Mmap(int(program.Fd()), 0, 2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(data) }()
	copy(data[page:], "an address")
	if err := unix.Mprotect(data, unix.PROT_READ); err != nil {
		t.Fatal(err)
	}
	forgetStart()
	if got := string(data[page : page+len("an address")]); got != "an address" {
		t.Errorf("the page has %q", got)
	}
}

// residentFiles is how much of the resident set are pages of files.
func residentFiles(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "RssFile:"); ok {
			kib, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatalf("no RssFile in\n%s", status)
	return 0
}
