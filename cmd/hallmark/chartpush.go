// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/helm"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/internal/program"
	"github.com/hallmark-dev/hallmark/signer"
)

// Pushing a chart is provenance, push, images, signature, in this order: the
// provenance file is a part of what is pushed, and only what is in the registry
// is signed. Each step has the same result when it is done again, so that a
// push that was interrupted is repeated.

// pushFlags are those of chart push.
type pushFlags struct {
	*signFlags
	*valueFlags
	overwrite, noProvenance, noImages bool
}

// pushed is what chart push prints.
type pushed struct {
	Chart      string               `json:"chart"`
	Digest     attest.Digest        `json:"digest"`
	Unchanged  bool                 `json:"unchanged"`
	Provenance *signer.ChartReceipt `json:"provenance,omitempty"`
	Images     *signer.Receipt      `json:"images,omitempty"`
	RefersTo   []chartImage         `json:"refersTo,omitempty"`
	Signature  signer.Receipt       `json:"signature"`
}

func chartPushCommand(env environment) *cobra.Command {
	f := pushFlags{}
	cmd := &cobra.Command{
		Use: "push CHART.tgz oci://REGISTRY/PATH", Short: "Push a chart with its provenance file, and have it signed", Args: twoArguments,
		Long: "Ask the service for the provenance file of a packaged chart, push both to REGISTRY/PATH/NAME:VERSION, have the images\n" +
			"that it refers to attested, and have what was pushed signed. The same chart gives the same manifest, so that the\n" +
			"command may be repeated. Registry credentials are those of helm registry login or docker login.",
	}
	f.signFlags, f.valueFlags = addSignFlags(cmd), addValueFlags(cmd)
	cmd.Flags().BoolVar(&f.overwrite, "overwrite", false, "replace the version if the registry has it with another content")
	cmd.Flags().BoolVar(&f.noProvenance, "no-provenance", false, "push without a provenance file")
	cmd.Flags().BoolVar(&f.noImages, "no-images", false, "do not have the chart's images attested")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if f.noImages && len(f.files)+len(f.set) > 0 {
			return usage("--no-images leaves no use for values")
		}
		c, where, err := readChart(env, args[0], args[1])
		if err != nil {
			return err
		}
		job, err := f.job(cmd, env)
		if err != nil {
			return err
		}
		result, err := f.push(cmd.Context(), env, job, c, where)
		if err != nil {
			return err
		}
		return program.Print(*f.output, env.stdout, result, func(w io.Writer) { printPushed(w, result) })
	}
	return cmd
}

// push does it all.
func (f *pushFlags) push(ctx context.Context, env environment, job *job, c *helm.Chart, where string) (pushed, error) {
	out := pushed{Chart: where + ":" + helm.Tag(c.Version)}
	// 0. What is wrong with the values is wrong before anything is pushed.
	if !f.noImages {
		if _, err := f.body(env, where); err != nil {
			return out, err
		}
	}
	// 1. The provenance file: the same one whenever the chart is pushed.
	var provenance []byte
	if !f.noProvenance {
		receipt, err := job.provenance(ctx, c, where)
		if err != nil {
			return out, err
		}
		out.Provenance, provenance = &receipt, []byte(receipt.Provenance)
	}
	// 2. Push, unless it is there.
	pkg, err := c.Package(provenance)
	if err != nil {
		return out, usage("%w", err)
	}
	out.Digest = pkg.Digest
	if out.Unchanged, err = pushPackage(ctx, env, out.Chart, pkg, f.overwrite); err != nil {
		return out, err
	}
	byDigest := where + "@" + string(pkg.Digest)
	// 3. The images that it refers to.
	if !f.noImages {
		body, err := f.body(env, byDigest)
		if err != nil {
			return out, err
		}
		out.Images = &signer.Receipt{}
		if err := job.call(ctx, "/hallmark/v1/charts/images", job.token, body, out.Images); err != nil {
			return out, fmt.Errorf("attest images of %s, which is pushed: %w", out.Chart, err)
		}
		out.RefersTo = imagesOf(out.Images.Bundle)
	}
	// 4. The signature.
	body, err := requestBody(map[string]string{"image": byDigest}, nil)
	if err != nil {
		return out, err
	}
	if err := job.call(ctx, "/hallmark/v1/sign", job.token, body, &out.Signature); err != nil {
		return out, fmt.Errorf("sign %s, which is pushed: %w", out.Chart, err)
	}
	return out, nil
}

func printPushed(w io.Writer, p pushed) {
	verb := "pushed"
	if p.Unchanged {
		verb = "unchanged"
	}
	_, _ = fmt.Fprintf(w, "%s\toci://%s\n", verb, p.Chart)
	_, _ = fmt.Fprintf(w, "digest\t%s\n", p.Digest)
	if p.Provenance != nil {
		_, _ = fmt.Fprintf(w, "OpenPGP key\t%s\n", p.Provenance.Key)
		_, _ = fmt.Fprintf(w, "provenance entry\t%d\n", p.Provenance.LogIndex)
	}
	if p.Images != nil {
		_, _ = fmt.Fprintf(w, "images entry\t%d\n", p.Images.LogIndex)
		printImages(w, p.RefersTo)
	}
	printReceipt(w, p.Signature)
}

// manifest is a manifest as the registry client wants it.
type manifest struct{ raw []byte }

// RawManifest implements remote.Taggable.
func (m manifest) RawManifest() ([]byte, error) { return m.raw, nil }

// MediaType tells the registry client: Helm's manifests do not say it.
func (m manifest) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

// pushPackage pushes blobs and manifest, and says whether all of it was there.
func pushPackage(ctx context.Context, env environment, ref string, pkg helm.Package, overwrite bool) (unchanged bool, err error) {
	var opts []name.Option
	parsed, err := oci.ParseReference(ref)
	if err != nil {
		return false, usage("%w", err)
	}
	if oci.IsLoopback(parsed.Registry) {
		opts = append(opts, name.Insecure)
	}
	tag, err := name.NewTag(ref, opts...)
	if err != nil {
		return false, usage("%w", err)
	}
	remotes := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(chartKeychain(env)), remote.WithUserAgent("hallmark/" + version)}
	there, err := remote.Head(tag, remotes...)
	var status *transport.Error
	switch {
	case err == nil && there.Digest.String() == string(pkg.Digest):
		return true, nil
	case err == nil && !overwrite:
		return false, no("%s is there already with another content, %s (hint: a new version; or --overwrite)", ref, there.Digest)
	case err != nil && (!errors.As(err, &status) || status.StatusCode != http.StatusNotFound):
		return false, registryError("look for", ref, err)
	}
	for _, b := range pkg.Blobs {
		if err := remote.WriteLayer(tag.Repository, static.NewLayer(b.Bytes, types.MediaType(b.MediaType)), remotes...); err != nil {
			return false, registryError("push", ref, err)
		}
	}
	if err := remote.Put(tag, manifest{pkg.Manifest}, remotes...); err != nil {
		return false, registryError("push", ref, err)
	}
	return false, nil
}

// registryError says what a person can do about an error of the registry. That
// it refuses is an answer; anything else may be another one tomorrow.
func registryError(verb, ref string, err error) error {
	var status *transport.Error
	if errors.As(err, &status) && (status.StatusCode == http.StatusUnauthorized || status.StatusCode == http.StatusForbidden) {
		host, _, _ := strings.Cut(ref, "/")
		return no("%s %s: the registry answers %d (hint: helm registry login %s, or docker login %s)", verb, ref, status.StatusCode, host, host)
	}
	return notThere(fmt.Errorf("%s %s: %w", verb, ref, err), "the registry", "its name")
}
