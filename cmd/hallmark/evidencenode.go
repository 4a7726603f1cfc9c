// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/policy/document"
	"github.com/hallmark-dev/hallmark/verifier"
)

// What an attached thing is.
const (
	isSignature   = "signature"
	isAttestation = "attestation"
	isDocument    = "document" // that a verified statement names by its digest
	isUnsigned    = "unsigned" // nobody vouches for it
	isUnknown     = "unknown"  // it could not be read, or proves nothing
)

// emptyConfig is the config of what is no image, and says nothing.
const emptyConfig = "application/vnd.oci.empty.v1+json"

// attached is one thing beside a digest. What follows Problem is proven if Verified
// or Revoked is true, and absent otherwise.
type attached struct {
	What     string `json:"what"`
	Origin   string `json:"origin"`
	Verified bool   `json:"verified"`
	Revoked  bool   `json:"revoked,omitempty"` // it would verify: Problem says what was revoked
	Problem  string `json:"problem,omitempty"` // why not, or why it counts for nothing

	PredicateType string         `json:"predicateType,omitempty"`
	Kind          string         `json:"kind,omitempty"`   // of evidence: sbom, scan, vex, …
	Format        string         `json:"format,omitempty"` // trivy, spdx, …
	Tool          string         `json:"tool,omitempty"`
	Counts        map[string]int `json:"counts,omitempty"`
	MadeAt        time.Time      `json:"madeAt,omitzero"`     // by the report's own word
	DatabaseAt    time.Time      `json:"databaseAt,omitzero"` // of the scanner
	Superseded    bool           `json:"superseded,omitempty"`

	Signer   string        `json:"signer,omitempty"`
	Issuer   string        `json:"issuer,omitempty"`
	Author   string        `json:"author,omitempty"` // for whom the service has attested
	Run      string        `json:"run,omitempty"`
	SignedAt time.Time     `json:"signedAt,omitzero"`
	LogIndex *int64        `json:"logIndex,omitempty"`
	LogID    string        `json:"logID,omitempty"`
	Bundle   attest.Digest `json:"bundle,omitempty"`

	ArtifactType string      `json:"artifactType,omitempty"` // as it calls itself
	Documents    []namedFile `json:"documents,omitempty"`

	bundle      []byte
	evidence    *policy.Document // nil: not evidence
	predicate   []byte
	certificate *x509.Certificate
	signature   []byte
	key         *verifier.Key // that it was made by, and not by a certificate
	layers      []oci.Layer
}

// namedFile is a document that a verified statement holds or names.
type namedFile struct {
	Digest    attest.Digest `json:"digest"`
	Size      int64         `json:"size"`
	MediaType string        `json:"mediaType,omitempty"`
	Held      bool          `json:"embedded"` // in the statement; otherwise the registry has it beside it
	// Secret is a document that holds secrets: its digest is recorded, and nobody
	// keeps it.
	Secret bool   `json:"secret,omitempty"`
	Saved  string `json:"saved,omitempty"`

	content []byte
}

// claims reports whether somebody signed it, or says so.
func (a *attached) claims() bool { return a.What != isUnsigned && a.What != isDocument }

// referrer is what a referrer is.
func (g *gatherer) referrer(ctx context.Context, artifact oci.Artifact, r oci.Attachment) attached {
	if r.Bundle == nil {
		a := attached{What: isUnsigned, ArtifactType: r.ArtifactType, layers: r.Layers, Origin: "referrer " + string(r.Manifest)}
		if len(r.Layers) == 1 && (a.ArtifactType == "" || a.ArtifactType == emptyConfig) {
			a.ArtifactType = r.Layers[0].MediaType // of who says what it is where older tools do
		}
		if r.Err != nil {
			a.What, a.Problem = isUnknown, oneLine(r.Err.Error())
		}
		return a
	}
	a := g.verified(ctx, artifact, r.Bundle)
	a.Origin = "referrer " + string(r.Manifest)
	return a
}

// verified is what a bundle proves about the artifact.
func (g *gatherer) verified(ctx context.Context, artifact oci.Artifact, bundle []byte) attached {
	a := attached{What: isUnknown, bundle: bundle, Bundle: attest.DigestOf(bundle)}
	fact, err := g.crypto.Facts(artifact.Digest, bundle)
	var refusal *verifier.Refusal
	if errors.As(err, &refusal) && refusal.Reason == verifier.ReasonKeyMode {
		return g.byKey(ctx, artifact, a)
	}
	if refusal != nil && refusal.Reason == verifier.ReasonRevoked && g.unrevoked != nil {
		return g.revoked(ctx, artifact, bundle, refusal)
	}
	if err != nil {
		a.Problem = oneLine(err.Error())
		return a
	}
	a.Verified, a.PredicateType, a.Signer, a.Issuer, a.SignedAt = true, fact.PredicateType, fact.SAN, fact.Issuer, fact.SignedAt
	a.LogIndex, a.LogID = &fact.LogIndex, fact.LogID
	if parsed, err := attest.ParseBundle(bundle); err == nil {
		a.signature = parsed.Signature
		a.certificate, _ = x509.ParseCertificate(parsed.Certificate) // it was verified; without it a tag matches nothing
	}
	a.read(fact, artifact.Digest, g.relatives(ctx, artifact))
	return a
}

// revoked says what a bundle was, as if nothing were revoked; it counts for nothing.
func (g *gatherer) revoked(ctx context.Context, artifact oci.Artifact, bundle []byte, why *verifier.Refusal) attached {
	before := *g
	before.crypto, before.unrevoked = g.unrevoked, nil
	a := before.verified(ctx, artifact, bundle)
	a.Revoked, a.Verified, a.evidence, a.Problem = a.Verified, false, nil, oneLine(why.Error())
	return a
}

// byKey tries the keys that were given.
func (g *gatherer) byKey(ctx context.Context, artifact oci.Artifact, a attached) attached {
	a.Problem = "signed with a key and not with a certificate (hint: --key FILE, from `hallmark keys public`)"
	blob, err := verifier.ParseBlob(string(artifact.Digest))
	if err != nil {
		a.Problem = err.Error()
		return a
	}
	for _, key := range g.keys {
		d, err := g.crypto.VerifyBundleWithKey(ctx, blob, verifier.Evidence{Bundle: a.bundle}, key)
		if err == nil && len(d.Evidence) == 1 && d.Evidence[0].Reason == verifier.ReasonRevoked && g.unrevoked != nil {
			one := *g
			one.keys = []verifier.Key{key}
			if was := one.revoked(ctx, artifact, a.bundle, &verifier.Refusal{Reason: verifier.ReasonRevoked, Detail: d.Evidence[0].Detail}); was.Revoked {
				return was
			}
		}
		if err != nil || len(d.Evidence) != 1 || !d.Allowed() {
			a.Problem = "signed with a key, and by none of those that were given"
			continue
		}
		e := d.Evidence[0]
		a.Verified, a.Problem, a.PredicateType, a.Signer, a.SignedAt = true, "", e.PredicateType, "key "+e.Signer, e.SignedAt
		a.LogIndex, a.LogID, a.key = &e.LogIndex, e.LogID, &key
		parsed, err := attest.ParseBundle(a.bundle)
		if err != nil {
			break
		}
		a.signature = parsed.Signature
		if st, err := attest.ParseStatement(parsed.Payload); err == nil {
			a.read(policy.Fact{PredicateType: st.PredicateType, Bound: true, SAN: a.Signer, SignedAt: a.SignedAt, Predicate: st.Predicate}, artifact.Digest, g.relatives(ctx, artifact))
		}
		break
	}
	return a
}

// relatives asks the registry, so that a report of an index's platform is read as
// the service's gates read it.
func (g *gatherer) relatives(ctx context.Context, artifact oci.Artifact) document.Relatives {
	return func(named []attest.Digest) ([]attest.Digest, error) {
		return g.registry.Relatives(ctx, artifact, named)
	}
}

// read says what a verified statement says.
func (a *attached) read(fact policy.Fact, digest attest.Digest, relatives document.Relatives) {
	a.What, a.predicate = isAttestation, fact.Predicate
	if fact.PredicateType == policy.PredicateSignature {
		a.What = isSignature
		return
	}
	a.Documents = filesOf(fact.Predicate)
	d, ok, err := document.OfRelated(fact, digest, relatives)
	if err != nil {
		a.Kind, a.Problem = d.Kind, oneLine(err.Error())
		return
	}
	if !ok {
		return
	}
	a.evidence = &d
	a.Kind, a.Author, a.Run = strings.Join(append([]string{d.Kind}, d.Also...), "+"), d.Author, d.Run
	if a.Author == a.Signer {
		a.Author = ""
	}
	if d.Problem != "" {
		a.Problem = d.Problem
		return
	}
	a.Format, a.Counts = d.Format, map[string]int{}
	switch {
	case d.SBOM != nil:
		a.Counts["packages"] = d.SBOM.Packages
	case d.Test != nil:
		a.Counts["passed"], a.Counts["warned"], a.Counts["failed"] = d.Test.Passed, d.Test.Warned, d.Test.Failed
	case d.ChartImages != nil:
		a.Counts["images"] = len(d.ChartImages.Images)
		for _, image := range d.ChartImages.Images {
			if image.Signed {
				a.Counts["signed"]++
			}
		}
	case d.VEX != nil:
		for _, s := range d.VEX {
			a.Counts[s.Status]++
		}
		if ev, err := attest.ReadEvidence(fact.PredicateType, fact.Predicate); err == nil && ev.VEX != nil && len(ev.VEX.Statements) > len(d.VEX) {
			a.Problem = vexDropped(len(ev.VEX.Statements) - len(d.VEX))
		}
	case d.Scan != nil:
		a.Tool, a.MadeAt, a.DatabaseAt = strings.TrimSpace(d.Scan.Tool+" "+d.Scan.Version), d.Scan.FinishedAt, d.Scan.DatabaseAt
		if d.Scan.Nothing == "" { // otherwise none were found, and none were looked for
			a.Counts["findings"] = len(d.Scan.Findings)
		}
		for i := range d.Scan.Findings {
			a.Counts[d.Scan.Findings[i].Severity]++
		}
		if d.Scan.Nothing != "" {
			a.Problem = nothingScanned + ": " + d.Scan.Nothing
		}
	}
}

// nothingScanned begins the problem of a scan that has looked at nothing.
const nothingScanned = "nothing was scanned"

// filesOf are the documents of a statement: those that it names by digest, and
// the one that it holds, byte for byte.
func filesOf(predicate []byte) []namedFile {
	var files []namedFile
	for _, o := range attest.Named(predicate) {
		files = append(files, namedFile{Digest: o.Digest, Size: o.Size, MediaType: o.MediaType, Secret: o.Secret})
	}
	held := predicate
	var wrapped struct {
		Scanner struct {
			Result json.RawMessage `json:"result"`
		} `json:"scanner"`
	}
	if json.Unmarshal(predicate, &wrapped) == nil && bytes.HasPrefix(wrapped.Scanner.Result, []byte("{")) {
		held = wrapped.Scanner.Result // cosign's predicate, around the scanner's report
	}
	file := namedFile{Digest: attest.DigestOf(held), Size: int64(len(held)), MediaType: "application/json", Held: true, content: held}
	if !slices.ContainsFunc(files, func(f namedFile) bool { return f.Digest == file.Digest }) {
		files = append(files, file)
	}
	return files
}

// legacy is what lies under a legacy tag, held against the bundles that were
// verified. A signature there is over another document, made with the same key:
// the certificate of a verified bundle proves it. An attestation there is the
// same signature. A layer that a key has made is held against the keys that were
// given, as a bundle is.
func (g *gatherer) legacy(artifact oci.Artifact, tag oci.LegacyTag, known []attached) []attached {
	origin := "tag " + tag.Tag
	if tag.Err != nil {
		return []attached{{What: isUnknown, Origin: origin, Problem: oneLine(tag.Err.Error())}}
	}
	var all []attached
	for _, l := range tag.Layers {
		a := attached{What: isSignature, Origin: origin, Problem: "no verified bundle is by the same signer (hint: cosign verify reads such tags)"}
		if tag.Kind == oci.AttestationTag {
			a.What, a.PredicateType = isAttestation, l.PredicateType
		}
		for i := range known {
			if k := &known[i]; (k.Verified || k.Revoked) && k.provesLayer(artifact.Digest, l) {
				a.Verified, a.Revoked, a.Problem = k.Verified, k.Revoked, ""
				if k.Revoked {
					a.Problem = k.Problem
				}
				a.Signer, a.Issuer, a.SignedAt, a.PredicateType, a.Kind = k.Signer, k.Issuer, k.SignedAt, k.PredicateType, k.Kind
				break
			}
		}
		if !a.Verified && !a.Revoked && len(l.Certificate) == 0 {
			g.layerByKey(artifact.Digest, l, known, &a)
		}
		all = append(all, a)
	}
	return all
}

// layerByKey tries the keys that were given on a layer without a certificate.
func (g *gatherer) layerByKey(digest attest.Digest, l oci.TagLayer, known []attached, a *attached) {
	a.Problem = "signed with a key and not with a certificate (hint: --key FILE, from `hallmark keys public`)"
	for _, key := range g.keys {
		var err error
		var st attest.Statement
		if l.Signature == nil {
			st, err = g.crypto.LegacyAttestationByKey(digest, l.Bytes, key)
		} else {
			err = g.crypto.LegacySignatureByKey(digest, l.Bytes, l.Signature, key)
		}
		var refusal *verifier.Refusal
		if errors.As(err, &refusal) && refusal.Reason == verifier.ReasonRevoked {
			a.Problem = oneLine(err.Error())
			continue
		}
		if err != nil {
			a.Problem = "signed with a key, and by none of those that were given"
			continue
		}
		a.Verified, a.Problem, a.Signer = true, "", "key "+key.Hint()
		if a.What == isAttestation {
			a.PredicateType = st.PredicateType
			return
		}
		for i := range known { // made in one go with the key's bundle
			if k := &known[i]; k.Verified && k.What == isSignature && k.key != nil && k.key.Hint() == key.Hint() {
				a.PredicateType, a.SignedAt = k.PredicateType, k.SignedAt
				break
			}
		}
		return
	}
}

func (a *attached) provesLayer(digest attest.Digest, l oci.TagLayer) bool {
	if l.Signature == nil { // an envelope
		var envelope struct {
			Payload    []byte                 `json:"payload"`
			Signatures []struct{ Sig []byte } `json:"signatures"`
		}
		if json.Unmarshal(l.Bytes, &envelope) != nil || len(envelope.Signatures) != 1 || len(a.signature) == 0 {
			return false
		}
		parsed, err := attest.ParseBundle(a.bundle)
		return err == nil && bytes.Equal(envelope.Signatures[0].Sig, a.signature) && bytes.Equal(envelope.Payload, parsed.Payload)
	}
	block, _ := pem.Decode(l.Certificate)
	if a.What != isSignature || a.certificate == nil || block == nil || !bytes.Equal(block.Bytes, a.certificate.Raw) {
		return false
	}
	var signed struct {
		Critical struct {
			Image struct {
				Digest attest.Digest `json:"docker-manifest-digest"`
			} `json:"image"`
		} `json:"critical"`
	}
	key, ok := a.certificate.PublicKey.(*ecdsa.PublicKey)
	sum := sha256.Sum256(l.Bytes)
	return ok && json.Unmarshal(l.Bytes, &signed) == nil && signed.Critical.Image.Digest == digest && ecdsa.VerifyASN1(key, sum[:], l.Signature)
}

// settle finds what the statements name, marks what newer ones supersede, and
// puts all in order.
func (t *subjectTree) settle(now time.Time) {
	named := map[attest.Digest]bool{}
	var evidence []policy.Document
	var of []int // what each belongs to
	for i := range t.Attached {
		a := &t.Attached[i]
		for _, d := range a.Documents {
			named[d.Digest] = named[d.Digest] || !d.Held
		}
		if a.evidence != nil {
			evidence, of = append(evidence, *a.evidence), append(of, i)
		}
	}
	for i, old := range policy.Superseded(evidence, now) {
		t.Attached[of[i]].Superseded = old
	}
	for i := range t.Attached {
		a := &t.Attached[i]
		if a.What == isUnsigned && slices.ContainsFunc(a.layers, func(l oci.Layer) bool { return named[l.Digest] }) {
			a.What = isDocument
		}
	}
	order := []string{isSignature, isAttestation, isDocument, isUnsigned, isUnknown}
	slices.SortStableFunc(t.Attached, func(a, b attached) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.What), slices.Index(order, b.What)), strings.Compare(a.Kind, b.Kind), b.SignedAt.Compare(a.SignedAt), strings.Compare(a.Origin, b.Origin))
	})
}
