// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/attest/oci"
)

// sbomRun is `hallmark sbom`.
type sbomRun struct {
	sbomMaker
	output, platform string
}

func sbomCommand(env environment) *cobra.Command {
	f := sbomRun{}
	cmd := &cobra.Command{
		Use: "sbom IMAGE", Short: "Make the SBOM of an image, with syft", Args: oneArgument("image"),
		Long: "Make an SBOM of an image. `hallmark sign IMAGE --sbom auto` does it and signs in one step; to look at it first:\n" +
			"  hallmark sbom IMAGE -o sbom.json && hallmark sign IMAGE --sbom sbom.json\n\n" +
			"The command syft makes it (https://github.com/anchore/syft, tested with " + syftVersion + "): found in PATH, or --syft FILE, or\n" +
			"HALLMARK_SYFT. The reference is resolved once and syft is given the digest. What it writes is read before it is kept.\n" +
			"Of an index, it describes the image of one platform: sign that image with it, or the index under a rule that accepts it.",
	}
	flags := cmd.Flags()
	f.registryFlags.register(cmd)
	flags.StringVarP(&f.output, "output", "o", "-", "`file` to write, or - for stdout")
	flags.StringVar(&f.format, "format", "cyclonedx-json", "cyclonedx-json or spdx-json")
	flags.StringVar(&f.syft, "syft", "", "the syft `program` (default: HALLMARK_SYFT, then syft in PATH)")
	flags.StringVar(&f.platform, "platform", "", "of an index, the `platform` to describe, such as linux/arm64, or the digest of one of its images (default: syft's own)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return f.run(cmd.Context(), env, oci.WithoutScheme(args[0]))
	}
	return cmd
}

func (f *sbomRun) run(ctx context.Context, env environment, image string) error {
	if err := f.checkFormat("--format"); err != nil {
		return err
	}
	if f.output == "" {
		return noFile("--output")
	}
	if f.output == "json" || f.output == "text" {
		return usage("--output is the file to write here (hint: -o sbom.json, or -o ./%s; --format says which kind of SBOM)", f.output)
	}
	if strings.HasPrefix(f.platform, "-") {
		return usage("--platform %q is no platform", f.platform)
	}
	ref, err := oci.ParseReference(image)
	if err != nil {
		return usage("%w", err)
	}
	program, err := f.find(env)
	if err != nil {
		return err
	}
	client, err := f.client(ref)
	if err != nil {
		return err
	}
	artifact, err := resolveOnce(ctx, client, image)
	if err != nil {
		return err
	}
	about, err := f.pick(ctx, client, artifact)
	if err != nil {
		return err
	}
	folder := filepath.Dir(f.output)
	if f.output == "-" {
		folder = ""
	}
	done := working(progressBar(env, ""), "making the SBOM of "+about.String()+" with syft")
	file, packages, err := f.make(ctx, program, about.Artifact, folder)
	done()
	if err != nil {
		return err
	}
	if err := deliver(env, file, f.output); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(env.stderr, "hallmark: %s of %s, %s\n", sbomFormats[f.format], strings.TrimSpace(about.Platform+" "+about.String()), plural(packages, "package"))
	switch {
	case packages == 0:
		_, _ = fmt.Fprintln(env.stderr, emptySBOM)
	case about.Kind == oci.KindIndex:
		_, _ = fmt.Fprintln(env.stderr, "hallmark: the image is an index; the SBOM describes one of its platforms (hint: --platform)")
	}
	return nil
}

// pick is what syft is given: the image of an index that --platform names, so that
// the SBOM names it and cannot be attested about another one.
func (f *sbomRun) pick(ctx context.Context, client *oci.Client, artifact oci.Artifact) (oci.PlatformImage, error) {
	itself := oci.PlatformImage{Artifact: artifact}
	switch f.platform {
	case "":
		return itself, nil
	case oci.AllImages, platformIndex:
		return itself, usage("--platform %s: an SBOM is of one image (hint: a platform such as linux/arm64; hallmark attest %s --sbom auto --platform all makes one for each)", f.platform, artifact)
	}
	images, err := client.Images(ctx, artifact)
	if err != nil {
		return itself, err
	}
	picked, err := imagesFor("--platform", artifact, images, f.platform)
	if err != nil {
		return itself, err
	}
	return picked[0], nil
}

// emptySBOM warns of what no policy takes for an inventory.
const emptySBOM = "hallmark: warning: it lists no package; a policy that asks for an SBOM refuses it"

func (f *sbomMaker) checkFormat(flag string) error {
	if sbomFormats[f.format] == "" {
		return usage("%s %q: want cyclonedx-json or spdx-json", flag, f.format)
	}
	return nil
}

// resolveOnce finds what a reference names; what is not there is "no".
func resolveOnce(ctx context.Context, client *oci.Client, image string) (oci.Artifact, error) {
	artifact, err := client.Resolve(ctx, image)
	if err != nil && isNotFound(err) {
		return artifact, no("%w", err)
	}
	return artifact, err
}

// deliver puts a file that is whole where it was asked for: there it is whole
// or not at all.
func deliver(env environment, file, path string) error {
	if path == "-" {
		defer func() { _ = os.Remove(file) }() // it was a copy
		from, err := os.Open(file)             //nolint:gosec // our own
		if err != nil {
			return fmt.Errorf("read what syft wrote: %w", err)
		}
		defer func() { _ = from.Close() }() // read only
		_, err = io.Copy(env.stdout, from)
		return err
	}
	err := os.Chmod(file, downloadMode)
	if err == nil {
		err = os.Rename(file, path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(file))
	}
	return nil
}
