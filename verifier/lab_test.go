// SPDX-License-Identifier: Apache-2.0

package verifier_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"hash"
	"math/big"
	"testing"
	"time"

	"github.com/digitorus/timestamp"
	ct "github.com/google/certificate-transparency-go"
	cttls "github.com/google/certificate-transparency-go/tls"
	ctx509 "github.com/google/certificate-transparency-go/x509"
	"github.com/sigstore/fulcio/pkg/certificate"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/verifier/trust"
)

// lab is a whole Sigstore in memory, with keys that the tests may use against the rules. Time stands still in it: now is when the tests
// "run", signedAt an hour before.
type lab struct {
	root, good, expired, tsaRoot, tsa authority
	ctKey                             *ecdsa.PrivateKey
	v1, v2                            *memoryLog
}

var (
	start    = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	signedAt = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	now      = signedAt.Add(time.Hour)
	end      = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
)

const (
	ciSAN    = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main"
	ciIssuer = "https://token.actions.githubusercontent.com"
)

type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newLab(t testing.TB) *lab {
	t.Helper()
	l := &lab{ctKey: newKey(t)}
	l.root = newAuthority(t, "lab root", nil, start, end, 0)
	l.good = newAuthority(t, "lab intermediate", &l.root, start, end, x509.ExtKeyUsageCodeSigning)
	l.expired = newAuthority(t, "lab old intermediate", &l.root, start, signedAt.Add(-time.Minute), x509.ExtKeyUsageCodeSigning)
	l.tsaRoot = newAuthority(t, "lab tsa root", nil, start, end, 0)
	l.tsa = newTSA(t, l.tsaRoot)
	l.v1 = newMemoryLog(t, "rekor.lab.example - 7716518232417", "rekor.lab.example", 1000)
	l.v2 = newMemoryLog(t, "log.lab.example", "log.lab.example", 0)
	return l
}

func newKey(t testing.TB) *ecdsa.PrivateKey { return newKeyOn(t, elliptic.P256()) }

func newKeyOn(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	must(t, err)
	return key
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var serial int64

func newAuthority(t testing.TB, name string, parent *authority, from, to time.Time, usage x509.ExtKeyUsage) authority {
	t.Helper()
	serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name, Organization: []string{"lab"}},
		NotBefore: from, NotAfter: to, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true, IsCA: true,
	}
	if usage != 0 {
		template.ExtKeyUsage = []x509.ExtKeyUsage{usage}
	}
	key := newKey(t)
	issuer := authority{template, key}
	if parent != nil {
		issuer = *parent
	}
	return authority{create(t, template, issuer, key.Public()), key}
}

func newTSA(t testing.TB, root authority) authority {
	t.Helper()
	usage, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	must(t, err)
	serial++
	key := newKey(t)
	cert := create(t, &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "lab tsa"}, NotBefore: start, NotAfter: end,
		KeyUsage:        x509.KeyUsageDigitalSignature,
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: usage}},
	}, root, key.Public())
	return authority{cert, key}
}

func create(t testing.TB, template *x509.Certificate, issuer authority, pub crypto.PublicKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, issuer.cert, pub, issuer.key)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return cert
}

// signing says how a bundle is made. The zero value, filled by the lab, is a correct signature with a v2 entry and a timestamp.
type signing struct {
	payload  []byte // DSSE payload, or
	blob     []byte // what a message signature covers
	sans     []asn1.RawValue
	issuer   *string // nil: ciIssuer; empty: none
	template func(*x509.Certificate)
	issuedBy authority
	from, to time.Time // of the leaf
	at       time.Time // of the timestamp
	loggedAt time.Time // of a v1 entry
	noSCT    bool
	noTSA    bool
	v1       bool
	v2       bool
	curve    elliptic.Curve
}

func sans(s string) []asn1.RawValue { return []asn1.RawValue{uri(s)} }
func uri(s string) asn1.RawValue    { return asn1.RawValue{Class: 2, Tag: 6, Bytes: []byte(s)} }
func email(s string) asn1.RawValue  { return asn1.RawValue{Class: 2, Tag: 1, Bytes: []byte(s)} }
func dns(s string) asn1.RawValue    { return asn1.RawValue{Class: 2, Tag: 2, Bytes: []byte(s)} }

func (l *lab) defaults(s signing) signing {
	if s.sans == nil {
		s.sans = []asn1.RawValue{uri(ciSAN)}
	}
	if s.issuer == nil {
		issuer := ciIssuer
		s.issuer = &issuer
	}
	if s.issuedBy.cert == nil {
		s.issuedBy = l.good
	}
	if s.at.IsZero() {
		s.at = signedAt
	}
	if s.loggedAt.IsZero() {
		s.loggedAt = s.at
	}
	if s.from.IsZero() {
		s.from, s.to = s.at.Add(-time.Minute), s.at.Add(9*time.Minute)
	}
	if !s.v1 && !s.v2 {
		s.v2 = true
	}
	if s.curve == nil {
		s.curve = elliptic.P256()
	}
	return s
}

// sign makes the parts of a bundle.
func (l *lab) sign(t testing.TB, s signing) parts {
	t.Helper()
	s = l.defaults(s)
	key := newKeyOn(t, s.curve)
	message := s.blob
	if s.payload != nil {
		message = attest.PAE(attest.PayloadType, s.payload)
	}
	p := parts{payload: s.payload, hash: hashOf(s.curve), cert: l.leaf(t, s, key.Public()).Raw}
	p.digest = sum(p.hash, message)
	p.sig = signDigest(t, key, p.digest)
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

func signDigest(t testing.TB, key *ecdsa.PrivateKey, digest []byte) []byte {
	t.Helper()
	sig, err := ecdsa.SignASN1(rand.Reader, key, digest)
	must(t, err)
	return sig
}

type hashKind struct {
	proto, v1, details string
	make               func() hash.Hash
}

func hashOf(curve elliptic.Curve) hashKind {
	if curve == elliptic.P384() {
		return hashKind{"SHA2_384", "sha384", "PKIX_ECDSA_P384_SHA_384", sha512.New384}
	}
	return hashKind{"SHA2_256", "sha256", "PKIX_ECDSA_P256_SHA_256", sha256.New}
}

func sum(h hashKind, b []byte) []byte {
	w := h.make()
	w.Write(b) // a hash never fails
	return w.Sum(nil)
}

// leaf issues a certificate with an embedded SCT.
func (l *lab) leaf(t testing.TB, s signing, pub crypto.PublicKey) *x509.Certificate {
	t.Helper()
	serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotBefore: s.from, NotAfter: s.to,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	}
	if *s.issuer != "" {
		ext, err := certificate.Extensions{Issuer: *s.issuer, SourceRepositoryURI: "https://github.com/acme/app"}.Render()
		must(t, err)
		template.ExtraExtensions = ext
	}
	if len(s.sans) > 0 {
		names, err := asn1.Marshal(s.sans)
		must(t, err)
		template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: true, Value: names})
	}
	if s.template != nil {
		s.template(template)
	}
	if s.noSCT {
		return create(t, template, s.issuedBy, pub)
	}
	extensions := template.ExtraExtensions
	poison := pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 3}, Critical: true, Value: asn1.NullBytes}
	template.ExtraExtensions = append(append([]pkix.Extension{}, extensions...), poison)
	pre := create(t, template, s.issuedBy, pub)
	list := pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}, Value: l.sct(t, pre, s)}
	template.ExtraExtensions = append(append([]pkix.Extension{}, extensions...), list)
	return create(t, template, s.issuedBy, pub)
}

func (l *lab) sct(t testing.TB, pre *x509.Certificate, s signing) []byte {
	t.Helper()
	var chain []*ctx509.Certificate
	for _, c := range []*x509.Certificate{pre, s.issuedBy.cert} {
		parsed, err := ctx509.ParseCertificate(c.Raw)
		if ctx509.IsFatal(err) {
			t.Fatal(err)
		}
		chain = append(chain, parsed)
	}
	ms := uint64(s.from.UnixMilli()) // after 1970
	leaf, err := ct.MerkleTreeLeafFromChain(chain, ct.PrecertLogEntryType, ms)
	must(t, err)
	sct := ct.SignedCertificateTimestamp{SCTVersion: ct.V1, LogID: ct.LogID{KeyID: sha256.Sum256(spki(t, l.ctKey.Public()))}, Timestamp: ms}
	input, err := ct.SerializeSCTSignatureInput(sct, ct.LogEntry{Leaf: *leaf})
	must(t, err)
	digest := sha256.Sum256(input)
	sct.Signature = ct.DigitallySigned{
		Algorithm: cttls.SignatureAndHashAlgorithm{Hash: cttls.SHA256, Signature: cttls.ECDSA}, Signature: signDigest(t, l.ctKey, digest[:]),
	}
	raw, err := cttls.Marshal(sct)
	must(t, err)
	list, err := cttls.Marshal(ctx509.SignedCertificateTimestampList{SCTList: []ctx509.SerializedSCT{{Val: raw}}})
	must(t, err)
	value, err := asn1.Marshal(list)
	must(t, err)
	return value
}

func (l *lab) timestamp(t testing.TB, sig []byte, at time.Time) []byte {
	t.Helper()
	digest := sha256.Sum256(sig)
	token := timestamp.Timestamp{
		HashAlgorithm: crypto.SHA256, HashedMessage: digest[:], Time: at, Policy: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 2},
		Accuracy: time.Second, SerialNumber: big.NewInt(at.Unix()),
	}
	der, err := token.CreateResponseWithOpts(l.tsa.cert, l.tsa.key, crypto.SHA256)
	must(t, err)
	return der
}

func spki(t testing.TB, pub crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(pub)
	must(t, err)
	return der
}

// trustedRoot writes the lab's trusted_root.json after the edits.
func (l *lab) trustedRoot(t testing.TB, edits ...func(object)) []byte {
	t.Helper()
	window := func() object { return object{"start": start.Format(time.RFC3339)} }
	log := func(base string, key *ecdsa.PrivateKey) object {
		der := spki(t, key.Public())
		id := sha256.Sum256(der)
		return object{
			"baseUrl": base, "hashAlgorithm": "SHA2_256", "logId": object{"keyId": b64(id[:])},
			"publicKey": object{"rawBytes": b64(der), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": window()},
		}
	}
	chain := func(certs ...*x509.Certificate) object {
		var list []object
		for _, c := range certs {
			list = append(list, object{"rawBytes": b64(c.Raw)})
		}
		return object{"uri": "https://" + hex.EncodeToString(certs[0].SerialNumber.Bytes()) + ".lab.example", "certChain": object{"certificates": list}, "validFor": window()}
	}
	o := object{
		"mediaType":              trust.MediaType,
		"tlogs":                  []object{log("https://rekor.lab.example", l.v1.key), log("https://log.lab.example:9443/v2", l.v2.key)},
		"ctlogs":                 []object{log("https://ct.lab.example", l.ctKey)},
		"certificateAuthorities": []object{chain(l.good.cert, l.root.cert), chain(l.expired.cert, l.root.cert)},
		"timestampAuthorities":   []object{chain(l.tsa.cert, l.tsaRoot.cert)},
	}
	for _, edit := range edits {
		edit(o)
	}
	b, err := json.Marshal(o)
	must(t, err)
	return b
}

// statement returns a statement about the digest.
func statement(t testing.TB, digest attest.Digest, predicateType, predicate string) []byte {
	t.Helper()
	st, err := attest.NewStatement(digest, predicateType, []byte(predicate))
	must(t, err)
	b, err := st.Encode()
	must(t, err)
	return b
}

var (
	imageBytes = []byte("the manifest of an image")
	image      = attest.DigestOf(imageBytes)
	otherImage = attest.DigestOf([]byte("another manifest"))
	shortLogID = bytes.Repeat([]byte("x"), 8)
)
