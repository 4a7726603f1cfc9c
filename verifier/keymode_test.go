// SPDX-License-Identifier: Apache-2.0

package verifier_test

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/verifier"
)

// keyWay is one way of signing with a long-lived key that signers in the field use.
type keyWay struct {
	key  crypto.Signer
	hash hashKind
	// plain: Ed25519 without hashing first.
	plain bool
}

var prehashed = hashKind{"SHA2_512", "sha512", "PKIX_ED25519_PH", sha512.New}

func p256(t testing.TB) keyWay { return keyWay{key: newKey(t), hash: hashOf(elliptic.P256())} }

// signByKey makes the parts of a bundle in key mode. It has a timestamp only if s.at is set.
func (l *lab) signByKey(t testing.TB, way keyWay, s signing) parts {
	t.Helper()
	s.noTSA = s.at.IsZero()
	s = l.defaults(s)
	message := s.blob
	if s.payload != nil {
		message = attest.PAE(attest.PayloadType, s.payload)
	}
	p := parts{payload: s.payload, hash: way.hash, spki: spki(t, way.key.Public()), digest: sum(way.hash, message)}
	p.sig = way.sign(t, message, p.digest)
	if s.v1 {
		p.entries = append(p.entries, l.v1.append(t, p.v1Body(t), s.loggedAt))
	}
	if s.v2 {
		p.entries = append(p.entries, l.v2.append(t, p.v2Body(), time.Time{}))
	}
	if !s.noTSA {
		p.tokens = [][]byte{l.timestamp(t, p.sig, s.at)}
	}
	return p
}

func (w keyWay) sign(t testing.TB, message, digest []byte) []byte {
	t.Helper()
	var opts crypto.SignerOpts = map[int]crypto.Hash{32: crypto.SHA256, 48: crypto.SHA384, 64: crypto.SHA512}[len(digest)]
	if w.plain {
		digest, opts = message, crypto.Hash(0)
	}
	sig, err := w.key.Sign(rand.Reader, digest, opts)
	must(t, err)
	return sig
}

func newVerifierKey(t testing.TB, public crypto.PublicKey) verifier.Key {
	t.Helper()
	key, err := verifier.NewKey(publicPEM(spki(t, public)))
	must(t, err)
	return key
}

func fileBlob(t testing.TB) verifier.Blob {
	t.Helper()
	blob, err := verifier.ReadBlob("app.tgz", bytes.NewReader(imageBytes))
	must(t, err)
	return blob
}

// byKey decides about one bundle.
func byKey(t testing.TB, c *verifier.Crypto, key verifier.Key, bundle []byte) verifier.Decision {
	t.Helper()
	d, err := c.VerifyBundleWithKey(t.Context(), fileBlob(t), verifier.Evidence{Origin: "file.sigstore.json", Bundle: bundle}, key)
	must(t, err)
	if d.Allowed() == (len(d.Reasons()) > 0) {
		t.Errorf("allowed %v, reasons %q", d.Allowed(), d.Reasons())
	}
	return d
}

// wantDenied fails unless the decision denies because the bundle was refused for the reason.
func wantDenied(t testing.TB, d verifier.Decision, want verifier.Reason) {
	t.Helper()
	if d.Allowed() || d.Evidence[0].Verified || d.Evidence[0].Reason != want {
		t.Errorf("allowed %v, refused for %q (%s), want %q", d.Allowed(), d.Evidence[0].Reason, d.Evidence[0].Detail, want)
	}
}

// TestVerifyBundleWithKey signs with every kind of key, a statement and a message, for both kinds of log, and verifies with that key and
// with another of the same kind.
func TestVerifyBundleWithKey(t *testing.T) {
	l := newLab(t)
	c := newCrypto(t, l)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	_, otherEd, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	p384, p521 := newKeyOn(t, elliptic.P384()), newKeyOn(t, elliptic.P521())
	old := hashOf(elliptic.P256())
	sha512Of521 := hashKind{"SHA2_512", "sha512", "PKIX_ECDSA_P521_SHA_512", sha512.New}
	rsaHash := hashKind{"SHA2_256", "sha256", "PKIX_RSA_PKCS1V15_2048_SHA256", old.make}
	payload := statement(t, image, "https://slsa.dev/provenance/v1", "{}")

	const v1, v2, both = 1, 2, 3
	cases := map[string]struct {
		way           keyWay
		logs          int // in which such signatures are logged
		text, message bool
	}{
		"P-256":                       {p256(t), both, true, true},
		"P-384":                       {keyWay{key: p384, hash: hashOf(elliptic.P384())}, both, true, true},
		"P-384 with SHA-256":          {keyWay{key: p384, hash: old}, v1, true, true},
		"P-521":                       {keyWay{key: p521, hash: sha512Of521}, both, true, true},
		"P-521 with SHA-256":          {keyWay{key: p521, hash: old}, v1, true, true},
		"RSA":                         {keyWay{key: rsaKey, hash: rsaHash}, both, true, true},
		"Ed25519":                     {keyWay{key: ed, hash: prehashed, plain: true}, v1, true, false},
		"Ed25519, prehashed":          {keyWay{key: ed, hash: prehashed}, both, false, true},
		"Ed25519, prehashed envelope": {keyWay{key: ed, hash: prehashed}, v2, true, false},
	}
	others := map[string]crypto.PublicKey{
		"P-2": newKey(t).Public(), "P-3": newKeyOn(t, elliptic.P384()).Public(), "P-5": newKeyOn(t, elliptic.P521()).Public(),
		"RSA": newKey(t).Public(), "Ed2": otherEd.Public(),
	}
	for name, tc := range cases {
		for form, s := range map[string]signing{"statement": {payload: payload}, "message": {blob: imageBytes}} {
			if form == "statement" && !tc.text || form == "message" && !tc.message {
				continue
			}
			for _, log := range []int{v1, v2} {
				if tc.logs&log == 0 {
					continue
				}
				s.v1, s.v2 = log == v1, log == v2
				for _, at := range []time.Time{{}, signedAt} {
					s.at = at
					bundle := l.signByKey(t, tc.way, s).encode(t)
					key := newVerifierKey(t, tc.way.key.Public())
					d := byKey(t, c, key, bundle)
					if !d.Allowed() || d.Evidence[0].Signer != key.Hint() || d.Evidence[0].Issuer != "" {
						t.Errorf("%s, %s, log v%d: %q, %+v", name, form, log, d.Reasons(), d.Evidence)
					}
					if timed := !at.IsZero() || s.v1; timed == d.Evidence[0].SignedAt.IsZero() {
						t.Errorf("%s, %s, log v%d: signed at %s", name, form, log, d.Evidence[0].SignedAt)
					}
					d = byKey(t, c, newVerifierKey(t, others[name[:3]]), bundle)
					wantDenied(t, d, verifier.ReasonUnverified)
					if !strings.Contains(d.Reasons()[0], "another key: ") || !strings.Contains(d.Reasons()[0], key.Hint()) {
						t.Errorf("%s by another key: %q", name, d.Reasons())
					}
					if _, err := c.BlobFacts(fileBlob(t), bundle); err == nil {
						t.Errorf("%s, %s: a fact without a certificate", name, form)
					}
				}
			}
		}
	}
}

// TestKeyModeNeedsAKey: no key, no artifact and no certificate are no way around the signature.
func TestKeyModeNeedsAKey(t *testing.T) {
	l := newLab(t)
	c := newCrypto(t, l)
	way := p256(t)
	payload := statement(t, image, attest.PredicateSignature, "{}")
	bundle := verifier.Evidence{Bundle: l.signByKey(t, way, signing{payload: payload}).encode(t)}
	if d, err := c.VerifyBundleWithKey(t.Context(), fileBlob(t), bundle, verifier.Key{}); err == nil || d.Allowed() {
		t.Errorf("no key: allowed %v, %v", d.Allowed(), err)
	}
	if d, err := c.VerifyBundleWithKey(t.Context(), verifier.Blob{}, bundle, newVerifierKey(t, way.key.Public())); err == nil || d.Allowed() {
		t.Errorf("no artifact: allowed %v, %v", d.Allowed(), err)
	}
	wantDenied(t, byKey(t, c, newVerifierKey(t, way.key.Public()), l.signature(t, image)), verifier.ReasonKeyMode)

	// A certificate for the very key that is demanded is still not that key.
	p := l.sign(t, signing{payload: payload})
	leaf, err := x509.ParseCertificate(p.cert)
	must(t, err)
	wantDenied(t, byKey(t, c, newVerifierKey(t, leaf.PublicKey), p.encode(t)), verifier.ReasonKeyMode)
	p.spki = spki(t, leaf.PublicKey) // its bundle says key, its entry says certificate
	wantDenied(t, byKey(t, c, newVerifierKey(t, leaf.PublicKey), p.encode(t)), verifier.ReasonUnverified)
}

// TestEmptyMessage: a signature of nothing by an Ed25519 key must not pass as one of everything. Verifiers that are given the digest of
// a message instead of the message see an empty one.
func TestEmptyMessage(t *testing.T) {
	l := newLab(t)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	way := keyWay{key: ed, hash: prehashed}
	p := l.signByKey(t, way, signing{blob: imageBytes})
	p.sig = ed25519.Sign(ed, nil)
	p.entries = []entry{l.v2.append(t, p.v2Body(), time.Time{})}
	wantDenied(t, byKey(t, newCrypto(t, l), newVerifierKey(t, ed.Public()), p.encode(t)), verifier.ReasonUnverified)
}

// TestKeyGrafts puts valid parts of bundles by the same key and by another into one by the key, and leaves out what is compulsory.
func TestKeyGrafts(t *testing.T) {
	l := newLab(t)
	c := newCrypto(t, l)
	mine, theirs := p256(t), p256(t)
	key := newVerifierKey(t, mine.key.Public())
	payload := statement(t, image, attest.PredicateSignature, "{}")
	own, other := statement(t, image, attest.PredicateSignature, `{"x":1}`), statement(t, otherImage, attest.PredicateSignature, "{}")
	future := now.Add(time.Hour)
	cases := map[string]struct {
		v1    bool
		at    time.Time
		graft func(p *parts)
		want  verifier.Reason
	}{
		"no entry":             {false, signedAt, func(p *parts) { p.entries = nil }, verifier.ReasonLogEntry},
		"no entry, v1":         {true, signedAt, func(p *parts) { p.entries = nil }, verifier.ReasonLogEntry},
		"no proof, old form":   {true, signedAt, func(p *parts) { p.mediaType, p.entries[0].noProof = bundleV01, true }, verifier.ReasonLogEntry},
		"no promise":           {true, signedAt, func(p *parts) { p.entries[0].set = nil }, verifier.ReasonLogEntry},
		"no promise, no token": {true, time.Time{}, func(p *parts) { p.entries[0].set = nil }, verifier.ReasonLogEntry},
		"unproven time":        {false, time.Time{}, func(p *parts) { p.entries[0].integrated = signedAt.Unix() }, verifier.ReasonLogEntry},
		"unknown log":          {false, time.Time{}, func(p *parts) { p.entries[0].logID = bytes.Repeat([]byte{7}, 32) }, verifier.ReasonUnverified},
		"own entry twice":      {false, time.Time{}, func(p *parts) { p.entries = append(p.entries, l.v2.append(t, p.v2Body(), time.Time{})) }, verifier.ReasonUnverified},
		"root hash":            {false, time.Time{}, func(p *parts) { p.entries[0].root = bytes.Repeat([]byte{7}, 32) }, verifier.ReasonLogEntry},
		"another content":      {false, time.Time{}, func(p *parts) { p.payload = own }, verifier.ReasonUnverified},
		"another's signature":  {false, time.Time{}, func(p *parts) { p.sig = l.signByKey(t, theirs, signing{payload: payload}).sig }, verifier.ReasonUnverified},
		"another's bundle":     {false, time.Time{}, func(p *parts) { *p = l.signByKey(t, theirs, signing{payload: payload}) }, verifier.ReasonUnverified},
		"another's bundle, v1": {true, time.Time{}, func(p *parts) { *p = l.signByKey(t, theirs, signing{payload: payload, v1: true}) }, verifier.ReasonUnverified},
		"another's under my key": {false, time.Time{}, func(p *parts) {
			*p = l.signByKey(t, theirs, signing{payload: payload})
			p.spki = spki(t, mine.key.Public())
		}, verifier.ReasonUnverified},
		"own, other artifact":    {false, time.Time{}, func(p *parts) { *p = l.signByKey(t, mine, signing{payload: other}) }, verifier.ReasonOtherArtifact},
		"own, other entry":       {false, time.Time{}, func(p *parts) { p.entries = l.signByKey(t, mine, signing{payload: own}).entries }, verifier.ReasonUnverified},
		"own, other v1 entry":    {true, time.Time{}, func(p *parts) { p.entries = l.signByKey(t, mine, signing{payload: own, v1: true}).entries }, verifier.ReasonUnverified},
		"entry of another key":   {false, time.Time{}, func(p *parts) { p.entries[0] = l.v2.append(t, logged(t, *p, theirs).v2Body(), time.Time{}) }, verifier.ReasonUnverified},
		"v1 entry, another key":  {true, time.Time{}, func(p *parts) { p.entries[0] = l.v1.append(t, logged(t, *p, theirs).v1Body(t), signedAt) }, verifier.ReasonUnverified},
		"entry with certificate": {false, time.Time{}, func(p *parts) { p.entries = l.sign(t, signing{payload: payload}).entries }, verifier.ReasonUnverified},
		"v2 body in the v1 log":  {false, time.Time{}, func(p *parts) { p.entries[0] = l.inV1(t, l.signByKey(t, mine, signing{payload: own}).v2Body()) }, verifier.ReasonLogEntry},
		"another's token":        {false, signedAt, func(p *parts) { p.tokens = l.signByKey(t, mine, signing{payload: payload, at: signedAt}).tokens }, verifier.ReasonUnverified},
		"another's token, v1":    {true, signedAt, func(p *parts) { p.tokens = l.signByKey(t, mine, signing{payload: payload, at: signedAt}).tokens }, verifier.ReasonTime},
		"one bad token of two":   {false, signedAt, func(p *parts) { p.tokens = append(p.tokens, []byte("token")) }, verifier.ReasonTime},
		"from the future":        {false, future, func(*parts) {}, verifier.ReasonTime},
		"from the future, v1":    {true, time.Time{}, func(p *parts) { p.entries[0] = l.v1.append(t, p.v1Body(t), future) }, verifier.ReasonTime},
		"not a statement":        {false, time.Time{}, func(p *parts) { *p = l.signByKey(t, mine, signing{payload: []byte(`{"hello":"world"}`)}) }, verifier.ReasonStatement},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			p := l.signByKey(t, mine, signing{payload: payload, v1: tc.v1, at: tc.at})
			if d := byKey(t, c, key, p.encode(t)); !d.Allowed() && tc.at != future {
				t.Fatalf("the bundle this is made from: %q", d.Reasons())
			}
			tc.graft(&p)
			wantDenied(t, byKey(t, c, key, p.encode(t)), tc.want)
		})
	}
}

// logged returns the parts as a log would record them if another key had made the signature.
func logged(t testing.TB, p parts, by keyWay) parts {
	t.Helper()
	p.spki = spki(t, by.key.Public())
	return p
}

// TestKeyEveryFlippedBit damages every field. The message's digest is the file's, and nothing else may still verify.
func TestKeyEveryFlippedBit(t *testing.T) {
	l := newLab(t)
	c := newCrypto(t, l)
	way := p256(t)
	key := newVerifierKey(t, way.key.Public())
	payload := statement(t, image, attest.PredicateSignature, "{}")
	for name, s := range map[string]signing{
		"v2": {payload: payload}, "v1": {payload: payload, v1: true}, "message, v2": {blob: imageBytes}, "message, v1": {blob: imageBytes, v1: true},
	} {
		good := l.signByKey(t, way, s)
		if d := byKey(t, c, key, good.encode(t)); !d.Allowed() {
			t.Fatal(d.Reasons())
		}
		for field, b := range good.fields() {
			t.Run(name+" "+field, func(t *testing.T) {
				t.Parallel()
				for i := 0; i < len(b); i += flipStep {
					bad := good.clone()
					bad.fields()[field][i] ^= 1 << (i % 8)
					if byKey(t, c, key, bad.encode(t)).Allowed() {
						t.Errorf("byte %d flipped, still verified", i)
					}
				}
			})
		}
	}
}

// TestKeyRemovedMembers takes away each member of the document. What is left out without loss proves nothing: the hint, and zeroes.
func TestKeyRemovedMembers(t *testing.T) {
	l := newLab(t)
	c := newCrypto(t, l)
	way := p256(t)
	key := newVerifierKey(t, way.key.Public())
	harmless := map[string]bool{"hint": true, "timestampVerificationData": true, "rfc3161Timestamps": true}
	for name, s := range map[string]signing{"v2": {}, "v1": {v1: true}} {
		s.payload = statement(t, image, attest.PredicateSignature, "{}")
		bundle := l.signByKey(t, way, s).encode(t)
		var doc any
		must(t, json.Unmarshal(bundle, &doc))
		for _, path := range paths(doc, nil) {
			last := as[string](t, path[len(path)-1])
			if harmless[last] || !s.v1 && last == "integratedTime" {
				continue
			}
			var edited any
			must(t, json.Unmarshal(bundle, &edited))
			remove(t, edited, path, false)
			b, err := json.Marshal(edited)
			must(t, err)
			if byKey(t, c, key, b).Allowed() {
				t.Errorf("%s without %v: still verified", name, path)
			}
		}
	}
}

// as is v, which must be a T.
func as[T any](t testing.TB, v any) T {
	t.Helper()
	is, ok := v.(T)
	if !ok {
		t.Fatalf("%v is a %T", v, v)
	}
	return is
}

// TestKeyModeWindows: with a proven time the log's key must have been in use then; without one it must be in use now.
func TestKeyModeWindows(t *testing.T) {
	l := newLab(t)
	way := p256(t)
	key := newVerifierKey(t, way.key.Public())
	payload := statement(t, image, attest.PredicateSignature, "{}")
	between := signedAt.Add(30 * time.Minute) // after signing, before now
	rfc := func(at time.Time) string { return at.Format(time.RFC3339) }
	windows := map[string]object{
		"open":      {"start": rfc(start)},
		"retired":   {"start": rfc(start), "end": rfc(between)},
		"too early": {"start": rfc(start), "end": rfc(signedAt.Add(-time.Minute))},
		"too late":  {"start": rfc(between)},
	}
	for name, want := range map[string]struct{ timed, v1, untimed bool }{
		"open": {true, true, true}, "retired": {true, true, false}, "too early": {false, false, false}, "too late": {false, false, true},
	} {
		c := newCrypto(t, l, func(o object) {
			for _, log := range as[[]object](t, o["tlogs"]) {
				as[object](t, log["publicKey"])["validFor"] = windows[name]
			}
		})
		for form, tc := range map[string]struct {
			s    signing
			want bool
		}{
			"timestamp": {signing{payload: payload, at: signedAt}, want.timed},
			"v1":        {signing{payload: payload, v1: true}, want.v1},
			"no time":   {signing{payload: payload}, want.untimed},
		} {
			if d := byKey(t, c, key, l.signByKey(t, way, tc.s).encode(t)); d.Allowed() != tc.want {
				t.Errorf("log key %s, %s: allowed %v, want %v: %q", name, form, d.Allowed(), tc.want, d.Reasons())
			}
		}
	}
}

// TestKeyCovers compares entries with the bundle without the checks around it, as TestCovers does for certificates.
func TestKeyCovers(t *testing.T) {
	l := newLab(t)
	mine, theirs := p256(t), p256(t)
	key := newVerifierKey(t, mine.key.Public())
	payload := statement(t, image, attest.PredicateSignature, "{}")
	for name, s := range map[string]signing{
		"v2": {payload: payload}, "v1": {payload: payload, v1: true}, "message, v2": {blob: imageBytes}, "message, v1": {blob: imageBytes, v1: true},
	} {
		a := l.signByKey(t, mine, s)
		if err := verifier.CheckKeyCovers(a.encode(t), a.encode(t), key); err != nil {
			t.Errorf("%s: its own entry: %v", name, err)
		}
		b := a.clone()
		if body := logged(t, a, theirs); s.v1 {
			b.entries[0] = l.v1.append(t, body.v1Body(t), signedAt)
		} else {
			b.entries[0] = l.v2.append(t, body.v2Body(), time.Time{})
		}
		says := "another key"
		if s.v1 && s.payload == nil {
			says = "" // hashedrekord 0.0.1 is refused when it is read: its parser verifies the signature
		}
		if err := verifier.CheckKeyCovers(a.encode(t), b.encode(t), key); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: entry of another key: %v", name, err)
		}
		if err := verifier.CheckKeyCovers(a.encode(t), l.sign(t, s).encode(t), key); err == nil {
			t.Errorf("%s: a certificate's entry is taken", name)
		}
	}
}

func TestNewKey(t *testing.T) {
	p224 := newKeyOn(t, elliptic.P224())
	weak, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // to be refused
	must(t, err)
	key := newKey(t)
	good := string(publicPEM(spki(t, key.Public())))
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	block := func(kind string) string {
		return strings.ReplaceAll(string(publicPEM(private)), "PUBLIC KEY", kind)
	}
	for name, tc := range map[string]struct{ pem, says string }{
		"nothing":          {"", "not a PEM public key"},
		"DER":              {string(spki(t, key.Public())), "not a PEM public key"},
		"private":          {block("PRIVATE KEY"), "private key, keep it secret"},
		"cosign's private": {block("ENCRYPTED SIGSTORE PRIVATE KEY"), "private key, keep it secret"},
		"certificate":      {strings.ReplaceAll(good, "PUBLIC KEY", "CERTIFICATE"), "certificate, not a public key"},
		"PKCS #1":          {strings.ReplaceAll(good, "PUBLIC KEY", "RSA PUBLIC KEY"), "PKCS #1"},
		"request":          {strings.ReplaceAll(good, "PUBLIC KEY", "CERTIFICATE REQUEST"), "not a public key"},
		"mislabelled":      {block("PUBLIC KEY"), "key: "},
		"two":              {good + good, "something follows"},
		"text before":      {"my key\n" + good, "not a PEM public key"},
		"text after":       {good + "my key", "something follows"},
		"P-224":            {string(publicPEM(spki(t, p224.Public()))), "unsupported"},
		"RSA 1024":         {string(publicPEM(spki(t, weak.Public()))), "unsupported"},
		"large":            {good + strings.Repeat("\n", verifier.MaxKeyBytes), "larger than"},
	} {
		got, err := verifier.NewKey([]byte(tc.pem))
		if err == nil || !strings.Contains(err.Error(), tc.says) || got != (verifier.Key{}) {
			t.Errorf("%s: %v, want an error about %q", name, err, tc.says)
		}
		if err != nil && strings.Contains(err.Error(), b64(private)[:16]) {
			t.Errorf("%s: the error repeats the key", name)
		}
	}
	for _, text := range []string{good, "\n" + good + "\n\n", strings.ReplaceAll(good, "\n", "\r\n")} {
		got, err := verifier.NewKey([]byte(text))
		must(t, err)
		if want := b64(sum(hashOf(elliptic.P256()), spki(t, key.Public()))); got.Hint() != want {
			t.Errorf("hint %s, want %s", got.Hint(), want)
		}
	}
}

// FuzzNewKey reads any bytes: whatever is taken for a key is one that can be written and read again under the same name.
func FuzzNewKey(f *testing.F) {
	f.Add(publicPEM(spki(f, newKey(f).Public())))
	f.Add([]byte("-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----"))
	f.Fuzz(func(t *testing.T, b []byte) {
		key, err := verifier.NewKey(b)
		if (err == nil) != (len(key.Hint()) == 44) { // base64 of 32 bytes
			t.Fatalf("hint %q, error %v", key.Hint(), err)
		}
	})
}
