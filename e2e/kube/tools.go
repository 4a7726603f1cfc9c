// SPDX-License-Identifier: Apache-2.0

//go:build tools

// Package kube pins a real Kubernetes control plane, built from its published modules, for the whole-system tests.
//
// It is a module of its own so that Kubernetes' dependencies never become the product's. The server does not read the `replace` lines of
// k8s.io/kubernetes when that is a dependency, so go.mod repeats each of its staging modules. `make tools` builds two binaries from here:
//
//	etcd            go.etcd.io/etcd/server/v3            storage of the API server
//	kube-apiserver  k8s.io/kubernetes/cmd/kube-apiserver  stamped with its version: unstamped it reports one that clients cannot parse
//
// To move to another Kubernetes release, change the version of k8s.io/kubernetes, set every replace to the matching v0.x, set etcd to the
// version that release pins, and stamp the new version in the Makefile. e2e/cluster then shows what the new server does differently.
package kube

import (
	_ "go.etcd.io/etcd/server/v3"
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
)
