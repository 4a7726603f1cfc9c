// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/policy"
)

// A provenance file is a signature over something that is not in the registry
// yet: it is a part of what is pushed. So the request says where the chart is
// going to be, policy decides about that repository, and the service looks at
// the archive itself instead of the registry's copy. All else is as for every
// other signature: a grant, a count of the token's uses, a record, and the log
// before anybody gets it.
//
// The log is also what makes it once: it keeps the signature, and the text that
// was signed follows from the archive. A request for a chart that has a
// signature already gets that one, byte for byte, so that pushing again pushes
// the same.

// ChartRequest asks for a provenance file. Token is a secret.
type ChartRequest struct {
	Token string
	// Repository is where the chart will be: host/path/name, without a tag.
	Repository string
	// FileName is the archive's; Archive its bytes.
	FileName string
	Archive  []byte

	Origin    Origin
	Admission *Admission
}

// ChartReceipt is a provenance file, logged.
type ChartReceipt struct {
	Chart      string        `json:"chart" doc:"registry/repository:version that it was asked for"`
	Name       string        `json:"name"`
	Version    string        `json:"version"`
	FileName   string        `json:"fileName" doc:"the archive's; the provenance file is called so with .prov behind it"`
	Digest     attest.Digest `json:"digest" doc:"of the archive"`
	Provenance string        `json:"provenance" doc:"the provenance file"`
	Key        string        `json:"key" doc:"fingerprint of the OpenPGP key"`
	LogIndex   int64         `json:"logIndex" doc:"global index, for the log's API"`
	LogID      string        `json:"logID" doc:"hex"`
	TreeSize   int64         `json:"treeSize"`
	// Repeated says that the chart had a signature already, and this is it.
	Repeated     bool   `json:"repeated"`
	Requester    string `json:"requester" doc:"URI of the CI workflow that asked"`
	Run          string `json:"run"`
	Rule         string `json:"rule" doc:"policy rule that granted the request"`
	PolicyDigest string `json:"policyDigest"`
}

// chartDraft is a chart that may be signed: what it is, and what of it is.
type chartDraft struct {
	artifact oci.Artifact
	report   attest.ChartReport
	text     string
}

// ChartProvenance makes the provenance file of a chart. Its errors are those of
// Sign, attest.ErrChart, ErrNoCharts and ErrNoProvenance.
func (s *Service) ChartProvenance(ctx context.Context, req ChartRequest) (ChartReceipt, error) {
	ev := s.newEvent(Request{Action: ActionChartProvenance, Image: req.Repository, Origin: req.Origin})

	// 1. Who asks, and not too often?
	principal, err := s.admit(ctx, Request{Token: req.Token, Action: ActionChartProvenance, Origin: req.Origin, Admission: req.Admission})
	if err != nil {
		return ChartReceipt{}, err
	}
	ev.Requester = requesterOf(principal)
	if s.cfg.Charts == nil {
		return ChartReceipt{}, s.refuse(ctx, ev, stageRequest, ErrNoCharts)
	}
	files := s.cfg.Charts.Provenance
	if files == nil {
		return ChartReceipt{}, s.refuse(ctx, ev, stageRequest, ErrNoProvenance)
	}

	// 2. About what? The archive is read in a process of its own. From here on its
	// digest counts, and what was read in it.
	d, err := s.readChart(ctx, tenantOf(principal), req)
	if err != nil {
		return ChartReceipt{}, s.refuse(ctx, ev, stageResolve, err)
	}
	ev.Image, ev.Digest = clip(chartName(d.artifact)), string(d.artifact.Digest)
	if err := s.refuseRevoked(ctx, principal, d.artifact.Digest); err != nil {
		return ChartReceipt{}, s.refuse(ctx, ev, stagePolicy, err)
	}
	keys := files.Keys()
	if err := s.refuseRevokedKey(ctx, keys.Current.Public()); err != nil {
		return ChartReceipt{}, s.refuse(ctx, ev, stagePolicy, err)
	}

	// 3. May they? If rules ask for it, that is also whether its images are
	// signed.
	terms, err := s.decideProvenance(ctx, principal, d, req)
	if err != nil {
		return ChartReceipt{}, s.refuse(ctx, ev, stageOf(err, stageEvidence), err)
	}
	ev.Rule, ev.PolicyDigest = terms.Rule, terms.PolicyDigest

	// From here on the client may go away: what was begun is brought to an end.
	// Of two requests for one archive the second gets what the first has made.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
	defer cancel()
	hold, err := s.inflight.lock(ctx, "chart-provenance "+string(d.artifact.Digest))
	if err != nil {
		return ChartReceipt{}, s.refuse(ctx, ev, stageIntent, err)
	}
	defer hold.unlock()
	use := hashOf("hallmark chart provenance v1", d.artifact.Registry, d.artifact.Repository, string(d.artifact.Digest))
	if err := files.Tokens.UseToken(ctx, s.tokenUse(principal), "chart-provenance:"+hex.EncodeToString(use[:])); err != nil {
		return ChartReceipt{}, s.refuse(ctx, ev, stageReplay, err)
	}

	// 4. Record the grant. Power fails here: a grant, and no signature.
	granted := ev
	granted.Decision = DecisionGranted
	if err := s.cfg.Audit.Record(ctx, granted); err != nil {
		return ChartReceipt{}, fmt.Errorf("record grant: %w", err)
	}

	// 5. Sign, unless the log has a signature already, and log. Power fails before
	// the entry is durable: the signature existed in memory only. After it: the
	// request that comes again finds it in the log.
	made, err := s.loggedProvenance(ctx, d, keys)
	if err != nil {
		return ChartReceipt{}, s.fail(ctx, ev, stageSign, err)
	}

	// 6. Record what was given away. Power fails here: as in 5.
	signed := ev
	signed.Decision, signed.LogIndex = DecisionSigned, made.entry.LogIndex
	if err := s.cfg.Audit.Record(ctx, signed); err != nil {
		return ChartReceipt{}, fmt.Errorf("record signature: %w", err)
	}
	return ChartReceipt{
		Chart: chartName(d.artifact), Name: d.report.Name, Version: d.report.Version, FileName: req.FileName, Digest: d.artifact.Digest,
		Provenance: string(made.file), Key: made.key, LogIndex: made.entry.LogIndex, LogID: hex.EncodeToString(made.entry.LogID), TreeSize: made.entry.TreeSize,
		Repeated: made.repeated, Requester: principal.SAN, Run: principal.Run, Rule: terms.Rule, PolicyDigest: terms.PolicyDigest,
	}, nil
}

// chartName is a chart as people ask for it.
func chartName(a oci.Artifact) string { return a.Registry + "/" + a.Repository + ":" + a.Tag }

// readChart reads the archive and says what would be signed.
func (s *Service) readChart(ctx context.Context, tenant string, req ChartRequest) (chartDraft, error) {
	ref, err := oci.ParseReference(oci.WithoutScheme(req.Repository) + ":any") // it has no tag yet
	if err != nil {
		return chartDraft{}, err
	}
	if err := s.cfg.Charts.Registry.Central(ref.Registry); err != nil {
		return chartDraft{}, err
	}
	switch {
	case req.FileName == "" || len(req.FileName) > maxAsked:
		return chartDraft{}, fmt.Errorf("%w: the name of the archive's file is compulsory: `helm verify` looks for it", ErrBadRequest)
	case len(req.Archive) > MaxChartBytes:
		return chartDraft{}, fmt.Errorf("%w: the archive has %d bytes, the limit is %d", attest.ErrChart, len(req.Archive), MaxChartBytes)
	}
	report, err := s.cfg.Charts.Reader.Read(ctx, req.Archive, attest.ChartQuestion{FileName: req.FileName, Tenant: tenant})
	if err != nil {
		return chartDraft{}, err
	}
	if err := checkChartName(report.Name, ref.Repository); err != nil {
		return chartDraft{}, err
	}
	d := chartDraft{report: report, artifact: oci.Artifact{
		Registry: ref.Registry, Repository: ref.Repository, Tag: report.Version, Digest: attest.DigestOf(req.Archive), Kind: oci.KindChart,
	}}
	d.text, err = report.ProvenanceMessage(d.artifact.Digest)
	return d, err
}

// decideProvenance asks the policy, and looks at the chart's images if that may
// make a difference.
func (s *Service) decideProvenance(ctx context.Context, p Principal, d chartDraft, req ChartRequest) (policy.Terms, error) {
	in := s.policyInput(p, d.artifact, Request{Action: ActionChartProvenance})
	if s.cfg.Policy.Needs(in).ChartImages {
		report, err := s.readImages(ctx, d.artifact, req.Archive, attest.ChartQuestion{Render: true, Tenant: tenantOf(p)})
		if err != nil {
			return policy.Terms{}, err
		}
		images, err := s.imagesOf(ctx, req.Archive, report)
		if err != nil {
			return policy.Terms{}, err
		}
		in.Evidence = []policy.Document{s.asAttested(images, AttestorSAN(s.cfg.Origin), d.artifact, in)}
	}
	decision := s.cfg.Policy.Decide(in)
	grant, ok := decision.Grant()
	if !ok {
		return policy.Terms{}, refusedBy(decision)
	}
	return grant.Redeem()
}

// madeProvenance is a provenance file, and which key it is of.
type madeProvenance struct {
	file     []byte
	key      string // fingerprint
	entry    attest.LogEntry
	repeated bool
}

// loggedProvenance returns the file whose signature the log has, or makes it. A
// key that was rotated has signed for good, so that its signatures are looked for
// as well: a chart that is pushed again after a rotation is the same chart. Those
// of a revoked key are not.
func (s *Service) loggedProvenance(ctx context.Context, d chartDraft, keys ProvenanceKeys) (madeProvenance, error) {
	log, now := s.cfg.Charts.Provenance.Log, s.cfg.Clock()
	for i, key := range append([]ProvenanceRing{keys.Current}, keys.Earlier...) {
		if i > 0 && s.refuseRevokedKey(ctx, key.Public()) != nil {
			continue
		}
		known, err := log.ProvenanceSignatures(ctx, d.artifact.Digest, key.Ring())
		if err != nil {
			return madeProvenance{}, fmt.Errorf("look for an earlier signature: %w", err)
		}
		for _, k := range known {
			// The oldest that is over this very text. A signature over another one is
			// of a chart that another version of this service has read otherwise.
			if file, err := key.Rejoin(d.text, k.Armoured, now); err == nil {
				return madeProvenance{file, key.Fingerprint(), k.Entry, true}, nil
			}
		}
	}
	file, err := keys.Current.ClearSign(d.text, now)
	if err != nil {
		return madeProvenance{}, err
	}
	entry, err := log.AppendProvenance(ctx, file, keys.Current.Ring(), d.artifact)
	return madeProvenance{file, keys.Current.Fingerprint(), entry, false}, err
}
