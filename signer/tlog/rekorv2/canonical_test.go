// SPDX-License-Identifier: Apache-2.0

package rekorv2

import (
	"testing"

	"github.com/cyberphone/json-canonicalization/go/src/webpki.org/jsoncanonicalizer"
	commonv1 "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	pb "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	"github.com/sigstore/rekor-tiles/v2/pkg/types/hashedrekord"
	merkle "golang.org/x/mod/sumdb/tlog"
	"google.golang.org/protobuf/encoding/protojson"
)

// acceptedKeys are the kinds of keys whose signatures can be logged.
func acceptedKeys() []commonv1.PublicKeyDetails {
	return []commonv1.PublicKeyDetails{
		commonv1.PublicKeyDetails_PKIX_RSA_PKCS1V15_2048_SHA256,
		commonv1.PublicKeyDetails_PKIX_RSA_PKCS1V15_3072_SHA256,
		commonv1.PublicKeyDetails_PKIX_RSA_PKCS1V15_4096_SHA256,
		commonv1.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256,
		commonv1.PublicKeyDetails_PKIX_ECDSA_P384_SHA_384,
		commonv1.PublicKeyDetails_PKIX_ECDSA_P521_SHA_512,
		commonv1.PublicKeyDetails_PKIX_ED25519_PH,
	}
}

// The direct writer against protojson and a general canonicalizer, and against
// what stock verifiers compute from a bundle.
func FuzzCanonicalLeaf(f *testing.F) {
	f.Add([]byte("digest"), []byte("signature"), []byte("key"), uint8(0), true)
	f.Add([]byte{0xfb, 0xff, 0xfe}, []byte{0x3e, 0x3f}, []byte{0}, uint8(4), false)
	f.Add(make([]byte, 64), make([]byte, 512), make([]byte, 2000), uint8(6), true)
	f.Fuzz(func(t *testing.T, digest, sig, raw []byte, kind uint8, cert bool) {
		if len(digest) == 0 || len(sig) == 0 || len(raw) == 0 {
			return // protojson leaves empty members out; check refuses them
		}
		details := acceptedKeys()[int(kind)%len(acceptedKeys())]
		verifier := &pb.Verifier{KeyDetails: details}
		if cert {
			verifier.Verifier = &pb.Verifier_X509Certificate{X509Certificate: &commonv1.X509Certificate{RawBytes: raw}}
		} else {
			verifier.Verifier = &pb.Verifier_PublicKey{PublicKey: &pb.PublicKey{RawBytes: raw}}
		}
		signature := &pb.Signature{Content: sig, Verifier: verifier}
		hash := map[commonv1.PublicKeyDetails]commonv1.HashAlgorithm{
			commonv1.PublicKeyDetails_PKIX_ECDSA_P384_SHA_384: commonv1.HashAlgorithm_SHA2_384,
			commonv1.PublicKeyDetails_PKIX_ECDSA_P521_SHA_512: commonv1.HashAlgorithm_SHA2_512,
			commonv1.PublicKeyDetails_PKIX_ED25519_PH:         commonv1.HashAlgorithm_SHA2_512,
		}[details]
		if hash == 0 {
			hash = commonv1.HashAlgorithm_SHA2_256
		}
		record := &pb.HashedRekordLogEntryV002{Signature: signature, Data: &commonv1.HashOutput{Digest: digest, Algorithm: hash}}
		got := canonicalLeaf(record)

		encoded, err := protojson.Marshal(&pb.Entry{
			Kind: Kind, ApiVersion: Version,
			Spec: &pb.Spec{Spec: &pb.Spec_HashedRekordV002{HashedRekordV002: record}},
		})
		if err != nil {
			t.Fatal(err)
		}
		want, err := jsoncanonicalizer.Transform(encoded)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("wrote %s\nwant  %s", got, want)
		}
		stock, err := hashedrekord.ToEntryHash(digest, signature)
		if err != nil {
			t.Fatal(err)
		}
		if hash := merkle.RecordHash(got); string(hash[:]) != string(stock) {
			t.Errorf("leaf hash %x, stock verifiers compute %x", hash, stock)
		}
	})
}

func BenchmarkCanonicalLeaf(b *testing.B) {
	record := &pb.HashedRekordLogEntryV002{
		Data: &commonv1.HashOutput{Digest: make([]byte, 32), Algorithm: commonv1.HashAlgorithm_SHA2_256},
		Signature: &pb.Signature{Content: make([]byte, 71), Verifier: &pb.Verifier{
			KeyDetails: commonv1.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256,
			Verifier:   &pb.Verifier_X509Certificate{X509Certificate: &commonv1.X509Certificate{RawBytes: make([]byte, 900)}},
		}},
	}
	for b.Loop() {
		canonicalLeaf(record)
	}
}
