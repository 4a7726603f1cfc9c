// SPDX-License-Identifier: Apache-2.0

//go:build !hallmarkfaults

package signer

// faultPoint names a moment of the flow at which e2e/crash kills the process.
// This is what programs are built with: nothing.
func faultPoint(string) {}
