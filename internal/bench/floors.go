// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/internal/devrun"
)

const (
	// commitBytes is about what one entry and its index and tile cost on disk.
	commitBytes = 4 << 10
	// bundleBytes is the size of a bundle of the service.
	bundleBytes = 8 << 10
	floorRuns   = 300
)

// bench is what the parts share.
type bench struct {
	dev                    *devrun.Dev
	commit, sign, registry result
}

func (b *bench) floors(ctx context.Context) (err error) {
	title("floors")
	if b.commit, err = b.durableCommit(ctx); err != nil {
		return err
	}
	row("one durable commit (write, fdatasync)", b.commit, fmt.Sprintf("%d bytes", commitBytes))
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	digest := make([]byte, 32)
	b.sign, err = loop(ctx, 1, floorRuns, func(context.Context, int) error {
		_, err := ecdsa.SignASN1(rand.Reader, key, digest)
		return err
	})
	if err != nil {
		return err
	}
	row("one P-256 signature, one core", b.sign, "")
	if b.registry, err = b.registryAlone(ctx); err != nil {
		return err
	}
	row("registry alone: resolve, attach, read back", b.registry, fmt.Sprintf("%d bytes, no signature", bundleBytes))
	_, _ = fmt.Println()
	return nil
}

func (b *bench) durableCommit(ctx context.Context) (result, error) {
	f, err := os.Create(filepath.Join(b.dev.Dir, "floor"))
	if err != nil {
		return result{}, err
	}
	defer func() { _ = f.Close() }() // measured, not kept
	payload := make([]byte, commitBytes)
	return loop(ctx, 1, floorRuns, func(context.Context, int) error {
		if _, err := f.Write(payload); err != nil {
			return err
		}
		return datasync(f)
	})
}

// registryAlone does to the registry what the service does for a signature,
// with the service's own client.
func (b *bench) registryAlone(ctx context.Context) (result, error) {
	refs, err := b.push(ctx, "acme/floor", floorRuns)
	if err != nil {
		return result{}, err
	}
	client, err := oci.New(oci.Config{Registries: []oci.Registry{{Host: b.dev.Env["REGISTRY"], Insecure: true}}})
	if err != nil {
		return result{}, err
	}
	return loop(ctx, 1, len(refs), func(ctx context.Context, i int) error {
		subject, err := client.Resolve(ctx, refs[i])
		if err != nil {
			return err
		}
		blob := make([]byte, bundleBytes)
		if _, err := rand.Read(blob); err != nil {
			return err
		}
		_, err = client.AttachBundle(ctx, subject, oci.BundleBlob{Bytes: blob, PredicateType: attest.PredicateSignature, Created: time.Now()})
		return err
	})
}

// push pushes n small images and returns their references by digest. Each gets
// a repository of its own: the registry of `hallmark dev` looks through all
// manifests of a repository to list referrers, and that is not what is measured.
func (b *bench) push(ctx context.Context, prefix string, n int) ([]string, error) {
	refs := make([]string, n)
	_, err := loop(ctx, 8, n, func(ctx context.Context, i int) error {
		repo, err := name.NewRepository(fmt.Sprintf("%s/%s/%d", b.dev.Env["REGISTRY"], prefix, i))
		if err != nil {
			return err
		}
		img, err := random.Image(64, 1)
		if err != nil {
			return err
		}
		digest, err := img.Digest()
		if err != nil {
			return err
		}
		ref := repo.Digest(digest.String())
		refs[i] = ref.String()
		return remote.Write(ref, img, remote.WithContext(ctx))
	})
	return refs, err
}
