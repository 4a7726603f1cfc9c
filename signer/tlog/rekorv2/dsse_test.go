// SPDX-License-Identifier: Apache-2.0

package rekorv2_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	commonv1 "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	rekorv1 "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	pb "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer/tlog"
)

const (
	statementType = "application/vnd.in-toto+json"
	subject       = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	statement     = `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"app","digest":{"sha256":"` + subject + `"}}],"predicateType":"https://example.com/p","predicate":{}}`
)

// pae is a request for the PAE of an envelope: what sigstore-go from 1.2 on
// sends for it.
func (w writer) pae(t testing.TB) *pb.HashedRekordRequestV002 {
	t.Helper()
	return w.request(t, string(attest.PAE(statementType, []byte(statement))))
}

// dsseBody is what sigstore-go 1.1.4 sends for the same signature
// (pkg/sign/transparency.go, getRekorV2TLE): the envelope of the bundle and one
// verifier.
//
//nolint:staticcheck // deprecated upstream, and still sent
func dsseBody(t testing.TB, req *pb.HashedRekordRequestV002, adjust func(*pb.DSSERequestV002)) string {
	t.Helper()
	d := &pb.DSSERequestV002{
		Envelope: &dsse.Envelope{
			Payload: []byte(statement), PayloadType: statementType,
			Signatures: []*dsse.Signature{{Sig: req.Signature.Content}},
		},
		Verifiers: []*pb.Verifier{req.Signature.Verifier},
	}
	if adjust != nil {
		adjust(d)
	}
	b, err := protojson.Marshal(&pb.CreateEntryRequest{Spec: &pb.CreateEntryRequest_DsseRequestV002{DsseRequestV002: d}})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// An envelope becomes the entry that a newer client asks for, whoever is first.
func TestDSSEIsAHashedRekord(t *testing.T) {
	for _, w := range signers(t) {
		t.Run(w.name, func(t *testing.T) {
			e := newEnv(t, nil)
			for n, req := range []*pb.HashedRekordRequestV002{w.pae(t), w.withCertificate(t, w.pae(t), 0)} {
				got := e.post(dsseBody(t, req, nil))
				if got.status != 201 {
					t.Fatalf("%d %s", got.status, got.body)
				}
				entry := new(rekorv1.TransparencyLogEntry)
				if err := protojson.Unmarshal([]byte(got.body), entry); err != nil {
					t.Fatal(err)
				}
				e.verifyEntry(req, entry, int64(n))
				again, err := e.client().Add(t.Context(), req)
				if err != nil || again.LogIndex != entry.LogIndex || string(again.CanonicalizedBody) != string(entry.CanonicalizedBody) {
					t.Errorf("a newer client gets %v, %v, not %v", again, err, entry)
				}
			}
			if e.log.Size() != 2 {
				t.Errorf("%d entries", e.log.Size())
			}
		})
	}
}

// The bytes that sigstore-go 1.1.4 sends, written down.
func TestDSSEAsOnTheWire(t *testing.T) {
	w := signers(t)[0]
	req := w.pae(t)
	b64 := base64.StdEncoding.EncodeToString
	content := fmt.Sprintf(`{"dsseRequestV002":{"envelope":{"payload":"%s","payloadType":"%s","signatures":[{"sig":"%s"}]},`+
		`"verifiers":[{"publicKey":{"rawBytes":"%s"},"keyDetails":"PKIX_ECDSA_P256_SHA_256"}]}}`,
		b64([]byte(statement)), statementType, b64(req.Signature.Content), b64(req.Signature.Verifier.GetPublicKey().RawBytes))
	if got := newEnv(t, nil).post(content); got.index(t) != "0" || !strings.Contains(got.body, `"kind":"hashedrekord","version":"0.0.2"`) {
		t.Errorf("%s", got.body)
	}
}

//nolint:staticcheck // deprecated upstream, and still sent
func TestRefusedDSSE(t *testing.T) {
	w := signers(t)[0]
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ed := writer{"Ed25519", key, crypto.SHA512, crypto.Hash(0), commonv1.PublicKeyDetails_PKIX_ED25519}
	pure := ed.pae(t)
	pure.Signature.Content = ed25519.Sign(key, attest.PAE(statementType, []byte(statement)))
	asPH := ed.pae(t)
	asPH.Signature.Content, asPH.Signature.Verifier.KeyDetails = pure.Signature.Content, commonv1.PublicKeyDetails_PKIX_ED25519_PH
	for name, content := range map[string]string{
		"no envelope":     dsseBody(t, w.pae(t), func(d *pb.DSSERequestV002) { d.Envelope = nil }),
		"no signature":    dsseBody(t, w.pae(t), func(d *pb.DSSERequestV002) { d.Envelope.Signatures = nil }),
		"empty signature": dsseBody(t, w.pae(t), func(d *pb.DSSERequestV002) { d.Envelope.Signatures[0].Sig = nil }),
		"two signatures": dsseBody(t, w.pae(t), func(d *pb.DSSERequestV002) {
			d.Envelope.Signatures = append(d.Envelope.Signatures, d.Envelope.Signatures[0])
		}),
		"no verifier":   dsseBody(t, w.pae(t), func(d *pb.DSSERequestV002) { d.Verifiers = nil }),
		"two verifiers": dsseBody(t, w.pae(t), func(d *pb.DSSERequestV002) { d.Verifiers = append(d.Verifiers, d.Verifiers[0]) }),
		"other payload": dsseBody(t, w.pae(t), func(d *pb.DSSERequestV002) { d.Envelope.Payload = []byte("{}") }),
		"other type":    dsseBody(t, w.pae(t), func(d *pb.DSSERequestV002) { d.Envelope.PayloadType = "text/plain" }),
		"other key details": dsseBody(t, w.pae(t), func(d *pb.DSSERequestV002) {
			d.Verifiers[0].KeyDetails = commonv1.PublicKeyDetails_PKIX_ECDSA_P384_SHA_384
		}),
		"no key details":              dsseBody(t, w.pae(t), func(d *pb.DSSERequestV002) { d.Verifiers[0].KeyDetails = 0 }),
		"signature of the payload":    dsseBody(t, w.request(t, statement), nil),
		"pure Ed25519":                dsseBody(t, pure, nil),
		"pure Ed25519, said to be ph": dsseBody(t, asPH, nil),
	} {
		e := newEnv(t, nil)
		got := e.post(content)
		if got.status != 400 || got.code != 3 || got.message != "invalid dsse request" || e.log.Size() != 0 {
			t.Errorf("%s: %d %s, %d entries", name, got.status, got.body, e.log.Size())
		}
	}
}

// An envelope is found by what it is about.
func TestEntriesAreFound(t *testing.T) {
	e := newEnv(t, nil)
	w := signers(t)[0]
	req := w.withCertificate(t, w.pae(t), 0)
	e.post(dsseBody(t, req, nil)).index(t)
	bare := w.request(t, "bare")
	e.post(body(t, bare)).index(t)
	mine := w.request(t, "in process")
	if _, err := e.service.Append(t.Context(), mine.Digest, mine.Signature.Content, w.certificate(t, 0), []string{"image:registry.example/app"}); err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(w.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string][]int64{
		fmt.Sprintf("hash:sha256:%x", req.Digest):                          {0},
		fmt.Sprintf("hash:sha256:%x", sha256.Sum256([]byte(statement))):    {0},
		"hash:sha256:" + subject:                                           {0},
		fmt.Sprintf("hash:sha256:%x", sha256.Sum256([]byte("bare"))):       {1},
		fmt.Sprintf("hash:sha256:%x", sha256.Sum256([]byte("in process"))): {2},
		"image:registry.example/app":                                       {2},
		fmt.Sprintf("publickey:%x", sha256.Sum256(spki)):                   {0, 1, 2},
		"image:registry.example/other":                                     nil,
	} {
		found, err := e.set.Search(t.Context(), tlog.Query{Keys: []string{key}, Limit: 10})
		var got []int64
		for _, p := range found {
			got = append(got, p.Index)
		}
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v, %v, want %v", key, got, err, want)
		}
	}
}
