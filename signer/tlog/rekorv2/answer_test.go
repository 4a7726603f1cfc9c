// SPDX-License-Identifier: Apache-2.0

package rekorv2

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/json"
	"errors"
	"math/big"
	"reflect"
	"slices"
	"testing"
	"time"
	"unicode/utf8"

	commonv1 "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	rekorv1 "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	pb "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	"github.com/sigstore/rekor-tiles/v2/pkg/types/hashedrekord"
	"github.com/sigstore/sigstore/pkg/signature"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// The direct writer against protojson.
func FuzzAnswer(f *testing.F) {
	f.Add(int64(0), int64(1), 0, "log.example\n1\nAA==\n\n\u2014 log.example AA==\n", []byte("leaf"))
	f.Add(int64(1<<62), int64(1<<62+1), 62, "l\"o\\g\x00\x1f\u007f\u2028", []byte{0xfb, 0xff})
	f.Fuzz(func(t *testing.T, index, size int64, length int, checkpoint string, leaf []byte) {
		l := logged{logID: make([]byte, 32), leaf: leaf}
		l.Index, l.TreeSize, l.Checkpoint = index, size, []byte(checkpoint)
		l.Root = sha256.Sum256(leaf)
		for i := range length & 63 {
			l.Proof = append(l.Proof, sha256.Sum256([]byte{byte(i)}))
		}
		got := l.answer()
		if !utf8.ValidString(checkpoint) {
			if !json.Valid(got) {
				t.Errorf("%s", got)
			}
			return // protojson has no answer
		}
		entry := &rekorv1.TransparencyLogEntry{
			LogIndex: index, LogId: &commonv1.LogId{KeyId: l.logID}, KindVersion: &rekorv1.KindVersion{Kind: Kind, Version: Version},
			InclusionProof: &rekorv1.InclusionProof{
				LogIndex: index, TreeSize: size, RootHash: l.Root[:], Hashes: hashes(l.Proof),
				Checkpoint: &rekorv1.Checkpoint{Envelope: checkpoint},
			},
			CanonicalizedBody: leaf,
		}
		want, err := protojson.MarshalOptions{EmitUnpopulated: true}.Marshal(entry)
		if err != nil {
			t.Fatal(err)
		}
		var ours, theirs any // every member, set or not
		if err := errors.Join(json.Unmarshal(got, &ours), json.Unmarshal(want, &theirs)); err != nil || !reflect.DeepEqual(ours, theirs) {
			t.Errorf("wrote %s\nwant  %s, %v", got, want, err)
		}
		if got := new(rekorv1.TransparencyLogEntry); protojson.Unmarshal(l.answer(), got) != nil || !proto.Equal(got, entry) {
			t.Errorf("clients read %v, not %v", got, entry)
		}
	})
}

// signedBy makes a request of each kind of key.
func signedBy(f *testing.F) []*pb.HashedRekordRequestV002 {
	f.Helper()
	var all []*pb.HashedRekordRequestV002
	add := func(key crypto.Signer, opts crypto.SignerOpts, digest []byte, details commonv1.PublicKeyDetails) {
		sig, err := key.Sign(rand.Reader, digest, opts)
		if err != nil {
			f.Fatal(err)
		}
		spki, err := x509.MarshalPKIXPublicKey(key.Public())
		if err != nil {
			f.Fatal(err)
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
		cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			f.Fatal(err)
		}
		bare := &pb.Verifier{Verifier: &pb.Verifier_PublicKey{PublicKey: &pb.PublicKey{RawBytes: spki}}, KeyDetails: details}
		for _, verifier := range []*pb.Verifier{bare, certificateVerifier(cert, details)} {
			all = append(all, &pb.HashedRekordRequestV002{Digest: digest, Signature: &pb.Signature{Content: sig, Verifier: verifier}})
		}
	}
	d256, d384, d512 := sha256.Sum256(nil), sha512.Sum384(nil), sha512.Sum512(nil)
	for _, k := range []struct {
		curve   elliptic.Curve
		opts    crypto.Hash
		digest  []byte
		details commonv1.PublicKeyDetails
	}{
		{elliptic.P256(), crypto.SHA256, d256[:], commonv1.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256},
		{elliptic.P384(), crypto.SHA384, d384[:], commonv1.PublicKeyDetails_PKIX_ECDSA_P384_SHA_384},
		{elliptic.P521(), crypto.SHA512, d512[:], commonv1.PublicKeyDetails_PKIX_ECDSA_P521_SHA_512},
	} {
		key, err := ecdsa.GenerateKey(k.curve, rand.Reader)
		if err != nil {
			f.Fatal(err)
		}
		add(key, k.opts, k.digest, k.details)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	add(ed, &ed25519.Options{Hash: crypto.SHA512}, d512[:], commonv1.PublicKeyDetails_PKIX_ED25519_PH)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		f.Fatal(err)
	}
	add(key, crypto.SHA256, d256[:], commonv1.PublicKeyDetails_PKIX_RSA_PKCS1V15_2048_SHA256)
	return all
}

// check against rekor-tiles' own: the same requests are entries, and the same
// entries.
func FuzzCheck(f *testing.F) {
	requests := signedBy(f)
	algorithms, err := signature.NewAlgorithmRegistryConfig(acceptedKeys())
	if err != nil {
		f.Fatal(err)
	}
	for i := range requests {
		f.Add(i, 0, byte(0), 0)
		f.Add(i, 3, byte(1), 0)
		f.Add(i, 7, byte(1), 0)
		f.Add(i, 0, byte(0), int(commonv1.PublicKeyDetails_PKIX_ECDSA_P384_SHA_384))
	}
	f.Fuzz(func(t *testing.T, which, at int, change byte, details int) {
		req := proto.CloneOf(requests[(which&0xffff)%len(requests)])
		verifier := req.Signature.Verifier
		var fields []byte // one byte of the request is changed
		switch at & 3 {
		case 0:
			fields = req.Digest
		case 1:
			fields = req.Signature.Content
		case 2:
			fields = verifier.GetPublicKey().GetRawBytes()
			if cert := verifier.GetX509Certificate(); cert != nil {
				fields = cert.RawBytes
			}
		case 3:
			if req.Digest = req.Digest[:len(req.Digest)-int(change)%len(req.Digest)]; at&4 != 0 {
				req.Digest = slices.Concat(requests[(which&0xffff)%len(requests)].Digest, []byte{change})
			}
			change = 0
		}
		if len(fields) > 0 {
			fields[(at>>2&0xffff)%len(fields)] ^= change
		}
		if details != 0 {
			verifier.KeyDetails = commonv1.PublicKeyDetails(details & 31)
		}
		got, err := check(req)
		want, stockErr := hashedrekord.ToLogEntry(req, algorithms)
		if stockErr == nil {
			if claim, parseErr := claimOf(verifier); parseErr == nil {
				if d, _ := keyDetails(claim.PublicKey); d != verifier.KeyDetails {
					if err == nil {
						t.Errorf("key details %s are accepted, the default is %s", verifier.KeyDetails, d)
					}
					return
				}
			}
		}
		if (err == nil) != (stockErr == nil) {
			t.Fatalf("%v, stock says %v", err, stockErr)
		}
		if err == nil && !proto.Equal(got.record, want.GetSpec().GetHashedRekordV002()) {
			t.Errorf("%v\nstock %v", got.record, want)
		}
	})
}
