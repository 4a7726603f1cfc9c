// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/lab"
	"github.com/hallmark-dev/hallmark/signer"
)

const (
	// maxAnswer bounds an answer that is read, bytes.
	maxAnswer = 1 << 20
	// bundleBytes is the size of a bundle of the service.
	bundleBytes = 8 << 10
	// signIdleMost is the target of one signature without the registry's own
	// time, serviceResidentMost that of the whole service's resident set.
	signIdleMost        = 60.0  // ms
	serviceResidentMost = 150.0 // MB
)

// signatures measures signing end to end: from the token to the attachment
// that was read back, beside what the registry alone takes.
func (b *bench) signatures() error {
	b.report.title("signatures, end to end over HTTP: token to read-back attachment")
	l := lab.Start(b.stage, lab.Options{MaxUses: signer.HighestMaxUses, Config: noQuotas})
	alone, err := registryAlone(b.ctx, l.Registry, b.scale.signatures)
	if err != nil {
		return err
	}
	b.report.say("%s", row("the registry alone: resolve, attach, read back", alone, fmt.Sprintf("%d bytes, no signature", bundleBytes)))
	token := l.Token(b.stage, devissuer.GitHub)
	for _, load := range []struct{ clients, n int }{{1, 1}, {8, 4}, {32, 8}} {
		refs, err := push(b.ctx, l.Registry, fmt.Sprintf("acme/bench%d", load.clients), load.n*b.scale.signatures)
		if err != nil {
			return err
		}
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: load.clients}}
		r, err := loop(b.ctx, load.clients, len(refs), func(ctx context.Context, i int) error {
			return post(ctx, client, l.URL+"/hallmark/v1/sign", token, []byte(`{"image":"`+refs[i]+`"}`), http.StatusOK)
		})
		if err != nil {
			return err
		}
		b.report.say("%s", row(fmt.Sprintf("%d clients", load.clients), r, ""))
		if load.clients == 1 {
			own := r.p50() - alone.p50()
			b.report.atMost("one signature, p50, without the registry's own time", ms(own), signIdleMost, "ms", fmt.Sprintf("the registry's %.1f ms", ms(alone.p50())))
		}
	}
	b.report.atMost("largest resident set of the service", mb(residentMost(l.PID())), serviceResidentMost, "MB", "")
	return nil
}

// registryAlone does to the registry what the service does for a signature,
// with the service's own client.
func registryAlone(ctx context.Context, registry string, n int) (result, error) {
	refs, err := push(ctx, registry, "acme/floor", n)
	if err != nil {
		return result{}, err
	}
	client, err := oci.New(oci.Config{Registries: []oci.Registry{{Host: registry, Insecure: true}}})
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
// a repository of its own: the registry looks through all
// manifests of a repository to list referrers, and that is not what is measured.
func push(ctx context.Context, registry, prefix string, n int) ([]string, error) {
	refs := make([]string, n)
	_, err := loop(ctx, 8, n, func(ctx context.Context, i int) error {
		repo, err := name.NewRepository(fmt.Sprintf("%s/%s/%d", registry, prefix, i))
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

func post(ctx context.Context, client *http.Client, url, token string, body []byte, want int) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // read below
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err == nil && resp.StatusCode != want {
		err = fmt.Errorf("POST %s: %s: %s", url, resp.Status, answer)
	}
	return err
}
