// SPDX-License-Identifier: Apache-2.0

//go:build tools

// Package peers pins heavy programs.
package peers

import (
	_ "github.com/hashicorp/vault"
)
