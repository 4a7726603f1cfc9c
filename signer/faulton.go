// SPDX-License-Identifier: Apache-2.0

//go:build hallmarkfaults

package signer

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// In a build with the tag hallmarkfaults, which is made by tests only, the
// process kills itself at the fault point that HALLMARK_FAULT names, when it
// comes there for the n-th time: "logged", or "logged:2".
var (
	fatalPoint, fatalPass = splitFault(os.Getenv("HALLMARK_FAULT"))
	passes                atomic.Int64
)

func splitFault(value string) (point string, pass int64) {
	point, count, ok := strings.Cut(value, ":")
	if !ok {
		return point, 1
	}
	pass, err := strconv.ParseInt(count, 10, 64)
	if err != nil {
		panic("HALLMARK_FAULT=" + value)
	}
	return point, pass
}

func faultPoint(name string) {
	if name != fatalPoint || passes.Add(1) != fatalPass {
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // nothing happens after it
}
