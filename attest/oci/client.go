// SPDX-License-Identifier: Apache-2.0

// Package oci is the only registry client.

package oci

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/hallmark-dev/hallmark/attest"
)

// Config of a Client.
type Config struct {
	Registries []Registry
	Keychain   authn.Keychain
	Transport  http.RoundTripper
	Timeout    time.Duration
	Logger     *slog.Logger
}

// Registry is one allow-listed registry.
type Registry struct {
	Host     string
	Insecure bool
}

// Client talks to registries.
type Client struct{}

// New validates the configuration.
func New(Config) (*Client, error) { panic("unwritten") }

// Kind of an artifact.
type Kind string

// Artifact is a resolved reference.
type Artifact struct {
	Registry   string
	Repository string
	Tag        string
	Digest     attest.Digest
	MediaType  string
	Size       int64
	Kind       Kind
}

// String is registry/repository@digest.
func (a Artifact) String() string { panic("unwritten") }

// Reference is canonical.
type Reference struct {
	Registry   string
	Repository string
	Tag        string
	Digest     attest.Digest
}

// ParseReference is strict.
func ParseReference(s string) (Reference, error) { panic("unwritten") }

// Resolve reads and re-hashes the manifest.
func (c *Client) Resolve(ctx context.Context, ref string) (Artifact, error) { panic("unwritten") }

// BundleBlob is a bundle to attach.
type BundleBlob struct {
	Bytes         []byte
	PredicateType string
	Created       time.Time
}

// AttachBundle writes a bundle as a referrer.
func (c *Client) AttachBundle(ctx context.Context, subject Artifact, b BundleBlob) (attest.Digest, error) {
	panic("unwritten")
}

// StoredBundle is a bundle found in a registry.
type StoredBundle struct {
	Manifest          attest.Digest
	Blob              attest.Digest
	Bytes             []byte
	PredicateTypeHint string
}

// Bundles lists all bundles of a subject.
func (c *Client) Bundles(ctx context.Context, subject Artifact) ([]StoredBundle, error) {
	panic("unwritten")
}

// Errors.
var (
	ErrForeignRegistry = errors.New("registry is not allowed")
	ErrBadReference    = errors.New("bad reference")
	ErrNotFound        = errors.New("not found")
	ErrDigestMismatch  = errors.New("digest mismatch")
	ErrBadManifest     = errors.New("bad manifest")
	ErrUnavailable     = errors.New("registry unavailable")
	ErrDenied          = errors.New("registry denied access")
	ErrTooMany         = errors.New("too many")
	ErrTooLarge        = errors.New("too large")
)
