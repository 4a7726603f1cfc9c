// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/attest/platform"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/policy/document"
	"github.com/hallmark-dev/hallmark/signer"
)

// `hallmark policy test` takes documents as `hallmark sign` does, with the same
// flags, and reads them with the same code as the service. What it adds are
// folders, and bundles, which are verified.

// testedDocument is a document as policy would see it.
type testedDocument struct {
	Name   string `json:"name"`
	Kind   string `json:"kind"`
	Format string `json:"format,omitempty"`
	// About is the digest; Platform is its, if the image is an index.
	About    string `json:"about"`
	Platform string `json:"platform,omitempty"`
	// Says is what it counts, in words.
	Says string `json:"says,omitempty"`
	// Attestable: the policy lets this job attest such a document. A bundle is
	// attested already.
	Attestable bool `json:"attestable"`
	Bundle     bool `json:"bundle,omitempty"`
	// Problem says why it counts for nothing, whatever the policy.
	Problem string `json:"problem,omitempty"`
}

// handed are the documents of a test.
type handed struct {
	shown    []testedDocument
	evidence []policy.Document
	reasons  []string // why some of them could not be attested
	checks   []policy.Check
}

// handIn reads all documents of the flags.
func (f *policyTest) handIn(env environment, p *policy.SigningPolicy, in policy.Input, index testedIndex) (*handed, error) {
	if f.documents.wantsAuto() {
		return nil, usage("--sbom auto: nothing is asked over a network here (hint: hallmark sbom IMAGE -o sbom.json, and --sbom sbom.json)")
	}
	var folders []string
	f.documents.extras.evidence = slices.DeleteFunc(f.documents.extras.evidence, func(path string) bool {
		info, err := os.Stat(path)
		folder := err == nil && info.IsDir()
		if folder {
			folders = append(folders, path)
		}
		return folder
	})
	files, err := f.documents.list(env, f.token == "-")
	if err != nil {
		return nil, err
	}
	for _, folder := range folders {
		more, err := filesInFolder(folder)
		if err != nil {
			return nil, err
		}
		files = append(files, more...)
	}
	h := &handed{}
	for i, file := range files {
		about, err := index.about(in, file, f.documents.extras.platform)
		if err != nil {
			return nil, err
		}
		if err := f.hand(env, p, in, h, file, about, int64(i)); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// filesInFolder are the documents in a folder.
func filesInFolder(folder string) ([]evidenceFile, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, usage("--evidence: %w", err)
	}
	if len(entries) > maxEvidenceFiles {
		return nil, usage("--evidence: %s has %d files, at most %d are read", folder, len(entries), maxEvidenceFiles)
	}
	var all []evidenceFile
	for _, entry := range entries {
		if entry.Type().IsRegular() {
			all = append(all, evidenceFile{path: filepath.Join(folder, entry.Name()), name: entry.Name()})
		}
	}
	return all, nil
}

// hand reads one file.
func (f *policyTest) hand(env environment, p *policy.SigningPolicy, in policy.Input, h *handed, file evidenceFile, about []testedImage, number int64) error {
	d := signer.Document{Name: file.name, Kind: attest.EvidenceKind(file.kind), Content: file.content}
	if d.Content == nil {
		opened, err := os.Open(file.path)
		if err != nil {
			return usage("%w", err)
		}
		defer func() { _ = opened.Close() }() // read only
		if d.Content, err = io.ReadAll(io.LimitReader(opened, attest.MaxBundleBytes+1)); err != nil {
			return readError(file.path, err)
		}
		if len(d.Content) > attest.MaxBundleBytes {
			stored := &signer.Stored{From: opened}
			if stored.Size, stored.Digest, err = hashFile(file.path); err != nil {
				return usage("%w", err)
			}
			d.Content, d.Stored = nil, stored
		}
	}
	if bundle, err := attest.ParseBundle(bytes.TrimSpace(d.Content)); err == nil && file.kind == "" {
		return f.handBundle(env, in, h, file, bundle, d.Content, about)
	}
	read, err := signer.PreviewDocument(d)
	if err != nil {
		return usage("%s", withoutStatus(err.Error()))
	}
	for _, image := range about {
		made := f.asAttested(in, read, image.digest, number)
		shown := shownDocument(file.name, read.Evidence.Format, image, made)
		shown.Attestable = true
		for _, reason := range h.permit(p, in, file.name, read, image) {
			shown.Attestable = false
			h.reasons = append(h.reasons, reason)
		}
		if h.shown = append(h.shown, shown); shown.Attestable { // what is never attested no gate sees
			h.evidence = append(h.evidence, made)
		}
	}
	return nil
}

// permit says why the policy would not let the job attest a document.
func (h *handed) permit(p *policy.SigningPolicy, in policy.Input, name string, read signer.Preview, about testedImage) []string {
	in.Action, in.PredicateType, in.VEX, in.Digest, in.Evidence = policy.ActionAttest, read.Permitted, read.VEX, about.digest, nil
	if about.platform != "" {
		in.Kind = policy.KindImage
	}
	decision := p.Decide(in)
	refusal := decision.Refusal()
	if refusal == nil {
		return nil
	}
	h.checks = append(h.checks, decision.Checks...)
	var reasons []string
	for _, reason := range refusal.Reasons {
		reasons = append(reasons, name+": "+reason)
	}
	return reasons
}

// handBundle verifies a bundle. It is about one of the images, or counts for
// nothing; one that is no evidence is passed over.
func (f *policyTest) handBundle(env environment, in policy.Input, h *handed, file evidenceFile, bundle attest.Bundle, raw []byte, about []testedImage) error {
	for i, image := range about {
		aboutThis := in
		aboutThis.Digest = image.digest
		d, ok, err := f.verified(env, aboutThis, raw, bundle, file.name)
		if err != nil && i < len(about)-1 {
			continue // it may be about another one
		}
		if err != nil || !ok {
			return err
		}
		shown := shownDocument(file.name, "", image, d)
		shown.Attestable, shown.Bundle = true, true
		h.shown, h.evidence = append(h.shown, shown), append(h.evidence, d)
		return nil
	}
	return nil
}

func shownDocument(name, format string, about testedImage, d policy.Document) testedDocument {
	return testedDocument{Name: name, Kind: d.Kind, Format: format, About: about.digest, Platform: about.platform, Says: d.Says(), Problem: d.Problem}
}

// plural says how many there are.
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// asAttested is the document that a statement made at the time of the decision
// would be.
func (f *policyTest) asAttested(in policy.Input, read signer.Preview, digest string, number int64) policy.Document {
	author := f.author
	if author == "" {
		author = in.SAN
	}
	d := policy.Document{
		PredicateType: read.PredicateType, Digest: digest, Signer: testOrigin + "/attestor", Issuer: testOrigin, Author: author,
		At: in.Now, LogIndex: number, Run: testOrigin + "/run",
	}
	document.Fill(&d, read.Evidence)
	if err := read.File.About(attest.Digest(digest)); err != nil {
		d.Problem = fmt.Sprintf("%v (hint: %s)", err, signer.HintOtherArtifact(read.File, attest.Digest(digest)))
	}
	return d
}

// testedImage is what a document can be about.
type testedImage struct{ platform, digest string }

// testedIndex are the images of an index that nobody has asked a registry for:
// their digests are made up, unless they are given.
type testedIndex []testedImage

// features are what a platform's name says of machines besides: linux(+x)/amd64.
var features = regexp.MustCompile(`\(\+[a-z0-9+._-]+\)`)

// newTestedIndex reads --has-platforms: PLATFORM or PLATFORM@sha256:HEX.
func newTestedIndex(in policy.Input, list []string) (testedIndex, error) {
	var index testedIndex
	for _, one := range list {
		one = strings.TrimSpace(one)
		name, digest, found := strings.Cut(one, "@")
		if _, err := attest.ParseDigest(digest); found && err != nil {
			return nil, usage("--has-platforms %s: %w", one, err)
		}
		if !found {
			digest = string(attest.DigestOf([]byte(in.Digest + " " + name)))
		}
		if _, err := platform.Parse(features.ReplaceAllString(name, "")); err != nil {
			return nil, usage("--has-platforms %s: %w", one, err)
		}
		if slices.ContainsFunc(index, func(i testedImage) bool { return i.digest == digest }) {
			return nil, usage("--has-platforms %s: it is there twice", one)
		}
		index = append(index, testedImage{name, digest})
	}
	return index, nil
}

// about is what a document is about: as its own platform says, or else the
// request's.
func (x testedIndex) about(in policy.Input, file evidenceFile, all string) ([]testedImage, error) {
	flag, name := file.flag, file.platform
	if name == "" {
		flag, name = "--platform", all
	}
	if name == "" || name == platformIndex && in.Kind == policy.KindIndex {
		return []testedImage{{digest: in.Digest}}, nil
	}
	if in.Kind != policy.KindIndex {
		return nil, usage("%s %s: the image is no index here (hint: --has-platforms linux/amd64,linux/arm64 says that it is one, and what it has)", flag, name)
	}
	var images []oci.PlatformImage
	for _, i := range x {
		images = append(images, oci.PlatformImage{Platform: i.platform, Artifact: oci.Artifact{Digest: attest.Digest(i.digest)}})
	}
	picked, err := oci.Pick(oci.Artifact{}, images, name)
	switch {
	case errors.Is(err, oci.ErrNoPlatform):
		return nil, usage("%s %s: the index has no such image here (hint: nothing is asked over a network; it has what --has-platforms says: %s)", flag, name, cmp.Or(strings.Join(x.platforms(), ","), "--has-platforms linux/amd64,linux/arm64"))
	case err != nil:
		return nil, usage("%s %s: %w", flag, name, err)
	}
	var found []testedImage
	for _, p := range picked {
		found = append(found, testedImage{p.Platform, string(p.Digest)})
	}
	return found, nil
}

func (x testedIndex) platforms() []string {
	var all []string
	for _, i := range x {
		all = append(all, i.platform)
	}
	return all
}

// names are what the images are for, by digest.
func (x testedIndex) names() map[string][]string {
	all := make(map[string][]string, len(x))
	for _, i := range x {
		all[i.digest] = append(all[i.digest], i.platform)
	}
	return all
}

func (x testedIndex) digests() []string {
	var all []string
	for _, i := range x {
		all = append(all, i.digest)
	}
	return all
}
