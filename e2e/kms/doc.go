// SPDX-License-Identifier: Apache-2.0

// Package kms tests a deployment whose every key is in a KMS: a stock Vault with
// its transit engine, and what speaks AWS KMS's protocol. Its tests have the
// build tag peers, because Vault takes minutes to build: `make test-peers` runs
// them.
package kms
