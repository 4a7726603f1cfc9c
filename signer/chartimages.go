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
)

// The images that a chart refers to are found by rendering it, and looked up in
// the central registry. What is found is a statement of the service's own: a job
// that could make it could leave an image out.

const (
	// maxLookups bounds how many images of a chart are looked up at a time.
	maxLookups = 4
	// lookupTimeout bounds looking up all of them.
	lookupTimeout = 40 * time.Second
	// maxSigners bounds those that are named of one image.
	maxSigners = 32
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
	q.Tenant = tenantOf(principal)
	images, err := s.registryImages(ctx, artifact, q)
	if err != nil {
		return Receipt{}, s.refuse(ctx, ev, stageEvidence, err)
	}
	receipt, _, err := s.attestOwn(ctx, principal, artifact, req, images)
	return receipt, err
}

// registryImages reads the chart from the registry and looks at its images.
func (s *Service) registryImages(ctx context.Context, a oci.Artifact, q attest.ChartQuestion) (carried, error) {
	archive, err := s.chartArchive(ctx, a)
	if err != nil {
		return carried{}, err
	}
	q.Render = true
	report, err := s.readImages(ctx, a, archive, q)
	if err != nil {
		return carried{}, err
	}
	return s.imagesOf(ctx, archive, report)
}

// chartArchive fetches the archive of a chart.
func (s *Service) chartArchive(ctx context.Context, a oci.Artifact) ([]byte, error) {
	if s.cfg.Charts == nil {
		return nil, ErrNoCharts
	}
	if a.Kind != oci.KindChart {
		return nil, fmt.Errorf("%w: %s is no Helm chart but of kind %s", ErrBadRequest, a, a.Kind)
	}
	return s.cfg.Charts.Registry.ChartArchive(ctx, a, MaxChartBytes)
}

// readImages renders an archive.
func (s *Service) readImages(ctx context.Context, a oci.Artifact, archive []byte, q attest.ChartQuestion) (attest.ChartReport, error) {
	report, err := s.cfg.Charts.Reader.Read(ctx, archive, q)
	if err != nil {
		return report, err
	}
	return report, checkChartName(report.Name, a.Repository)
}

// imagesOf looks up the images of a chart that was rendered. The same facts give
// the same bytes, so that a repeated request has the first receipt.
func (s *Service) imagesOf(ctx context.Context, archive []byte, report attest.ChartReport) (carried, error) {
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
	if reason, revoked := s.revoked(ctx, artifact.Digest); revoked {
		image.Revoked = clip(reason)
		image.Problem = "it is revoked"
		return nil
	}
	signatures, err := s.cfg.Charts.Images.Signatures(ctx, artifact)
	if err != nil {
		return fmt.Errorf("image %s: %w", image.Canonical, err)
	}
	image.Signers = signatures.By
	slices.Sort(image.Signers)
	image.Signers = slices.Compact(image.Signers)
	image.Signers = image.Signers[:min(len(image.Signers), maxSigners)]
	switch image.Signed = len(image.Signers) > 0; {
	case image.Signed:
	case signatures.Revoked != "":
		image.Revoked, image.Problem = clip(signatures.Revoked), "who signed it is revoked"
	default:
		image.Problem = "this service has not signed it"
	}
	return nil
}
