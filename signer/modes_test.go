// SPDX-License-Identifier: Apache-2.0

package signer_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/signer"
)

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// remoteKey is a key whose every use is a call that can fail.
type remoteKey struct {
	w *world
	*ecdsa.PrivateKey
}

func (k remoteKey) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) (signature []byte, err error) {
	err = k.w.do("kms", func() error {
		signature, err = k.PrivateKey.Sign(random, digest, opts)
		return err
	})
	return signature, err
}

// withKeys gives the world a pair of keys in a KMS, and a rule that names it.
func (w *world) withKeys(modes string) *world {
	w.keys = map[string]signer.SigningKey{"release": {Signatures: remoteKey{w, newKey(w.t)}, Attestations: remoteKey{w, newKey(w.t)}}}
	w.policy = strings.Replace(testPolicy, "  identity: github\n", "  identity: github\n  keys: [release]\n"+modes, 1)
	return w
}

func (w *world) withTags() *world {
	w.tags = map[string][]oci.TagLayer{}
	return w
}

func (w *world) tagPorts() *signer.Tags {
	if w.tags == nil {
		return nil
	}
	return &signer.Tags{Log: tagLog{w.logs[0]}, Registry: w}
}

// tagLog is a v1 log: it gives promises.
type tagLog struct{ *journaled }

func (l tagLog) Append(ctx context.Context, e signer.Entry) (attest.LogEntry, error) {
	entry, err := l.journaled.Append(ctx, e)
	envelope, encodeErr := attest.Envelope(e.PayloadType, e.Payload, e.Signature)
	sum := sha256.Sum256(envelope)
	entry.Kind, entry.Version = "dsse", "0.0.1"
	entry.CanonicalizedBody = fmt.Appendf(nil, `{"apiVersion":"0.0.1","kind":"dsse","spec":{"envelopeHash":{"algorithm":"sha256","value":%q}}}`, hex.EncodeToString(sum[:]))
	entry.IntegratedTime, entry.SignedEntryTimestamp = 1, []byte("promise")
	return entry, errors.Join(err, encodeErr)
}

func (l tagLog) AppendMessage(ctx context.Context, e signer.Entry) (attest.LogEntry, error) {
	entry, err := l.journaled.Append(ctx, e)
	entry.IntegratedTime, entry.SignedEntryTimestamp = 1, []byte("promise")
	return entry, err
}

func (w *world) AttachLayers(_ context.Context, subject oci.Artifact, kind oci.TagKind, layers []oci.TagLayer) (m oci.TagManifest, err error) {
	err = w.do("registry", func() error {
		w.tagWrites++
		m.Tag = string(subject.Digest) + "." + string(kind)
		for _, l := range layers {
			if !hasLayer(w.tags[m.Tag], l) {
				w.tags[m.Tag] = append(w.tags[m.Tag], l)
			}
		}
		m.Digest = attest.DigestOf([]byte(m.Tag))
		return nil
	})
	return m, err
}

func hasLayer(have []oci.TagLayer, l oci.TagLayer) bool {
	for _, h := range have {
		if string(h.Bytes) == string(l.Bytes) && string(h.Signature) == string(l.Signature) {
			return true
		}
	}
	return false
}

// checkMessage is Check of a signature for a tag.
func (w *world) checkMessage(bundle []byte, want signer.Claim) error {
	var b struct {
		Message struct {
			Digest struct {
				Digest []byte `json:"digest"`
			} `json:"messageDigest"`
			Signature []byte `json:"signature"`
		} `json:"messageSignature"`
	}
	if err := json.Unmarshal(bundle, &b); err != nil {
		return err
	}
	if hex.EncodeToString(b.Message.Digest.Digest) != want.Digest.Hex() {
		return errors.New("the message is another")
	}
	if w.logs[0].index(b.Message.Signature) < 0 {
		return errors.New("the message's signature is not in the log")
	}
	return nil
}

// signedBy says whether a signature is one of an intent's.
func signedBy(s signer.Signed, signature []byte) bool {
	if string(s.Signature) == string(signature) || s.Tag != nil && string(s.Tag.Signature) == string(signature) {
		return true
	}
	for _, other := range s.Others {
		if signedBy(other, signature) {
			return true
		}
	}
	return false
}

// checkTags holds that a receipt is for a logged layer of every mode, each once.
func (w *world) checkTags(in signer.Intent, modes []signer.Signed) {
	w.t.Helper()
	if w.tags == nil {
		return
	}
	if len(in.Receipt.Tags) != len(modes) {
		w.t.Fatalf("intent %s: the receipt is for %d layers, there are %d modes", in.ID, len(in.Receipt.Tags), len(modes))
	}
	for i, mode := range modes {
		layer := in.Receipt.Tags[i].Layer
		signature := mode.Signature
		if in.Action == signer.ActionSign {
			signature = mode.Tag.Signature
		}
		found := 0
		for _, l := range w.tags[in.Receipt.Tags[i].Tag] {
			if attest.DigestOf(l.Bytes) == layer && (in.Action != signer.ActionSign || string(l.Signature) == string(signature)) {
				found++
			}
		}
		if found != 1 {
			w.t.Fatalf("layer %d of an intent is %d times under its tag", i, found)
		}
		if w.logs[0].index(signature) < 0 {
			w.t.Fatalf("layer %d is attached and its signature is not in the log", i)
		}
	}
	// Nothing is there that no intent has made.
	modesOf := 0
	for _, other := range w.intents {
		if other.Signed != nil && other.Action == in.Action {
			modesOf += 1 + len(other.Signed.Others)
		}
	}
	if n := len(w.tags[in.Receipt.Tags[0].Tag]); n > modesOf {
		w.t.Fatalf("%d layers under a tag, of %d signatures", n, modesOf)
	}
}

// entriesOf is how many entries one request has in the first log: one for each
// bundle with an entry of it, and one for each layer that is no envelope.
func (w *world) entriesOf(r signer.Receipt) int {
	n := (1 + len(r.Others)) / len(w.logs)
	if r.Action == signer.ActionSign {
		n += len(r.Tags)
	}
	return n
}

// TestPowerCutByKey is TestPowerCut with signatures by key and legacy tags: the
// places where the power can fail are more, the answers the same.
func TestPowerCutByKey(t *testing.T) {
	byBoth := func() *world { return newWorld(t).withKeys("").withTags() }
	byKey := func() *world { return newWorld(t).withKeys("  modes: [key]\n") }
	attestation := goodRequest()
	attestation.PredicateType, attestation.Predicate = "https://spdx.dev/Document", []byte(`{"spdxVersion": "SPDX-2.3"}`)
	sign := func(s *signer.Service) (signer.Receipt, error) { return s.Sign(t.Context(), goodRequest()) }
	attestIt := func(s *signer.Service) (signer.Receipt, error) { return s.Attest(t.Context(), attestation) }
	for name, tc := range map[string]struct {
		world  func() *world
		ask    func(*signer.Service) (signer.Receipt, error)
		places int
	}{
		// Resolve, room, begin; certificate, timestamp twice; by key: two
		// signatures, two timestamps; keep; log and check twice, and for tags
		// twice; attach twice and the tag; finish.
		"sign": {byBoth, sign, 3 + 3 + 4 + 1 + 4 + 4 + 3 + 1},
		// One signature by key, for both: two timestamps.
		"attest": {byBoth, attestIt, 3 + 3 + 3 + 1 + 4 + 4 + 3 + 1},
		// Resolve, room, begin, sign, timestamp, keep, log, check, attach, finish.
		"sign by key alone": {byKey, sign, 10},
	} {
		t.Run(name, func(t *testing.T) {
			for _, after := range []bool{false, true} {
				cuts := 0
				for first := 1; ; first++ {
					if done := cutTwice(t, tc.world, tc.ask, first, after, &cuts); done {
						break
					}
				}
				if cuts != tc.places {
					t.Errorf("the power failed at %d places, the flow has %d", cuts, tc.places)
				}
			}
		})
	}
}

// TestKMSDown: a KMS that does not answer leaves nothing behind, and the same
// request later is served.
func TestKMSDown(t *testing.T) {
	w := newWorld(t).withKeys("").withTags()
	s := w.start()
	w.down["kms"] = errors.New("the KMS does not answer")
	if _, err := s.Sign(t.Context(), goodRequest()); err == nil || !strings.Contains(err.Error(), "KMS does not answer") {
		t.Fatalf("signed without the KMS: %v", err)
	}
	w.check()
	if n := len(w.logs[0].entries); n != 0 || len(w.attached) != 0 || len(w.void) != 1 {
		t.Errorf("%d entries, %d bundles, %d void intents after a failure", n, len(w.attached), len(w.void))
	}
	clear(w.down)
	r, err := s.Sign(t.Context(), goodRequest())
	if err != nil {
		t.Fatal(err)
	}
	w.check()
	if len(r.Others) != 1 || r.Others[0].Key != "release" || r.Identity != workflow {
		t.Errorf("receipt %+v", r)
	}
}

// TestDeletedTagComesBack: the repeated request brings layers back that somebody
// deleted, once.
func TestDeletedTagComesBack(t *testing.T) {
	w := newWorld(t).withKeys("").withTags()
	s := w.start()
	first, err := s.Sign(t.Context(), goodRequest())
	if err != nil {
		t.Fatal(err)
	}
	clear(w.tags)
	for range 2 {
		again, err := s.Sign(t.Context(), goodRequest())
		if err != nil || again.ID != first.ID {
			t.Fatalf("receipt %s, %v; want %s", again.ID, err, first.ID)
		}
		w.check()
	}
}

// TestAttestationKey: attestations are by the pair's other key.
func TestAttestationKey(t *testing.T) {
	w := newWorld(t).withKeys("  modes: [key]\n")
	s := w.start()
	signed, err := s.Sign(t.Context(), goodRequest())
	if err != nil {
		t.Fatal(err)
	}
	attestation := goodRequest()
	attestation.PredicateType, attestation.Predicate = "https://spdx.dev/Document", []byte(`{}`)
	attested, err := s.Attest(t.Context(), attestation)
	if err != nil {
		t.Fatal(err)
	}
	if signed.KeyHint == "" || signed.KeyHint == attested.KeyHint || signed.Identity != "" || signed.Issuer != "" {
		t.Errorf("signature by %q (%s), attestation by %q", signed.KeyHint, signed.Identity, attested.KeyHint)
	}
	w.keys = map[string]signer.SigningKey{"release": {Signatures: newKey(t)}}
	attestation.Predicate = []byte(`{"another": true}`)
	if _, err := w.start().Attest(t.Context(), attestation); err == nil || !strings.Contains(err.Error(), "no key") {
		t.Errorf("attested by a pair without such a key: %v", err)
	}
}

// TestNewRefusesKeys: keys that verifiers do not know, or that have two purposes.
func TestNewRefusesKeys(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	one := newKey(t)
	for name, tc := range map[string]struct {
		keys map[string]signer.SigningKey
		says string
	}{
		"P-384":             {map[string]signer.SigningKey{"a": {Signatures: p384}}, "P-256"},
		"attestations only": {map[string]signer.SigningKey{"a": {Attestations: one}}, "no key for signatures"},
		"two purposes":      {map[string]signer.SigningKey{"a": {Signatures: one, Attestations: one}}, "a key of its own"},
		"two names":         {map[string]signer.SigningKey{"a": {Signatures: one}, "b": {Signatures: newKey(t), Attestations: one}}, "a key of its own"},
	} {
		w := newWorld(t)
		p, err := policy.ParseSigningPolicy([]byte(testPolicy))
		if err != nil {
			t.Fatal(err)
		}
		_, err = signer.New(signer.Config{
			Origin: origin, Authenticator: w, Registry: w, Policy: p, Certificates: w, Timestamper: w, Logs: []signer.Log{w.logs[0]}, Verifier: w, Journal: w, Audit: w,
			Keys: func() map[string]signer.SigningKey { return tc.keys },
		})
		if err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
