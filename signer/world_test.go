// SPDX-License-Identifier: Apache-2.0

package signer_test

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sigstore/fulcio/pkg/certificate"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/signer"
)

const (
	origin   = "https://hallmark.example"
	workflow = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main"
	ciIssuer = "https://token.actions.example"
)

var theImage = attest.DigestOf([]byte("manifest of acme/app"))

// world is everything that survives a power cut: the journal's database, the
// log and the registry. Every call on it is a place where the power can fail,
// before the call has any effect or after it had all of it.
type world struct {
	t  *testing.T
	mu sync.Mutex

	calls   int // since the last start
	listed  int // calls of Unfinished
	cutAt   int // the call at which the power fails; 0: never
	after   bool
	down    map[string]error // ports that answer with an error
	before  func(string)     // what happens before each call
	full    error            // what there is instead of room for attachments
	roomFor oci.Attachments  // what room was last asked for
	hangUp  func()           // what the client does once its artifact is resolved

	subject string           // what bad tokens say of themselves
	clock   func() time.Time // nil: the real one
	logger  *slog.Logger     // nil: none
	maxUses map[string]int
	quotas  signer.Quotas
	// principal changes who holds a good token; nil: nothing.
	principal func(*signer.Principal)
	// revocations of the service; nil: none
	revocations signer.Revocations

	uses     map[[32]byte][]counted
	intents  map[string]signer.Intent
	order    []string
	void     map[string]bool
	audit    []signer.AuditEvent
	logs     []*journaled
	attached map[attest.Digest][]byte
	// documents are the originals in the registry, images those of the index.
	documents map[attest.Digest]oci.DocumentBlob
	images    []oci.PlatformImage
	kind      oci.Kind // of the artifact; "" for an image

	policy string // testPolicy
	keys   map[string]signer.SigningKey
	tags   map[string][]oci.TagLayer // nil: none are written
	// tagWrites counts how often one was written.
	tagWrites int
}

// counted is a use of a token.
type counted struct {
	request string
	holder  [32]byte
}

// count counts the use of a token.
func (w *world) count(use signer.TokenUse, request string) error {
	thisOne, others := false, false
	for _, c := range w.uses[use.Token] {
		thisOne = thisOne || c.request == request
		others = others || c.holder != use.Holder
	}
	err := use.Verdict(time.Time{}, len(w.uses[use.Token]), thisOne, others)
	if err == nil && !thisOne {
		w.uses[use.Token] = append(w.uses[use.Token], counted{request, use.Holder})
	}
	return err
}

// journaled is one log of the world.
type journaled struct {
	w       *world
	number  byte
	entries []signer.Entry
}

type powerCut struct{}

func newWorld(t *testing.T) *world {
	w := &world{
		t: t, subject: longSubject, down: map[string]error{}, uses: map[[32]byte][]counted{}, intents: map[string]signer.Intent{}, void: map[string]bool{}, attached: map[attest.Digest][]byte{}, documents: map[attest.Digest]oci.DocumentBlob{}, policy: testPolicy,
	}
	w.logs = []*journaled{{w: w, number: 1}}
	return w
}

// withTwoLogs gives the world a second log.
func (w *world) withTwoLogs() *world {
	w.logs = append(w.logs, &journaled{w: w, number: 2})
	return w
}

// do runs one effect on the world.
func (w *world) do(port string, effect func() error) error {
	if w.before != nil {
		w.before(port)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.down[port]; err != nil {
		return err
	}
	w.calls++
	if w.cutAt > 0 && (w.calls > w.cutAt || (w.calls == w.cutAt && !w.after)) {
		panic(powerCut{})
	}
	err := effect()
	if w.calls == w.cutAt {
		panic(powerCut{})
	}
	return err
}

func (w *world) Authenticate(_ context.Context, token string) (signer.Principal, error) {
	if err := w.down["issuer"]; err != nil {
		return signer.Principal{}, err
	}
	if token != "good" {
		return signer.Principal{}, &signer.Unauthenticated{Reason: "bad_signature", Detail: fmt.Sprintf("%q is not one of ours", w.subject), Issuer: w.subject, Subject: w.subject}
	}
	p := signer.Principal{
		Identity: "github", Provider: "github", Issuer: ciIssuer, Subject: "repo:acme/app", SAN: workflow, Run: "run-1", TokenID: "jti:1",
		Extensions: certificate.Extensions{Issuer: ciIssuer}, Claims: map[string]any{"repository": "acme/app"},
		Expiry: time.Now().Add(5 * time.Minute),
	}
	if w.principal != nil {
		w.principal(&p)
	}
	return p, nil
}

func (w *world) Locate(ref string) (oci.Reference, error) { return oci.ParseReference(ref) }

func (w *world) Resolve(_ context.Context, ref string) (a oci.Artifact, err error) {
	err = w.do("registry", func() error {
		r, err := oci.ParseReference(ref)
		if err != nil {
			return err
		}
		if r.Digest != theImage {
			return fmt.Errorf("resolve %s: %w", ref, oci.ErrNotFound)
		}
		if w.hangUp != nil {
			w.hangUp()
		}
		a = oci.Artifact{Registry: r.Registry, Repository: r.Repository, Digest: r.Digest, Kind: cmp.Or(w.kind, oci.KindImage), MediaType: "application/vnd.oci.image.manifest.v1+json"}
		return nil
	})
	return a, err
}

func (w *world) Room(_ context.Context, _ oci.Artifact, want oci.Attachments) error {
	return w.do("registry", func() error { w.roomFor = want; return w.full })
}

func (w *world) AttachBundle(_ context.Context, _ oci.Artifact, b oci.BundleBlob) (d attest.Digest, err error) {
	err = w.do("registry", func() error {
		d = attest.DigestOf(b.Bytes)
		w.attached[d] = b.Bytes
		return nil
	})
	return d, err
}

func (w *world) AttachBundles(ctx context.Context, a oci.Artifact, all []oci.BundleBlob) (digests []attest.Digest, err error) {
	for _, b := range all {
		d, err := w.AttachBundle(ctx, a, b)
		if err != nil {
			return nil, err
		}
		digests = append(digests, d)
	}
	return digests, nil
}

func (w *world) AttachDocument(_ context.Context, _ oci.Artifact, d oci.DocumentBlob) (attest.Digest, error) {
	return d.Digest, w.do("registry", func() error {
		content := make([]byte, d.Size)
		if _, err := d.From.ReadAt(content, 0); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if attest.DigestOf(content) != d.Digest {
			return oci.ErrDigestMismatch
		}
		w.documents[d.Digest] = d
		return nil
	})
}

// Relatives answers as if the world's images were those of every index.
func (w *world) Relatives(_ context.Context, subject oci.Artifact, named []attest.Digest) (kin []attest.Digest, err error) {
	err = w.do("relatives", func() error {
		for _, i := range w.images {
			if subject.Kind == oci.KindIndex && slices.Contains(named, i.Digest) {
				kin = append(kin, i.Digest)
			}
		}
		return nil
	})
	return kin, err
}

func (w *world) Images(context.Context, oci.Artifact) ([]oci.PlatformImage, error) {
	return w.images, nil
}

func (w *world) Issue(_ context.Context, req signer.CertificateRequest) (c signer.Certificate, err error) {
	err = w.do("ca", func() error {
		uri, err := url.Parse(req.SAN)
		if err != nil {
			return err
		}
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(1), URIs: []*url.URL{uri}, NotAfter: time.Now().Add(time.Minute)}
		parent := &x509.Certificate{SerialNumber: big.NewInt(2)}
		c.Leaf, err = x509.CreateCertificate(rand.Reader, template, parent, req.PublicKey, key)
		return err
	})
	return c, err
}

func (w *world) Timestamp(_ context.Context, signature []byte) (token []byte, err error) {
	err = w.do("tsa", func() error {
		// The form of a TimeStampResp, with the imprint for a token.
		sum := sha256.Sum256(signature)
		token, err = asn1.Marshal(struct {
			Status  struct{ Status int }
			Imprint struct{ Hash []byte }
		}{Imprint: struct{ Hash []byte }{sum[:]}})
		return err
	})
	return token, err
}

func (l *journaled) Append(ctx context.Context, e signer.Entry) (entry attest.LogEntry, err error) {
	if err := ctx.Err(); err != nil {
		return entry, err
	}
	err = l.w.do("log", func() error {
		index := l.index(e.Signature)
		if index < 0 {
			index = len(l.entries)
			l.entries = append(l.entries, e)
		}
		entry = attest.LogEntry{
			LogIndex: int64(index), ProofIndex: int64(index), LogID: l.id(), Kind: "hashedrekord", Version: "0.0.2",
			TreeSize: int64(len(l.entries)), RootHash: make([]byte, 32), CanonicalizedBody: []byte(`{"apiVersion":"0.0.2","kind":"hashedrekord"}`),
			Checkpoint: fmt.Sprintf("hallmark.example\n%d\nAAAA\n\n— hallmark.example AAAA\n", len(l.entries)),
		}
		return nil
	})
	return entry, err
}

func (l *journaled) id() []byte { return append(make([]byte, 31), l.number) }

// index is where a signature is in the log, or -1.
func (l *journaled) index(signature []byte) int {
	for i, have := range l.entries {
		if string(have.Signature) == string(signature) {
			return i
		}
	}
	return -1
}

// Check is the stranger: the signature must be in the log.
func (w *world) Check(_ context.Context, bundle []byte, want signer.Claim) error {
	return w.do("verifier", func() error {
		if want.PredicateType == "" {
			return w.checkMessage(bundle, want)
		}
		b, err := attest.ParseBundle(bundle)
		if err != nil {
			return err
		}
		st, err := attest.ParseStatement(b.Payload)
		if err != nil {
			return err
		}
		if !st.Binds(want.Digest) || st.PredicateType != want.PredicateType {
			return errors.New("the statement is about something else")
		}
		if !w.logged(b) {
			return errors.New("the signature is not in the log")
		}
		return nil
	})
}

// logged says whether the log that a bundle points to has its signature.
func (w *world) logged(b attest.Bundle) bool {
	for _, l := range w.logs {
		if string(l.id()) == string(b.Entry.LogID) {
			return l.index(b.Signature) >= 0
		}
	}
	return false
}

func (w *world) Begin(_ context.Context, in signer.Intent, use signer.TokenUse, ev signer.AuditEvent) (stored signer.Intent, created bool, err error) {
	err = w.do("journal", func() error {
		if err := w.count(use, in.RequestKey); err != nil {
			return err
		}
		for _, id := range w.order {
			if old := w.intents[id]; old.RequestKey == in.RequestKey && !w.void[id] {
				stored = old
				return nil
			}
		}
		w.intents[in.ID], stored, created = in, in, true
		w.order, w.audit = append(w.order, in.ID), append(w.audit, ev)
		return nil
	})
	return stored, created, err
}

// move changes an intent that must be in a certain state.
func (w *world) move(id string, ok func(signer.Intent) bool, change func(*signer.Intent), ev ...signer.AuditEvent) error {
	return w.do("journal", func() error {
		in, found := w.intents[id]
		if !found || w.void[id] || !ok(in) {
			return signer.ErrNoIntent
		}
		change(&in)
		w.intents[id] = in
		w.audit = append(w.audit, ev...)
		return nil
	})
}

func recorded(in signer.Intent) bool { return in.Signed == nil && in.Receipt == nil }
func signed(in signer.Intent) bool   { return in.Signed != nil && in.Receipt == nil }

func (w *world) Sign(_ context.Context, id string, s signer.Signed) error {
	return w.move(id, recorded, func(in *signer.Intent) { in.Signed = &s })
}

func (w *world) Finish(_ context.Context, id string, r signer.Receipt, ev signer.AuditEvent) error {
	return w.move(id, signed, func(in *signer.Intent) { in.Receipt = &r }, ev)
}

func (w *world) Void(_ context.Context, id string, ev signer.AuditEvent) error {
	return w.move(id, recorded, func(*signer.Intent) { w.void[id] = true }, ev)
}

func (w *world) Intent(_ context.Context, id string) (in signer.Intent, err error) {
	err = w.do("journal", func() error {
		var found bool
		if in, found = w.intents[id]; !found {
			return signer.ErrNoIntent
		}
		return nil
	})
	return in, err
}

func (w *world) Requested(_ context.Context, key string) (found signer.Intent, err error) {
	err = w.do("journal", func() error {
		for id, in := range w.intents {
			if in.RequestKey == key && !w.void[id] {
				found = in
				return nil
			}
		}
		return signer.ErrNoIntent
	})
	return found, err
}

// unfinishedPage is the world's longest page of unfinished intents.
const unfinishedPage = 8

func (w *world) Unfinished(_ context.Context, after int64) (page []signer.Intent, next int64, err error) {
	err = w.do("journal", func() error {
		w.listed++
		for i, id := range w.order[after:] {
			if in := w.intents[id]; in.Receipt == nil && !w.void[id] {
				in.Statement = nil
				page = append(page, in)
			}
			if len(page) == unfinishedPage {
				next = after + int64(i) + 1
				break
			}
		}
		return nil
	})
	return page, next, err
}

func (w *world) Record(_ context.Context, ev signer.AuditEvent) error {
	return w.do("audit", func() error {
		w.audit = append(w.audit, ev)
		return nil
	})
}

const testPolicy = `
apiVersion: hallmark.dev/v1alpha1
kind: SigningPolicy
rules:
- name: acme
  identity: github
  actions: [sign, attest]
  kinds: [image]
  repositories: [acme/]
  predicateTypes: [https://spdx.dev/Document]
  conditions:
  - {name: own-repository, expression: claims.repository == "acme/app", message: sign your own repository}
`

// start boots a service on the world, as a new process would.
func (w *world) start() *signer.Service { return w.startWith(func(*signer.Config) {}) }

// startWith is start with another configuration.
func (w *world) startWith(change func(*signer.Config)) *signer.Service {
	w.t.Helper()
	p, err := policy.ParseSigningPolicy([]byte(w.policy))
	if err != nil {
		w.t.Fatal(err)
	}
	w.calls, w.cutAt = 0, 0
	var logs []signer.Log
	for _, l := range w.logs {
		logs = append(logs, l)
	}
	cfg := signer.Config{
		Origin: origin, Authenticator: w, Registry: w, Policy: p, Certificates: w, Timestamper: w, Logs: logs, Verifier: w, Journal: w, Audit: w,
		Clock: w.clock, Logger: w.logger, MaxUses: w.maxUses, Quotas: w.quotas, Keys: func() map[string]signer.SigningKey { return w.keys }, Tags: w.tagPorts(),
		Revocations: w.revocations,
	}
	change(&cfg)
	s, err := signer.New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// check holds what must be true at every instant (DESIGN section 1).
func (w *world) check() {
	w.t.Helper()
	for digest, raw := range w.attached {
		b, err := attest.ParseBundle(raw)
		if err != nil {
			w.t.Fatalf("attached bundle %s: %v", digest, err)
		}
		if !w.logged(b) {
			w.t.Fatalf("bundle %s is attached and its signature is not in the log", digest)
		}
	}
	live := map[string]string{}
	for id, in := range w.intents {
		if w.void[id] {
			if in.Signed != nil {
				w.t.Fatalf("intent %s is void and has a signature", id)
			}
			continue
		}
		if other, twice := live[in.RequestKey]; twice {
			w.t.Fatalf("intents %s and %s serve one request", id, other)
		}
		live[in.RequestKey] = id
		if in.Receipt != nil {
			w.checkReceipt(in)
		}
	}
	for _, l := range w.logs {
		for _, e := range l.entries {
			if !w.intended(e) {
				w.t.Fatalf("log entry with signature %s has no intent", hex.EncodeToString(e.Signature))
			}
		}
	}
}

func (w *world) intended(e signer.Entry) bool {
	for _, in := range w.intents {
		if in.Signed != nil && signedBy(*in.Signed, e.Signature) {
			return true
		}
	}
	return false
}

// checkReceipt holds that a receipt is for a bundle of every log, attached.
func (w *world) checkReceipt(in signer.Intent) {
	w.t.Helper()
	all := append([]signer.Attached{in.Receipt.Attached}, in.Receipt.Others...)
	modes := append([]signer.Signed{*in.Signed}, in.Signed.Others...)
	if len(all) != len(modes)*len(w.logs) {
		w.t.Fatalf("intent %s: the receipt is for %d bundles, there are %d logs and %d modes", in.ID, len(all), len(w.logs), len(modes))
	}
	w.checkTags(in, modes)
	for i := range all {
		l := w.logs[i%len(w.logs)]
		if all[i].LogID != hex.EncodeToString(l.id()) || l.index(modes[i/len(w.logs)].Signature) < 0 || w.attached[all[i].Manifest] == nil {
			w.t.Fatalf("intent %s has a receipt and is not logged in log %d or not attached", in.ID, l.number)
		}
	}
}
