// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/policy"
)

// The images that a chart refers to are found by rendering it, and looked up in
// the central registry. What is found is a statement of the service's own: a job
// that could make it could leave an image out.

const (
	// maxLookups bounds how many images of a chart are looked up at a time.
	maxLookups = 4
	// lookupTimeout bounds looking up all of them.
	lookupTimeout = 40 * time.Second
)

// ChartImages attests the images that a chart in the registry refers to, as it
// is rendered with its defaults and with the values of q. Errors are those of
// Attest, attest.ErrChart and ErrNoCharts.
func (s *Service) ChartImages(ctx context.Context, req Request, q attest.ChartQuestion) (Receipt, error) {
	req.Action, req.PredicateType, req.own = ActionAttest, attest.PredicateChartImages, true
	ev := s.newEvent(req)
	principal, err := s.admit(ctx, req)
	if err != nil {
		return Receipt{}, err
	}
	ev.Requester = requesterOf(principal)
	if s.cfg.Charts == nil {
		return Receipt{}, s.refuse(ctx, ev, stageRequest, ErrNoCharts)
	}
	artifact, err := s.resolve(ctx, req.Image)
	if err != nil {
		return Receipt{}, s.refuse(ctx, ev, stageResolve, err)
	}
	ev.Digest = string(artifact.Digest)
	if err := s.refuseRevoked(ctx, principal, artifact.Digest); err != nil {
		return Receipt{}, s.refuse(ctx, ev, stagePolicy, err)
	}
	// Policy is asked before anything is rendered, and again by carryOut, whose
	// grant is the one that counts.
	if decision := s.cfg.Policy.Decide(s.policyInput(principal, artifact, req)); decision.Refusal() != nil {
		return Receipt{}, s.refuse(ctx, ev, stagePolicy, refusedBy(decision))
	}
	images, err := s.registryImages(ctx, artifact, q)
	if err != nil {
		return Receipt{}, s.refuse(ctx, ev, stageEvidence, err)
	}
	receipt, _, err := s.attestOwn(ctx, principal, artifact, req, images)
	return receipt, err
}

// registryImages reads the chart from the registry and looks at its images.
func (s *Service) registryImages(ctx context.Context, a oci.Artifact, q attest.ChartQuestion) (carried, error) {
	if s.cfg.Charts == nil {
		return carried{}, ErrNoCharts
	}
	if a.Kind != oci.KindChart {
		return carried{}, fmt.Errorf("%w: %s is no Helm chart but of kind %s", ErrBadRequest, a, a.Kind)
	}
	archive, err := s.cfg.Charts.Registry.ChartArchive(ctx, a, MaxChartBytes)
	if err != nil {
		return carried{}, err
	}
	q.Render = true
	return s.imagesOf(ctx, a, archive, q)
}

// imagesOf renders an archive and looks its images up. The same facts give the
// same bytes, so that a repeated request has the first receipt.
func (s *Service) imagesOf(ctx context.Context, a oci.Artifact, archive []byte, q attest.ChartQuestion) (carried, error) {
	report, err := s.cfg.Charts.Reader.Read(ctx, archive, q)
	if err != nil {
		return carried{}, err
	}
	if err := checkChartName(report.Name, a.Repository); err != nil {
		return carried{}, err
	}
	if err := s.lookUp(ctx, report.Images); err != nil {
		return carried{}, err
	}
	found := attest.ChartImages{Renders: report.Renders, Images: report.Images}
	if found.Images == nil {
		found.Images = []attest.ChartImage{}
	}
	found.Chart.Name, found.Chart.Version, found.Chart.Archive = report.Name, report.Version, attest.DigestOf(archive)
	predicate, err := json.Marshal(found)
	if err != nil {
		return carried{}, fmt.Errorf("describe the chart's images: %w", err)
	}
	ev, err := attest.ReadEvidence(attest.PredicateChartImages, predicate)
	if err != nil {
		return carried{}, fmt.Errorf("describe the chart's images: %w", err)
	}
	return carried{name: "chart images", Document: attest.Document{PredicateType: attest.PredicateChartImages, Predicate: predicate, Evidence: ev}}, nil
}

// lookUp finds out about all images. An error means that something could not be
// decided; that an image is not signed is a finding.
func (s *Service) lookUp(ctx context.Context, images []attest.ChartImage) error {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxLookups)
	for i := range images {
		group.Go(func() error { return s.lookUpOne(ctx, &images[i]) })
	}
	return group.Wait()
}

// notOurs says why an image cannot be signed by this service, or nothing.
func (s *Service) notOurs(canonical string) string {
	ref, err := oci.ParseReference(canonical)
	switch {
	case err != nil:
		return "it is no reference in its canonical form"
	case s.cfg.Charts.Registry.Central(ref.Registry) != nil:
		return "it is not in the central registry"
	}
	return ""
}

func (s *Service) lookUpOne(ctx context.Context, image *attest.ChartImage) error {
	if image.Problem = s.notOurs(image.Canonical); image.Problem != "" {
		return nil
	}
	artifact, err := s.resolve(ctx, image.Canonical)
	switch {
	case isNo(err):
		image.Problem = clip(err.Error())
		return nil
	case err != nil:
		return fmt.Errorf("image %s: %w", image.Canonical, err)
	}
	image.Digest = artifact.Digest
	if image.Signers, err = s.cfg.Charts.Images.Signers(ctx, artifact); err != nil {
		return fmt.Errorf("image %s: %w", image.Canonical, err)
	}
	slices.Sort(image.Signers)
	image.Signers = slices.Compact(image.Signers)
	if image.Signed = len(image.Signers) > 0; !image.Signed {
		image.Problem = "this service has not signed it"
	}
	return nil
}

// withChartImages looks at the images of a chart that is about to be signed, if
// a rule asks for it and what is attested already does not do: nothing is, or an
// image was not signed then. Values that a job has given are its to give again.
func (s *Service) withChartImages(ctx context.Context, p Principal, a oci.Artifact, req Request, in policy.Input) ([]policy.Document, error) {
	if !s.wantsChartImages(in) {
		return in.Evidence, nil
	}
	images, err := s.registryImages(ctx, a, attest.ChartQuestion{})
	if err != nil {
		return nil, err
	}
	receipt, statement, err := s.attestOwn(ctx, p, a, req, images)
	if err != nil {
		return nil, err
	}
	made := s.asAttested(images, AttestorSAN(s.cfg.Origin), a, in)
	proven(&made, receipt, statement)
	return append(slices.Clone(in.Evidence), made), nil
}

// asIfChartImages is withChartImages without any effect.
func (s *Service) asIfChartImages(ctx context.Context, a oci.Artifact, in policy.Input) ([]policy.Document, error) {
	if !s.wantsChartImages(in) {
		return in.Evidence, nil
	}
	images, err := s.registryImages(ctx, a, attest.ChartQuestion{})
	if err != nil {
		return nil, err
	}
	return append(slices.Clone(in.Evidence), s.asAttested(images, AttestorSAN(s.cfg.Origin), a, in)), nil
}

// wantsChartImages tells whether the chart has to be looked at anew.
func (s *Service) wantsChartImages(in policy.Input) bool {
	if !s.cfg.Policy.Needs(in).ChartImages {
		return false
	}
	newest := newestChartImages(in.Evidence, in.Digest)
	if newest == nil {
		return true
	}
	return !newest.Given && slices.ContainsFunc(newest.Images, func(i policy.ChartImage) bool { return !i.Signed })
}

// newestChartImages is what was last said of a chart's images by the service
// itself.
func newestChartImages(documents []policy.Document, digest string) *policy.ChartImages {
	var newest *policy.Document
	for i := range documents {
		d := &documents[i]
		if d.ChartImages != nil && d.Problem == "" && d.Digest == digest && d.Author == d.Signer && (newest == nil || d.At.After(newest.At)) {
			newest = d
		}
	}
	if newest == nil {
		return nil
	}
	return newest.ChartImages
}
