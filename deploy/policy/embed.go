// SPDX-License-Identifier: Apache-2.0

// Package policyfiles holds the policies that Hallmark ships as examples, so that `init` can write them and the development setup can
// enforce them. They are read by people first: change the YAML, not what loads it.
package policyfiles

import _ "embed" // for the directives below

// SigningPolicy is signing-policy.yaml: the organisation acme may sign and attest its repositories from protected branches and tags.
//
//go:embed signing-policy.yaml
var SigningPolicy []byte

// ImageTrustPolicy is image-trust-policy.yaml: what an image of acme must prove before it runs.
//
//go:embed image-trust-policy.yaml
var ImageTrustPolicy []byte

// Gates is gates.yaml: the same for acme's GitHub repositories, with evidence that is required before anything is signed.
//
//go:embed gates.yaml
var Gates []byte
