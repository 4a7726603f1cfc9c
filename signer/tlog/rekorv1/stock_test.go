// SPDX-License-Identifier: Apache-2.0

package rekorv1_test

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-openapi/strfmt"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/rekor/pkg/generated/client/entries"
	rekorindex "github.com/sigstore/rekor/pkg/generated/client/index"
	"github.com/sigstore/rekor/pkg/generated/client/pubkey"
	rekortlog "github.com/sigstore/rekor/pkg/generated/client/tlog"
	"github.com/sigstore/rekor/pkg/generated/models"
	"github.com/sigstore/rekor/pkg/tle"
	"github.com/sigstore/rekor/pkg/util"
	"github.com/sigstore/rekor/pkg/verify"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"
	sgtlog "github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer/tlog/rekorv1"
)

// Every kind is logged, verifies by Rekor's own code (timestamp, proof,
// checkpoint), becomes a bundle's entry, and is found again in every way.
func TestAllKinds(t *testing.T) {
	e := newEnv(t, options{})
	verifier, err := signature.LoadVerifier(e.keys["v1"].Public(), crypto.SHA256)
	e.must(err)
	for name, p := range allKinds(t) {
		t.Run(name, func(t *testing.T) {
			e := e.in(t)
			got := e.submit(compact(t, p), http.StatusCreated)
			id, entry := only(t, got.body)
			if err := verify.VerifyLogEntry(t.Context(), &entry, verifier); err != nil {
				t.Error(err)
			}
			if pb, err := tle.GenerateTransparencyLogEntry(entry); err != nil || pb.GetKindVersion().GetKind() != p["kind"] {
				t.Errorf("bundle entry %v: %v", pb, err)
			}
			if e.submit(compact(t, p), http.StatusCreated).header.Get("Etag") != id {
				t.Error("the same request again is another entry")
			}
			if got := e.call(http.MethodGet, "/api/v1/log/entries/"+id, ""); got.status != http.StatusOK {
				t.Errorf("by id: %+v", got)
			}
			if got := e.call(http.MethodPost, "/api/v1/log/entries/retrieve", string(compact(t, obj{"entries": []obj{p}}))); got.status != http.StatusOK || len(got.body) < 100 {
				t.Errorf("by content: %+v", got)
			}
		})
	}
}

// Rekor's generated client, every operation, with the types of its errors.
func TestGeneratedClient(t *testing.T) {
	e := newEnv(t, options{})
	s := newSigner(t)
	ctx := t.Context()
	c := e.client()
	propose := func(p obj) models.ProposedEntry {
		proposed, err := models.UnmarshalProposedEntry(bytes.NewReader(compact(t, p)), nil)
		e.must(err)
		return proposed
	}
	good := propose(s.hashedrekord(t, "artifact", s.publicPEM(t)))

	created, err := c.Entries.CreateLogEntryContext(ctx, entries.NewCreateLogEntryParams().WithProposedEntry(good))
	e.must(err)
	logged := created.Payload[created.ETag] // as sigstore-go does, unchecked
	if *logged.LogIndex != 1 || path.Base(created.Location.String()) != created.ETag {
		t.Errorf("%+v", created)
	}
	again, err := c.Entries.CreateLogEntryContext(ctx, entries.NewCreateLogEntryParams().WithProposedEntry(good))
	e.must(err)
	if again.ETag != created.ETag {
		t.Errorf("again %s", again.ETag)
	}
	byIndex, err := c.Entries.GetLogEntryByIndexContext(ctx, entries.NewGetLogEntryByIndexParams().WithLogIndex(1))
	e.must(err)
	byID, err := c.Entries.GetLogEntryByUUIDContext(ctx, entries.NewGetLogEntryByUUIDParams().WithEntryUUID(created.ETag))
	e.must(err)
	query := &models.SearchLogQuery{EntryUUIDs: []string{created.ETag[16:]}, LogIndexes: []*int64{new(int64)}}
	query.SetEntries([]models.ProposedEntry{good})
	found, err := c.Entries.SearchLogQueryContext(ctx, entries.NewSearchLogQueryParams().WithEntry(query))
	e.must(err)
	if len(found.Payload) != 3 || byIndex.Payload[created.ETag].Body != logged.Body || byID.Payload[created.ETag].Body != logged.Body {
		t.Errorf("%v %v %v", found.Payload, byIndex.Payload, byID.Payload)
	}
	key, err := c.Pubkey.GetPublicKeyContext(ctx, pubkey.NewGetPublicKeyParams())
	e.must(err)
	if key.Payload != string((signer{key: e.keys["v1"]}).publicPEM(t)) {
		t.Error(key.Payload)
	}
	info, err := c.Tlog.GetLogInfoContext(ctx, rekortlog.NewGetLogInfoParams())
	e.must(err)
	e.must(info.Payload.Validate(strfmt.Default))
	proof, err := c.Tlog.GetLogProofContext(ctx, rekortlog.NewGetLogProofParams().WithLastSize(2))
	e.must(err)
	e.must(proof.Payload.Validate(strfmt.Default))
	ids, err := c.Index.SearchIndexContext(ctx, rekorindex.NewSearchIndexParams().WithQuery(&models.SearchIndex{
		Hash: fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("artifact"))),
	}))
	e.must(err)
	if !slices.Equal(ids.Payload, []string{created.ETag}) {
		t.Error(ids.Payload)
	}

	// What rekor-cli loginfo does.
	verifier, err := signature.LoadVerifier(e.keys["v1"].Public(), crypto.SHA256)
	e.must(err)
	var old util.SignedCheckpoint
	e.must(old.UnmarshalText([]byte(*info.Payload.SignedTreeHead)))
	e.submit(compact(t, s.hashedrekord(t, "more", s.publicPEM(t))), http.StatusCreated)
	if _, err := verify.VerifyCurrentCheckpoint(ctx, c, verifier, &old); err != nil {
		t.Error(err)
	}
	for i := range int64(3) {
		got, err := c.Entries.GetLogEntryByIndexContext(ctx, entries.NewGetLogEntryByIndexParams().WithLogIndex(i))
		e.must(err)
		for _, entry := range got.Payload {
			if err := verify.VerifyLogEntry(ctx, &entry, verifier); err != nil {
				t.Errorf("entry %d: %v", i, err)
			}
		}
	}

	// The errors have the types that clients switch on.
	_, err = c.Entries.GetLogEntryByIndexContext(ctx, entries.NewGetLogEntryByIndexParams().WithLogIndex(99))
	_ = is[*entries.GetLogEntryByIndexNotFound](t, err)
	_, err = c.Entries.GetLogEntryByIndexContext(ctx, entries.NewGetLogEntryByIndexParams().WithLogIndex(-1))
	if wrong := is[*entries.GetLogEntryByIndexDefault](t, err); wrong.Code() != 422 || wrong.Payload.Code != 609 {
		t.Error(wrong)
	}
	_, err = c.Entries.GetLogEntryByUUIDContext(ctx, entries.NewGetLogEntryByUUIDParams().WithEntryUUID(zeros64))
	_ = is[*entries.GetLogEntryByUUIDNotFound](t, err)
	_, err = c.Entries.CreateLogEntryContext(ctx, entries.NewCreateLogEntryParams().WithProposedEntry(propose(proposal("dsse", "0.0.1", obj{}))))
	if wrong := is[*entries.CreateLogEntryBadRequest](t, err); !strings.HasPrefix(wrong.Payload.Message, "error processing entry: ") {
		t.Error(wrong.Payload.Message)
	}
	_, err = c.Entries.SearchLogQueryContext(ctx, entries.NewSearchLogQueryParams().WithEntry(&models.SearchLogQuery{EntryUUIDs: []string{strings.Repeat("0", 80)}}))
	_ = is[*entries.SearchLogQueryBadRequest](t, err)
	_, err = c.Entries.SearchLogQueryContext(ctx, entries.NewSearchLogQueryParams().WithEntry(&models.SearchLogQuery{
		EntryUUIDs: slices.Repeat([]string{zeros64}, 6), LogIndexes: slices.Repeat([]*int64{new(int64)}, 6),
	}))
	_ = is[*entries.SearchLogQueryUnprocessableEntity](t, err)
	_, err = c.Tlog.GetLogProofContext(ctx, rekortlog.NewGetLogProofParams().WithLastSize(99))
	_ = is[*rekortlog.GetLogProofBadRequest](t, err)
	tree := "7"
	_, err = c.Pubkey.GetPublicKeyContext(ctx, pubkey.NewGetPublicKeyParams().WithTreeID(&tree))
	if wrong := is[*pubkey.GetPublicKeyDefault](t, err); wrong.Code() != 400 {
		t.Error(wrong)
	}
	format := "x509"
	_, err = c.Index.SearchIndexContext(ctx, rekorindex.NewSearchIndexParams().WithQuery(&models.SearchIndex{PublicKey: &models.SearchIndexPublicKey{Format: &format}}))
	_ = is[*rekorindex.SearchIndexBadRequest](t, err)
}

// is demands an error of a type.
func is[E error](t *testing.T, err error) E {
	t.Helper()
	var want E
	if !errors.As(err, &want) {
		t.Errorf("%T %v is no %T", err, err, want)
	}
	return want
}

// sigstore-go writes an entry, for a DSSE envelope as cosign 2 and 3 make one,
// and verifies it as bundles are verified; what the signing service appends in
// process verifies in the same way.
func TestSigstoreGo(t *testing.T) {
	e := newEnv(t, options{})
	e.rotate("v1-2")
	s := newSigner(t)
	cert := s.certificate(t, newIssuer(t))
	payload := statement("app")
	sum := sha256.Sum256(attest.PAE(intotoType, payload))
	sig := s.sign(t, sum[:])
	bundle := &protobundle.Bundle{
		VerificationMaterial: &protobundle.VerificationMaterial{Content: &protobundle.VerificationMaterial_Certificate{
			Certificate: &protocommon.X509Certificate{RawBytes: cert},
		}},
		Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
			PayloadType: intotoType, Payload: payload, Signatures: []*protodsse.Signature{{Sig: sig}},
		}},
	}
	rekor := sign.NewRekor(&sign.RekorOptions{BaseURL: e.url})
	for range 2 { // a retry after a lost answer
		e.must(rekor.GetTransparencyLogEntry(t.Context(), certPEM(cert), bundle))
	}
	written := bundle.VerificationMaterial.TlogEntries
	if written[0].LogIndex != 2 || written[1].LogIndex != 2 || written[0].InclusionProof.LogIndex != 1 {
		t.Errorf("at %d, then %d", written[0].LogIndex, written[1].LogIndex)
	}

	own, err := e.service.Append(t.Context(), rekorv1.Envelope{PayloadType: intotoType, Payload: payload, Signature: sig, Certificate: cert})
	e.must(err)
	key := e.keys["v1-2"].Public()
	id := hex.EncodeToString(own.LogID)
	verifiers := map[string]*root.TransparencyLog{id: {
		ID: own.LogID, HashFunc: crypto.SHA256, SignatureHashFunc: crypto.SHA256, PublicKey: key, ValidityPeriodStart: time.Unix(0, 0),
	}}
	verifier, err := signature.LoadVerifier(key, crypto.SHA256)
	e.must(err)
	for name, pb := range map[string]*protorekor.TransparencyLogEntry{"by client": written[1], "in process": protoEntry(own)} {
		entry, err := sgtlog.ParseTransparencyLogEntry(pb)
		e.must(err)
		if err := sgtlog.VerifySET(entry, verifiers); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := sgtlog.VerifyInclusion(entry, verifier); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		want := sha256.Sum256(payload)
		if hash, ok := entry.GetDssePayloadHash(); !ok || !bytes.Equal(hash, want[:]) {
			t.Errorf("%s: payload hash %x", name, hash)
		}
		if entry.IsRekorV2() || !entry.HasInclusionPromise() || !entry.HasInclusionProof() {
			t.Errorf("%s: is not taken for v1", name)
		}
	}
}

// protoEntry is a bundle's form of an entry.
func protoEntry(e attest.LogEntry) *protorekor.TransparencyLogEntry {
	return &protorekor.TransparencyLogEntry{
		LogIndex: e.LogIndex, LogId: &protocommon.LogId{KeyId: e.LogID},
		KindVersion: &protorekor.KindVersion{Kind: e.Kind, Version: e.Version}, IntegratedTime: e.IntegratedTime,
		InclusionPromise: &protorekor.InclusionPromise{SignedEntryTimestamp: e.SignedEntryTimestamp},
		InclusionProof: &protorekor.InclusionProof{
			LogIndex: e.ProofIndex, RootHash: e.RootHash, TreeSize: e.TreeSize, Hashes: e.Hashes,
			Checkpoint: &protorekor.Checkpoint{Envelope: e.Checkpoint},
		},
		CanonicalizedBody: e.CanonicalizedBody,
	}
}

// What cosign asks when it has a signature and no bundle: entries by content,
// proposed in two kinds of which one was logged.
func TestOnlineLookUp(t *testing.T) {
	e := newEnv(t, options{})
	s := newSigner(t)
	cert := certPEM(s.certificate(t, newIssuer(t)))
	payload := statement("app")
	p := dsse(s.envelope(t, payload), cert)
	id := e.id(p)
	envelope := at[string](t, p, "spec", "proposedContent", "envelope")
	legacy := proposal("intoto", "0.0.1", obj{"content": obj{"envelope": envelope}, "publicKey": cert})
	_, logged := only(t, e.submit(compact(t, p), http.StatusCreated).body)
	var canonical obj
	e.must(json.Unmarshal(leaf(t, logged), &canonical))
	for name, query := range map[string][]obj{"as proposed": {p, legacy}, "as logged": {canonical}} {
		var found []models.LogEntry
		got := e.call(http.MethodPost, "/api/v1/log/entries/retrieve", string(compact(t, obj{"entries": query})))
		if err := json.Unmarshal([]byte(got.body), &found); err != nil || len(found) != 1 || found[0][id].Body == nil {
			t.Errorf("%s: %.300s", name, got.body)
		}
	}
	if got := e.call(http.MethodPost, "/api/v1/log/entries/retrieve", string(compact(t, obj{"entries": []obj{legacy}}))); got.body != "[]" {
		t.Errorf("nothing found: %s", got.body)
	}
}
