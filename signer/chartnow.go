// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"cmp"
	"context"
	"reflect"
	"slices"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/policy"
)

// A statement about a chart's images says what was so when it was made. Since
// then a tag may lead to another image, an image may have been revoked, or been
// signed at last. So whenever a chart is about to be signed, the service looks
// again, and only what is still so counts: a statement that has become untrue is
// followed by another one, which replaces it in the decision and is kept beside
// it, so that the record shows both.

// withChartImages is the evidence of a chart that is about to be signed, with
// what is true of its images now, if a rule asks for that.
func (s *Service) withChartImages(ctx context.Context, p Principal, a oci.Artifact, req Request, in policy.Input) ([]policy.Document, error) {
	others, made, images, err := s.chartImagesNow(ctx, tenantOf(p), a, in)
	if err != nil || images == nil {
		return others, err
	}
	receipt, statement, err := s.attestOwn(ctx, p, a, req, *images)
	if err != nil {
		return nil, err
	}
	proven(&made, receipt, statement)
	return append(others, made), nil
}

// asIfChartImages is withChartImages without any effect.
func (s *Service) asIfChartImages(ctx context.Context, p Principal, a oci.Artifact, in policy.Input) ([]policy.Document, error) {
	others, made, images, err := s.chartImagesNow(ctx, tenantOf(p), a, in)
	if err != nil || images == nil {
		return others, err
	}
	return append(others, made), nil
}

// chartImagesNow looks at the images of a chart. If its newest statement is
// still true, or nobody asks, evidence is as it was, and images is nil. Otherwise
// evidence is without the statements that have become untrue, and made is what
// is to be attested.
func (s *Service) chartImagesNow(ctx context.Context, tenant string, a oci.Artifact, in policy.Input) (evidence []policy.Document, made policy.Document, images *carried, err error) {
	if !s.cfg.Policy.Needs(in).ChartImages {
		return in.Evidence, made, nil, nil
	}
	known := newestChartImages(in.Evidence, in.Digest)
	found, err := s.lookAgain(ctx, tenant, a, known)
	if err != nil {
		return nil, made, nil, err
	}
	made = s.asAttested(found, AttestorSAN(s.cfg.Origin), a, in)
	if known != nil && reflect.DeepEqual(known, made.ChartImages) {
		return in.Evidence, made, nil, nil
	}
	others := slices.DeleteFunc(slices.Clone(in.Evidence), func(d policy.Document) bool { return isChartImages(&d, in.Digest) })
	return others, made, &found, nil
}

// lookAgain renders the chart with its defaults, adds what was found before with
// values that a job has given, and looks all images up. Those values are not
// known any more, because they may be secret: they are the job's to give again.
func (s *Service) lookAgain(ctx context.Context, tenant string, a oci.Artifact, known *policy.ChartImages) (carried, error) {
	q := attest.ChartQuestion{Tenant: tenant}
	if known == nil || !known.Given() {
		return s.registryImages(ctx, a, q)
	}
	q.Anyway = true // the given values rendered it
	q.Render = true
	archive, err := s.chartArchive(ctx, a)
	if err != nil {
		return carried{}, err
	}
	report, err := s.readImages(ctx, a, archive, q)
	if err != nil {
		return carried{}, err
	}
	for _, r := range known.Renders {
		if r.Digest == "" {
			continue
		}
		report.Renders = append(report.Renders, attest.ChartRender{
			Values: r.Values, Digest: attest.Digest(r.Digest), Operation: r.Operation, Kubernetes: r.Kubernetes, APIs: r.APIs,
			Manifests: r.Manifests, Failed: r.Failed, Problem: r.Problem, Unread: r.Unread,
		})
	}
	for _, image := range known.Images {
		report.Images = withImage(report.Images, image)
	}
	slices.SortFunc(report.Images, func(x, y attest.ChartImage) int { return cmp.Compare(x.Reference, y.Reference) })
	return s.imagesOf(ctx, archive, report)
}

// withImage adds an image of an earlier statement: where it is, and nothing of
// what was found out about it then.
func withImage(images []attest.ChartImage, image policy.ChartImage) []attest.ChartImage {
	at := slices.IndexFunc(images, func(i attest.ChartImage) bool { return i.Reference == image.Reference })
	if at < 0 {
		return append(images, attest.ChartImage{
			Reference: image.Reference, Canonical: image.Canonical, Places: image.Places, Guessed: image.Guessed, Pinned: image.Pinned,
		})
	}
	i := &images[at]
	i.Guessed = i.Guessed && image.Guessed
	for _, place := range image.Places {
		if !slices.Contains(i.Places, place) {
			i.Places = append(i.Places, place)
		}
	}
	return images
}

// isChartImages tells a statement of the service's own about the images of this
// chart.
func isChartImages(d *policy.Document, digest string) bool {
	return d.ChartImages != nil && d.Problem == "" && d.Digest == digest && d.Author == d.Signer
}

// newestChartImages is what was last said of a chart's images by the service
// itself.
func newestChartImages(documents []policy.Document, digest string) *policy.ChartImages {
	var newest *policy.Document
	for i := range documents {
		if d := &documents[i]; isChartImages(d, digest) && (newest == nil || d.At.After(newest.At)) {
			newest = d
		}
	}
	if newest == nil {
		return nil
	}
	return newest.ChartImages
}
