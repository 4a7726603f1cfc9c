// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package main

import "errors"

// limitProcess does nothing here: the server's clock is the only limit. Services
// run on Linux; elsewhere this is for development.
func limitProcess() error { return nil }

func confine() error { return errors.New("filter system calls: only Linux does") }
