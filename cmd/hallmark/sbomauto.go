// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
)

// With `--sbom auto` the SBOM is made on the way, of exactly what is signed: the
// reference is resolved once, syft is given the digest, and so is the service. A
// tag that moves meanwhile makes no difference.
//
// About an index there is one SBOM for each image that --platform names, and
// each is attested about its image. About the index itself there is one, which
// describes one of its images and says so.

const (
	// autoSBOM is the value of --sbom; a file of that name is ./auto.
	autoSBOM = "auto"
	// maxRequestDocuments is how many documents the service takes in one request.
	maxRequestDocuments = 16
	// platformIndex is what --platform says for the index itself.
	platformIndex = "index"
)

// addAutoSBOM adds the flags that say how.
func (f *evidenceFlags) addAutoSBOM(cmd *cobra.Command) {
	f.auto.register(cmd)
	cmd.Flags().StringVar(&f.auto.format, "sbom-format", "cyclonedx-json", "with --sbom auto, cyclonedx-json or spdx-json")
	cmd.Flags().StringVar(&f.auto.syft, "syft", "", "with --sbom auto, the syft `program` (default: HALLMARK_SYFT, then syft in PATH)")
}

// wantsAuto reports whether an SBOM is to be made.
func (f *evidenceFlags) wantsAuto() bool { return len(f.autoAbout()) > 0 }

// autoAbout is what SBOMs are to be made of: the platform of each, or "" for what
// --platform says.
func (f *evidenceFlags) autoAbout() (about []string) {
	for _, value := range *f.files[attest.EvidenceSBOM] {
		if platform, path := cutPlatform(value); path == autoSBOM && !slices.Contains(about, platform) {
			about = append(about, platform)
		}
	}
	return about
}

// checkAuto refuses flags that would change nothing.
func (f *evidenceFlags) checkAuto(cmd *cobra.Command) error {
	if f.wantsAuto() {
		return nil
	}
	for _, flag := range []string{"sbom-format", "syft"} {
		if cmd.Flags().Changed(flag) {
			return usage("--%s goes with --sbom auto: a file is in the format that it is in", flag)
		}
	}
	return nil
}

// gather returns the documents of a request and what image it has to name; done
// removes what was made for it.
func (f *evidenceFlags) gather(cmd *cobra.Command, env environment, image string, stdinTaken bool) (name string, documents []evidenceFile, done func(), err error) {
	done = func() {}
	if err := f.checkAuto(cmd); err != nil {
		return "", nil, done, err
	}
	if documents, err = f.list(env, stdinTaken); err != nil || !f.wantsAuto() {
		return image, documents, done, err
	}
	folder, err := os.MkdirTemp("", "hallmark-sign-") // mode 0700
	if err != nil {
		return "", nil, done, fmt.Errorf("make a folder for SBOMs: %w", err)
	}
	done = func() { _ = os.RemoveAll(folder) } // nothing but what was made here
	name, made, err := f.makeSBOMs(cmd, env, image, folder, maxRequestDocuments-len(documents))
	if err != nil {
		done()
		return "", nil, func() {}, err
	}
	return name, append(made, documents...), done, nil
}

// makeSBOMs makes up to room SBOMs, and says what they are about.
func (f *evidenceFlags) makeSBOMs(cmd *cobra.Command, env environment, image, folder string, room int) (name string, made []evidenceFile, err error) {
	ctx := cmd.Context()
	if err := f.auto.checkFormat("--sbom-format"); err != nil {
		return "", nil, err
	}
	ref, err := oci.ParseReference(image)
	if err != nil {
		return "", nil, usage("%w", err)
	}
	program, err := f.auto.find(env)
	if err != nil {
		return "", nil, err
	}
	client, err := f.auto.client(ref)
	if err != nil {
		return "", nil, err
	}
	artifact, err := resolveOnce(ctx, client, image)
	if err != nil {
		return "", nil, err
	}
	about, err := f.sbomsOf(ctx, client, artifact)
	if err != nil {
		return "", nil, err
	}
	if len(about) > room {
		return "", nil, usage("%d SBOMs and the other documents are more than the %d that one request takes (hint: hallmark attest %s --sbom auto --platform PLATFORM, one by one)",
			len(about), maxRequestDocuments, artifact)
	}
	for _, one := range about {
		d, err := f.makeSBOM(cmd, env, program, one, folder)
		if err != nil {
			return "", nil, err
		}
		made = append(made, d)
	}
	if artifact.Kind == oci.KindIndex && slices.ContainsFunc(about, func(i oci.PlatformImage) bool { return i.Digest == artifact.Digest }) {
		_, _ = fmt.Fprintln(env.stderr, "hallmark: the image is an index; the SBOM describes one of its platforms and is about the index (hint: --platform all makes one for each)")
	}
	return artifact.String(), made, nil
}

// sbomsOf are what SBOMs are made of: each image once.
func (f *evidenceFlags) sbomsOf(ctx context.Context, client *oci.Client, artifact oci.Artifact) (about []oci.PlatformImage, err error) {
	var images []oci.PlatformImage
	for _, own := range f.autoAbout() {
		flag, platform := "--sbom", own
		if own == "" {
			flag, platform = "--platform", f.extras.platform
		}
		one := []oci.PlatformImage{{Artifact: artifact}}
		if platform == platformIndex && artifact.Kind != oci.KindIndex {
			return nil, usage("%s %s: %s is no index (hint: leave the platform out)", flag, platform, artifact)
		}
		if platform != "" && platform != platformIndex {
			if images == nil {
				if images, err = client.Images(ctx, artifact); err != nil {
					return nil, err
				}
			}
			if one, err = imagesFor(flag, artifact, images, platform); err != nil {
				return nil, err
			}
		}
		for _, image := range one {
			if !slices.ContainsFunc(about, func(i oci.PlatformImage) bool { return i.Digest == image.Digest }) {
				about = append(about, image)
			}
		}
	}
	return about, nil
}

func (f *evidenceFlags) makeSBOM(cmd *cobra.Command, env environment, program string, about oci.PlatformImage, folder string) (evidenceFile, error) {
	done := working(uploadProgress(cmd, env), "making the SBOM of "+about.String()+" with syft")
	path, packages, err := f.auto.make(cmd.Context(), program, about.Artifact, folder)
	done()
	if err != nil {
		return evidenceFile{}, err
	}
	_, _ = fmt.Fprintf(env.stderr, "hallmark: %s\n", strings.Join(slices.DeleteFunc([]string{
		sbomFormats[f.auto.format] + " of", about.Platform, fmt.Sprintf("%s, %s", about.Artifact, plural(packages, "package")),
	}, func(s string) bool { return s == "" }), " "))
	if packages == 0 {
		_, _ = fmt.Fprintln(env.stderr, emptySBOM)
	}
	info, err := os.Stat(path)
	if err != nil {
		return evidenceFile{}, err
	}
	d := evidenceFile{path: path, name: "sbom.cdx.json", kind: string(attest.EvidenceSBOM), size: info.Size()}
	if f.auto.format == "spdx-json" {
		d.name = "sbom.spdx.json"
	}
	if about.Platform != "" {
		d.name = strings.ReplaceAll(about.Platform, "/", "-") + "." + d.name
		d.platform = string(about.Digest)
	}
	return d, nil
}

// imagesFor are the images of an index that a flag names.
func imagesFor(flag string, index oci.Artifact, images []oci.PlatformImage, platform string) ([]oci.PlatformImage, error) {
	if index.Kind != oci.KindIndex {
		return nil, usage("%s %s: %s is no index (hint: leave the platform out)", flag, platform, index)
	}
	found, err := oci.Pick(index, images, platform)
	switch {
	case errors.Is(err, oci.ErrNoPlatform):
		return nil, no("%s %s: %w", flag, platform, err)
	case err != nil:
		return nil, usage("%s %s: %w", flag, platform, err)
	}
	return found, nil
}
