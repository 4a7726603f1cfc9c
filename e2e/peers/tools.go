// SPDX-License-Identifier: Apache-2.0

//go:build tools

// Package peers pins heavy programs that only a few tests need, built from their published modules by `make test-peers`:
//
//	vault  github.com/hashicorp/vault  a KMS: keys in its transit engine (e2e/kms)
//
// It is a module of its own so that their dependencies never become the product's. Vault replaces its own api and sdk by folders that are
// not part of its module; go.mod points them at published versions. Those are tagged from other branches than Vault's releases, so that
// most releases do not compile with any of them: v1.21.1 is the newest that does (with sdk v0.20.0; v1.21.2 and v1.21.3 use observations that
// v0.20.0 does not have, and an activation function that v0.21.0 has changed; v1.21.4 a policy restore of v0.24.0). The tag minimal leaves out
// the plugins of clouds and databases, as Vault's own build does with it.
package peers

import _ "github.com/hashicorp/vault"
