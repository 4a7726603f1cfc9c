// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestReadOnly(t *testing.T) {
	const maps = `00400000-01c67000 r-xp 00000000 fe:00 10019074                           /usr/bin/hallmark-server
01c67000-037a7000 r--p 01867000 fe:00 10019074                           /usr/bin/hallmark-server
037a7000-038b1000 rw-p 033a7000 fe:00 10019074                           /usr/bin/hallmark-server
038b1000-05908000 rw-p 00000000 00:00 0
7f0000000000-7f0000008000 rw-s 00000000 fe:00 4                          /data/hallmark.db-shm
7f0000010000-7f0000020000 r--p 00000000 fe:00 5                          /opt/usr/bin/hallmark-server.old
7f0000030000-7f0000020000 r--p 00000000 fe:00 10019074                   /usr/bin/hallmark-server
none-7f0000020000 r--p 00000000 fe:00 10019074                           /usr/bin/hallmark-server
r--p /usr/bin/hallmark-server
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
	maps, err := os.ReadFile("/proc/self/maps")
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
