// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package main

// forgetStart is for Linux.
func forgetStart() {}
