// SPDX-License-Identifier: Apache-2.0

//go:build tools

// Package flux pins Flux's source-controller, which fetches charts and other artifacts for a cluster and verifies them, for the tests of
// e2e/charts. It is a module of its own because source-controller has replace directives, so that it cannot be installed by version.
//
// source-controller 1.9.6 asks for v0.18.3 of Flux's package artifact, which keeps what was fetched in a folder and serves it. The module
// proxies that this repository builds with do not have that one; go.mod takes v0.18.1. It verifies nothing.
package flux

import _ "github.com/fluxcd/source-controller"
