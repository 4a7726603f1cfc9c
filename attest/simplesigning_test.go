// SPDX-License-Identifier: Apache-2.0

package attest_test

import (
	"errors"
	"testing"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore/pkg/signature/payload"
	"google.golang.org/protobuf/encoding/protojson"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"

	"github.com/hallmark-dev/hallmark/attest"
)

// TestSimpleSigning: the bytes, and that sigstore's library reads them.
func TestSimpleSigning(t *testing.T) {
	got, err := attest.SimpleSigning("registry.example/acme/app", subject)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"critical":{"identity":{"docker-reference":"registry.example/acme/app"},"image":{"docker-manifest-digest":"` + string(subject) +
		`"},"type":"cosign container image signature"},"optional":null}`
	if string(got) != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	var theirs payload.Cosign
	if err := theirs.UnmarshalJSON(got); err != nil || theirs.Image.DigestStr() != string(subject) {
		t.Errorf("sigstore reads %+v, %v", theirs, err)
	}
	if _, err := attest.SimpleSigning("registry.example/acme/app", "sha256:short"); !errors.Is(err, attest.ErrDigest) {
		t.Errorf("a digest that is none: %v", err)
	}
}

// TestEnvelope: the one spelling of an envelope.
func TestEnvelope(t *testing.T) {
	got, err := attest.Envelope(attest.PayloadType, []byte("{}"), []byte("sig"))
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"payloadType":"application/vnd.in-toto+json","payload":"e30=","signatures":[{"sig":"c2ln"}]}`; string(got) != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// TestMessageBundle: sigstore-go reads it as a bundle of version 0.3 with a
// message signature, by certificate and by key.
func TestMessageBundle(t *testing.T) {
	like := sample(t)
	good := attest.MessageBundle{Digest: subject, Signature: like.Signature, Certificate: like.Certificate, Entry: like.Entry, Timestamp: like.Timestamp}
	byKey := good
	byKey.Certificate, byKey.KeyHint, byKey.Timestamp = nil, "hint", nil
	for name, b := range map[string]attest.MessageBundle{"certificate": good, "key": byKey} {
		raw, err := b.Encode()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var pb protobundle.Bundle
		if err := protojson.Unmarshal(raw, &pb); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := bundle.NewBundle(&pb); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if pb.GetMessageSignature().GetMessageDigest().GetAlgorithm().String() != "SHA2_256" || string(pb.GetMessageSignature().GetSignature()) != string(like.Signature) {
			t.Errorf("%s: read as %v", name, &pb)
		}
	}
	for name, change := range map[string]func(*attest.MessageBundle){
		"no digest":          func(b *attest.MessageBundle) { b.Digest = "" },
		"no signature":       func(b *attest.MessageBundle) { b.Signature = nil },
		"neither":            func(b *attest.MessageBundle) { b.Certificate = nil },
		"both":               func(b *attest.MessageBundle) { b.KeyHint = "hint" },
		"no entry":           func(b *attest.MessageBundle) { b.Entry = attest.LogEntry{} },
		"a bare timestamp":   func(b *attest.MessageBundle) { b.Timestamp = []byte("now") },
		"certificate is PEM": func(b *attest.MessageBundle) { b.Certificate = []byte("-----BEGIN") },
	} {
		b := good
		change(&b)
		if _, err := b.Encode(); !errors.Is(err, attest.ErrBundle) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
