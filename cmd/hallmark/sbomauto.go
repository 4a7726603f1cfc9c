// SPDX-License-Identifier: Apache-2.0

package main

import (
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
	// What --platform says besides the name of a platform.
	platformIndex = "index"
	platformAll   = "all"
)

// addAutoSBOM adds the flags that say how.
func (f *evidenceFlags) addAutoSBOM(cmd *cobra.Command) {
	f.auto.register(cmd)
	cmd.Flags().StringVar(&f.auto.format, "sbom-format", "cyclonedx-json", "with --sbom auto, cyclonedx-json or spdx-json")
	cmd.Flags().StringVar(&f.auto.syft, "syft", "", "with --sbom auto, the syft `program` (default: HALLMARK_SYFT, then syft in PATH)")
}

// wantsAuto reports whether an SBOM is to be made.
func (f *evidenceFlags) wantsAuto() bool {
	return slices.Contains(*f.files[attest.EvidenceSBOM], autoSBOM)
}

// gather returns the documents of a request and what image it has to name; done
// removes what was made for it.
func (f *evidenceFlags) gather(cmd *cobra.Command, env environment, image string, stdinTaken bool) (name string, documents []evidenceFile, done func(), err error) {
	done = func() {}
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
	about := []oci.PlatformImage{{Artifact: artifact}}
	if platform := f.extras.platform; platform != "" && platform != platformIndex {
		images, err := client.Images(ctx, artifact)
		if err != nil {
			return "", nil, err
		}
		if about, err = imagesFor(artifact, images, platform); err != nil {
			return "", nil, err
		}
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
	if artifact.Kind == oci.KindIndex && about[0].Digest == artifact.Digest {
		_, _ = fmt.Fprintln(env.stderr, "hallmark: the image is an index; the SBOM describes one of its platforms and is about the index (hint: --platform all makes one for each)")
	}
	return artifact.String(), made, nil
}

func (f *evidenceFlags) makeSBOM(cmd *cobra.Command, env environment, program string, about oci.PlatformImage, folder string) (evidenceFile, error) {
	done := working(uploadProgress(cmd, env), "making the SBOM of "+about.String()+" with syft")
	path, packages, err := f.auto.make(cmd.Context(), program, about.Artifact, "", folder)
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

// imagesFor are the images of an index that --platform names.
func imagesFor(index oci.Artifact, images []oci.PlatformImage, platform string) ([]oci.PlatformImage, error) {
	var found []oci.PlatformImage
	var names []string
	for _, i := range images {
		names = append(names, i.Platform)
		if platform == platformAll || i.Is(platform) {
			found = append(found, i)
		}
	}
	switch {
	case index.Kind != oci.KindIndex:
		return nil, usage("--platform %s: %s is no index (hint: leave --platform out)", platform, index)
	case len(found) == 0:
		return nil, no("--platform %s: %s has no such image (hint: it has %s)", platform, index, strings.Join(names, ", "))
	}
	return found, nil
}
