// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// clockTick is USER_HZ, in which /proc counts processor time on every Linux.
const clockTick = 10 * time.Millisecond

// procStat is what /proc/PID/stat tells of a process.
type procStat struct {
	parent int
	cpu    time.Duration // user and system, of all its threads
	reaped time.Duration // of children that have ended
}

func readStat(pid int) (procStat, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return procStat{}, err
	}
	// The second field is the program's name in parentheses, which may hold
	// anything; the third is the state.
	fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
	number := func(i int) int64 {
		if i-3 >= len(fields) {
			return 0
		}
		n, _ := strconv.ParseInt(fields[i-3], 10, 64) // proc(5) counts from 1
		return n
	}
	return procStat{
		parent: int(number(4)),
		cpu:    time.Duration(number(14)+number(15)) * clockTick,
		reaped: time.Duration(number(16)+number(17)) * clockTick,
	}, nil
}

// cpuOf is the processor time that processes have used so far. A process that
// is gone counts nothing.
func cpuOf(pids []int) time.Duration {
	var sum time.Duration
	for _, pid := range pids {
		if s, err := readStat(pid); err == nil {
			sum += s.cpu
		}
	}
	return sum
}

// cpuOfTree is cpuOf a process, its living children, and those it has waited
// for: PostgreSQL's postmaster.
func cpuOfTree(root int) time.Duration {
	if root == 0 {
		return 0
	}
	sum := cpuOf(append(childrenOf(root), root))
	if s, err := readStat(root); err == nil {
		sum += s.reaped
	}
	return sum
}

// childrenOf lists the processes whose parent is pid.
func childrenOf(pid int) []int {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is right
	var children []int
	for _, path := range stats {
		child, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			continue
		}
		if s, err := readStat(child); err == nil && s.parent == pid {
			children = append(children, child)
		}
	}
	slices.Sort(children)
	return children
}

// residentNow and residentMost are the resident set of a process, bytes.
func residentNow(pid int) int64  { return memory(pid, "VmRSS:") }
func residentMost(pid int) int64 { return memory(pid, "VmHWM:") }

func memory(pid int, field string) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, field); ok {
			kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64) // of the kernel
			return kib << 10
		}
	}
	return 0
}
