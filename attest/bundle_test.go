// SPDX-License-Identifier: Apache-2.0

package attest_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"

	"github.com/hallmark-dev/hallmark/attest"
)

// sample returns a bundle with a Rekor v2 entry, as the signing flow makes it:
// a real certificate, signature and entry body. The proof leads nowhere.
func sample(t testing.TB) attest.Bundle {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	san := &url.URL{Scheme: "https", Host: "ci.example", Path: "/acme/app"}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), URIs: []*url.URL{san}, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(600, 0)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	s, err := attest.NewStatement(subject, attest.PredicateSignature, nil)
	payload := mustEncode(t, s, err)
	digest := sha256.Sum256(attest.PAE(attest.PayloadType, payload))
	sig, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.StdEncoding.EncodeToString
	return attest.Bundle{
		Payload: payload, Signature: sig, Certificate: cert, Timestamp: timestamp(t),
		Entry: attest.LogEntry{
			LogIndex: 7, LogID: bytes.Repeat([]byte{0xfb}, 32), Kind: "hashedrekord", Version: "0.0.2",
			TreeSize: 9, ProofIndex: 7, RootHash: bytes.Repeat([]byte{3}, 32),
			Hashes:     [][]byte{bytes.Repeat([]byte{4}, 32), bytes.Repeat([]byte{5}, 32)},
			Checkpoint: "log.example\n9\nAwMD\n\n— log.example c2ln\n",
			CanonicalizedBody: []byte(`{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{"hashedRekordV002":{"data":{"algorithm":"SHA2_256","digest":"` + b64(digest[:]) +
				`"},"signature":{"content":"` + b64(sig) + `","verifier":{"keyDetails":"PKIX_ECDSA_P256_SHA_256","x509Certificate":{"rawBytes":"` + b64(cert) + `"}}}}}}`),
		},
	}
}

// v1Sample returns the same with a Rekor v1 entry: a promise, a proof in a
// shard of the log, and a body of kind dsse.
func v1Sample(t testing.TB) attest.Bundle {
	b := sample(t)
	b64 := base64.StdEncoding.EncodeToString
	sum := sha256.Sum256(b.Payload)
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: b.Certificate})
	b.Entry.Kind, b.Entry.Version = "dsse", "0.0.1"
	b.Entry.LogIndex = 1_000_007
	b.Entry.IntegratedTime, b.Entry.SignedEntryTimestamp = 1_700_000_000, []byte("a signature")
	b.Entry.CanonicalizedBody = fmt.Appendf(nil, `{"apiVersion":"0.0.1","kind":"dsse","spec":{"envelopeHash":{"algorithm":"sha256","value":"%x"},"payloadHash":{"algorithm":"sha256","value":"%x"},"signatures":[{"signature":"%s","verifier":"%s"}]}}`,
		sum, sum, b64(b.Signature), b64(certPEM))
	return b
}

// timestamp has the outline of a TimeStampResp: status, then a token.
func timestamp(t testing.TB) []byte {
	t.Helper()
	der, err := asn1.Marshal(struct {
		Status struct{ Status int }
		Token  struct{ OID asn1.ObjectIdentifier }
	}{Token: struct{ OID asn1.ObjectIdentifier }{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}}})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func keySample(t testing.TB) attest.Bundle {
	b := sample(t)
	b.Certificate, b.KeyHint = nil, "a2V5IGhpbnQ="
	return b
}

func samples(t testing.TB) map[string]attest.Bundle {
	b := map[string]attest.Bundle{"v2": sample(t), "v1": v1Sample(t), "key": keySample(t)}
	single := sample(t)
	single.Entry.LogIndex, single.Entry.ProofIndex, single.Entry.TreeSize, single.Entry.Hashes = 0, 0, 1, nil
	single.Entry.LogID = []byte{1, 2, 3, 4} // key id of a note
	b["first entry"] = single
	withoutTime := v1Sample(t)
	withoutTime.Timestamp = nil
	b["v1 without timestamp"] = withoutTime
	return b
}

func TestBundleRoundTrip(t *testing.T) {
	for name, b := range samples(t) {
		t.Run(name, func(t *testing.T) {
			encoded, err := b.Encode()
			if err != nil {
				t.Fatal(err)
			}
			if again, err := b.Encode(); err != nil || !bytes.Equal(encoded, again) {
				t.Error("two encodings differ")
			}
			parsed, err := attest.ParseBundle(encoded)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(parsed, b) {
				t.Errorf("parsed %+v\nwant %+v", parsed, b)
			}
		})
	}
}

// TestBundleLoadsInSigstoreGo: the field's reader accepts every bundle and
// reads every part of it as it was meant.
func TestBundleLoadsInSigstoreGo(t *testing.T) {
	for name, b := range samples(t) {
		t.Run(name, func(t *testing.T) {
			encoded, err := b.Encode()
			if err != nil {
				t.Fatal(err)
			}
			var loaded bundle.Bundle
			if err := loaded.UnmarshalJSON(encoded); err != nil {
				t.Fatal(err)
			}
			if !loaded.MinVersion("v0.3") || !loaded.HasInclusionProof() || loaded.HasInclusionPromise() != (b.Entry.SignedEntryTimestamp != nil) {
				t.Error("version, proof or promise are wrong")
			}
			content, err := loaded.VerificationContent()
			if err != nil {
				t.Fatal(err)
			}
			if c := content.Certificate(); (c != nil) != (b.Certificate != nil) || (c != nil && !bytes.Equal(c.Raw, b.Certificate)) {
				t.Error("certificate differs")
			}
			if k := content.PublicKey(); (k != nil) != (b.KeyHint != "") || (k != nil && k.Hint() != b.KeyHint) {
				t.Error("key hint differs")
			}
			envelope, err := loaded.Envelope()
			if err != nil {
				t.Fatal(err)
			}
			payload, err := envelope.DecodeB64Payload()
			if err != nil || !bytes.Equal(payload, b.Payload) || !bytes.Equal(envelope.Signature(), b.Signature) {
				t.Errorf("envelope differs: %v", err)
			}
			if statement, err := envelope.Statement(); err != nil || statement.PredicateType != attest.PredicateSignature {
				t.Errorf("statement: %v, %v", statement, err)
			}
			stamps, err := loaded.Timestamps()
			if err != nil || (len(stamps) == 1) != (b.Timestamp != nil) || (len(stamps) == 1 && !bytes.Equal(stamps[0], b.Timestamp)) {
				t.Errorf("timestamps %x, %v", stamps, err)
			}
			entries, err := loaded.TlogEntries()
			if err != nil || len(entries) != 1 {
				t.Fatalf("%d entries, %v", len(entries), err)
			}
			e := entries[0]
			if e.LogIndex() != b.Entry.LogIndex || e.LogKeyID() != string(b.Entry.LogID) ||
				(b.Entry.IntegratedTime != 0 && e.IntegratedTime().Unix() != b.Entry.IntegratedTime) {
				t.Errorf("entry %d of log %x at %v", e.LogIndex(), e.LogKeyID(), e.IntegratedTime())
			}
			proof := e.TransparencyLogEntry().GetInclusionProof()
			if proof.GetLogIndex() != b.Entry.ProofIndex || proof.GetTreeSize() != b.Entry.TreeSize || !bytes.Equal(proof.GetRootHash(), b.Entry.RootHash) ||
				len(proof.GetHashes()) != len(b.Entry.Hashes) || proof.GetCheckpoint().GetEnvelope() != b.Entry.Checkpoint {
				t.Errorf("proof %v", proof)
			}
			// And back: what protojson writes, white space noise and all, is read.
			theirs, err := loaded.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			if parsed, err := attest.ParseBundle(theirs); err != nil || !reflect.DeepEqual(parsed, b) {
				t.Errorf("protojson form: %+v, %v", parsed, err)
			}
		})
	}
}

func TestBundleEncodeRefuses(t *testing.T) {
	for name, change := range map[string]func(*attest.Bundle){
		"no payload":     func(b *attest.Bundle) { b.Payload = nil },
		"huge payload":   func(b *attest.Bundle) { b.Payload = make([]byte, attest.MaxStatementBytes+1) },
		"no signature":   func(b *attest.Bundle) { b.Signature = nil },
		"huge signature": func(b *attest.Bundle) { b.Signature = make([]byte, 5000) },
		"no verifier":    func(b *attest.Bundle) { b.Certificate = nil },
		"two verifiers":  func(b *attest.Bundle) { b.KeyHint = "x" },
		"certificate as PEM": func(b *attest.Bundle) {
			b.Certificate = pem.EncodeToMemory(&pem.Block{Type: "C", Bytes: b.Certificate})
		},
		"certificate chain":       func(b *attest.Bundle) { b.Certificate = append(bytes.Clone(b.Certificate), b.Certificate...) },
		"empty certificate":       func(b *attest.Bundle) { b.Certificate = []byte{} },
		"hint not UTF-8":          func(b *attest.Bundle) { b.Certificate, b.KeyHint = nil, "\xff" },
		"empty timestamp":         func(b *attest.Bundle) { b.Timestamp = []byte{} },
		"bare timestamp token":    func(b *attest.Bundle) { b.Timestamp = []byte{0x30, 3, 6, 1, 42} },
		"timestamp with trailer":  func(b *attest.Bundle) { b.Timestamp = append(b.Timestamp, 0) },
		"no log id":               func(b *attest.Bundle) { b.Entry.LogID = nil },
		"negative index":          func(b *attest.Bundle) { b.Entry.LogIndex = -1 },
		"negative proof index":    func(b *attest.Bundle) { b.Entry.ProofIndex = -1 },
		"index beyond tree":       func(b *attest.Bundle) { b.Entry.TreeSize = b.Entry.ProofIndex },
		"no root":                 func(b *attest.Bundle) { b.Entry.RootHash = nil },
		"short hash":              func(b *attest.Bundle) { b.Entry.Hashes[1] = b.Entry.Hashes[1][1:] },
		"too many hashes":         func(b *attest.Bundle) { b.Entry.Hashes = make([][]byte, 65) },
		"no checkpoint":           func(b *attest.Bundle) { b.Entry.Checkpoint = "" },
		"checkpoint not UTF-8":    func(b *attest.Bundle) { b.Entry.Checkpoint = "\xff" },
		"time without promise":    func(b *attest.Bundle) { b.Entry.IntegratedTime = 1 },
		"promise without time":    func(b *attest.Bundle) { b.Entry.SignedEntryTimestamp = []byte("x") },
		"negative time":           func(b *attest.Bundle) { b.Entry.IntegratedTime, b.Entry.SignedEntryTimestamp = -1, []byte("x") },
		"no kind":                 func(b *attest.Bundle) { b.Entry.Kind = "" },
		"no body":                 func(b *attest.Bundle) { b.Entry.CanonicalizedBody = nil },
		"body of another kind":    func(b *attest.Bundle) { b.Entry.Kind = "dsse" },
		"body of another version": func(b *attest.Bundle) { b.Entry.Version = "0.0.1" },
		"body not JSON":           func(b *attest.Bundle) { b.Entry.CanonicalizedBody = []byte("x") },
		"ambiguous body": func(b *attest.Bundle) {
			b.Entry.CanonicalizedBody = bytes.Replace(b.Entry.CanonicalizedBody, []byte(`{`), []byte(`{"Kind":"dsse",`), 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := sample(t)
			change(&b)
			encoded, err := b.Encode()
			if !errors.Is(err, attest.ErrBundle) && !errors.Is(err, attest.ErrTooLarge) || encoded != nil {
				t.Errorf("%.80s, %v", encoded, err)
			}
		})
	}
}

func TestParseBundleRefuses(t *testing.T) {
	encoded, err := v1Sample(t).Encode()
	if err != nil {
		t.Fatal(err)
	}
	good := string(encoded)
	for name, r := range map[string][2]string{
		"nothing":                {good, ""},
		"an array":               {good, "[]"},
		"trailing data":          {good, good + "{}"},
		"older version":          {`bundle.v0.3+json`, `bundle.v0.2+json`},
		"newer version":          {`bundle.v0.3+json`, `bundle.v0.4+json`},
		"no media type":          {`"mediaType":"` + attest.BundleMediaType + `",`, ``},
		"unknown member":         {`{"mediaType"`, `{"extra":1,"mediaType"`},
		"member elsewhere":       {`{"mediaType"`, `{"hint":"x","mediaType"`},
		"case variant":           {`"mediaType"`, `"mediatype"`},
		"case variant beside":    {`"sig":`, `"Sig":"eA==","sig":`},
		"protobuf name":          {`"verificationMaterial"`, `"verification_material"`},
		"duplicate":              {`"sig":`, `"sig":"eA==","sig":`},
		"message signature":      {`"dsseEnvelope":{`, `"messageSignature":{},"dsseEnvelope":{`},
		"certificate chain":      {`"certificate":{`, `"x509CertificateChain":{"certificates":[]},"certificate":{`},
		"key beside certificate": {`"certificate":{`, `"publicKey":{"hint":"x"},"certificate":{`},
		"key without hint":       {`"certificate":{`, `"publicKey":{},"certificate":{`},
		"no envelope":            {`,"dsseEnvelope":{`, `,"dsseEnvelope":null,"x":{`},
		"payload type":           {`vnd.in-toto+json`, `vnd.other+json`},
		"no signature":           {`"signatures":[{`, `"signatures":[],"x":[{`},
		"two signatures":         {`"signatures":[{`, `"signatures":[{"sig":"eA=="},{`},
		"two entries":            {`"tlogEntries":[{`, `"tlogEntries":[{},{`},
		"null entry":             {`"tlogEntries":[{`, `"tlogEntries":[null,{`},
		"two timestamps":         {`"rfc3161Timestamps":[{`, `"rfc3161Timestamps":[{"signedTimestamp":"eA=="},{`},
		"no proof":               {`"inclusionProof":{`, `"inclusionProof":null,"x":{`},
		"number as index":        {`"logIndex":"1000007"`, `"logIndex":1000007`},
		"index with zeros":       {`"logIndex":"1000007"`, `"logIndex":"01000007"`},
		"index with sign":        {`"logIndex":"1000007"`, `"logIndex":"+1000007"`},
		"index overflow":         {`"logIndex":"1000007"`, `"logIndex":"9223372036854775808"`},
		"negative index":         {`"logIndex":"1000007"`, `"logIndex":"-1"`},
		"base64 with newline":    {`"sig":"`, `"sig":"\n\n\n\n`},
		"base64 with space":      {`"sig":"`, `"sig":" `},
		"base64 with stray bits": {`"keyId":"+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/s="`, `"keyId":"+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/t="`},
		"base64 mixed alphabets": {`"keyId":"+/`, `"keyId":"-/`},
		"base64 over-padded":     {`"keyId":"+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/s="`, `"keyId":"+/v7===="`},
		"empty bytes":            {`"sig":"`, `"sig":"","keyid":"`},
	} {
		t.Run(name, func(t *testing.T) {
			doc := strings.Replace(good, r[0], r[1], 1)
			if doc == good {
				t.Fatal("the case changes nothing")
			}
			if b, err := attest.ParseBundle([]byte(doc)); !errors.Is(err, attest.ErrBundle) || b.Payload != nil {
				t.Errorf("%+v, %v", b, err)
			}
		})
	}
	huge := []byte(`{"mediaType":"` + strings.Repeat("x", attest.MaxBundleBytes) + `"}`)
	if _, err := attest.ParseBundle(huge); !errors.Is(err, attest.ErrTooLarge) {
		t.Errorf("huge bundle: %v", err)
	}
}

// TestParseBundleReadsSpellings: other writers' spellings of the same bundle.
func TestParseBundleReadsSpellings(t *testing.T) {
	want := v1Sample(t)
	encoded, err := want.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string][2]string{
		"URL-safe base64": {`"keyId":"+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/v7+/s="`, `"keyId":"-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s="`},
		"without padding": {`+/s="`, `+/s"`},
		"with key id":     {`"sig":`, `"keyid":"","sig":`},
		"white space":     {`{"mediaType":`, "\n { \"mediaType\" : "},
	} {
		doc := strings.Replace(string(encoded), r[0], r[1], 1)
		if doc == string(encoded) {
			t.Fatal("the case changes nothing")
		}
		if got, err := attest.ParseBundle([]byte(doc)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// TestBundleHoldsLargestStatement: MaxStatementBytes and MaxBundleBytes fit.
func TestBundleHoldsLargestStatement(t *testing.T) {
	b := sample(t)
	b.Payload = make([]byte, attest.MaxStatementBytes)
	encoded, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := attest.ParseBundle(encoded); err != nil {
		t.Error(err)
	}
}

// FuzzParseBundle: what is accepted encodes, the encoding parses to the same
// bundle, and encoding/json, a lenient reader, sees the same payload.
func FuzzParseBundle(f *testing.F) {
	t := testing.TB(f)
	for _, b := range samples(t) {
		encoded, err := b.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(encoded)
	}
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{},"dsseEnvelope":{"signatures":[{}]}}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		b, err := attest.ParseBundle(doc)
		if err != nil {
			if !errors.Is(err, attest.ErrBundle) && !errors.Is(err, attest.ErrTooLarge) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		encoded, err := b.Encode()
		if err != nil {
			t.Fatalf("accepted, but cannot be encoded: %v", err)
		}
		again, err := attest.ParseBundle(encoded)
		if err != nil || !reflect.DeepEqual(b, again) {
			t.Fatalf("parsed again: %+v, %v", again, err)
		}
		var lenient struct {
			DSSEEnvelope struct{ Payload string } `json:"dsseEnvelope"`
		}
		if err := json.Unmarshal(doc, &lenient); err != nil {
			t.Fatal(err)
		}
		payload := strings.NewReplacer("-", "+", "_", "/", "=", "").Replace(lenient.DSSEEnvelope.Payload)
		if payload != base64.RawStdEncoding.EncodeToString(b.Payload) {
			t.Fatal("another reader sees another payload")
		}
	})
}
