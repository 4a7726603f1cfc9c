// SPDX-License-Identifier: Apache-2.0

package rekorv2_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"math/big"
	"net/http"
	"testing"
	"time"

	commonv1 "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	pb "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"

	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/writers"
)

// issuer is an authority with a key of its own.
type issuer struct {
	testing.TB
	writer
	cert *x509.Certificate
}

func newIssuer(t testing.TB, w writer) issuer {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "issuer"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	return issuer{t, w, createCertificate(t, template, template, w.key.Public(), w.key)}
}

func createCertificate(t testing.TB, template, parent *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// check is Config.CheckIssued.
func (i issuer) check(leaf *x509.Certificate) (crypto.PublicKey, error) {
	return i.cert.PublicKey, leaf.CheckSignatureFrom(i.cert)
}

// writers puts the issuer in charge of a log.
func (i issuer) writers(_ *tlog.Config, cfg *writers.Config) {
	cfg.Mode, cfg.CheckIssued = writers.Issued, i.check
}

// request signs an artifact under a certificate of the issuer.
func (i issuer) request(w writer, artifact string) *pb.HashedRekordRequestV002 {
	i.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: w.name},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Minute),
	}
	req := w.request(i, artifact)
	return spelled(req, req.Signature.Content, createCertificate(i, template, i.cert, w.key.Public(), i.key).Raw)
}

// spelled returns a copy of a request with another signature and certificate.
func spelled(req *pb.HashedRekordRequestV002, sig, cert []byte) *pb.HashedRekordRequestV002 {
	return &pb.HashedRekordRequestV002{Digest: req.Digest, Signature: &pb.Signature{Content: sig, Verifier: &pb.Verifier{
		Verifier:   &pb.Verifier_X509Certificate{X509Certificate: &commonv1.X509Certificate{RawBytes: cert}},
		KeyDetails: req.Signature.Verifier.KeyDetails,
	}}}
}

// mirror writes an ECDSA signature in its other spelling.
func mirror(t testing.TB, key crypto.PublicKey, sig []byte) []byte {
	t.Helper()
	pub, ok := key.(*ecdsa.PublicKey)
	if !ok {
		t.Fatalf("a key of type %T", key)
	}
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(sig, &rs); err != nil {
		t.Fatal(err)
	}
	rs.S.Sub(pub.Params().N, rs.S)
	return marshal(t, rs)
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	der, err := asn1.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// outer is a certificate's three parts.
type outer struct{ TBS, Algorithm, Signature asn1.RawValue }

func open(t testing.TB, der []byte) outer {
	t.Helper()
	var parts outer
	if _, err := asn1.Unmarshal(der, &parts); err != nil {
		t.Fatal(err)
	}
	return parts
}

// signedWith replaces the signature of a certificate. shift is the number of
// unused bits that the encoding claims: DER has none.
func signedWith(t testing.TB, der, sig []byte, shift uint) []byte {
	t.Helper()
	number := new(big.Int).SetBytes(sig)
	parts := open(t, der)
	parts.Signature = asn1.RawValue{Tag: asn1.TagBitString, Bytes: append([]byte{byte(shift)}, number.Lsh(number, shift).FillBytes(make([]byte, len(sig)))...)}
	return marshal(t, parts)
}

// extended puts bytes behind the signature of a certificate, where no length
// but the outermost counts them.
func extended(t testing.TB, der []byte, tail ...byte) []byte {
	t.Helper()
	var whole asn1.RawValue
	if _, err := asn1.Unmarshal(der, &whole); err != nil {
		t.Fatal(err)
	}
	return marshal(t, asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: append(whole.Bytes, tail...)})
}

// index reads the logIndex of a 201.
func (a answer) index(t testing.TB) string {
	t.Helper()
	var entry struct{ LogIndex string }
	if err := json.Unmarshal([]byte(a.body), &entry); err != nil || a.status != http.StatusCreated || entry.LogIndex == "" {
		t.Fatalf("%d %s", a.status, a.body)
	}
	return entry.LogIndex
}

// Whoever has seen one entry can spell it in other ways that verify. All of
// them are that entry, whichever was first.
func TestSpellingsAreOneEntry(t *testing.T) {
	ws := signers(t)
	p256, p384, p521, rsa2048, ed := ws[0], ws[1], ws[2], ws[3], ws[5]
	for _, tc := range []struct {
		name          string
		authority, by writer
	}{
		{"P-256 under P-256", p256, p256},
		{"P-256 under P-384", p384, p256},
		{"P-384 under P-256", p256, p384},
		{"P-521 under P-521", p521, p521},
		{"P-256 under RSA", rsa2048, p256},
		{"RSA under P-256", p256, rsa2048},
		{"RSA under RSA", rsa2048, rsa2048},
		{"Ed25519 under P-256", p256, ed},
		{"Ed25519 under RSA", rsa2048, ed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			i := newIssuer(t, tc.authority)
			req := i.request(tc.by, "artifact")
			original, der := req.Signature.Content, req.Signature.Verifier.GetX509Certificate().RawBytes
			sigs, certs := [][]byte{original}, [][]byte{der}
			if _, ok := tc.by.key.(*ecdsa.PrivateKey); ok {
				sigs = append(sigs, mirror(t, tc.by.key.Public(), original))
			}
			if _, ok := i.key.(*ecdsa.PrivateKey); ok {
				leaf := open(t, der)
				certs = append(certs, signedWith(t, der, mirror(t, i.key.Public(), leaf.Signature.Bytes[1:]), 0))
			}
			var all []*pb.HashedRekordRequestV002
			for _, s := range sigs {
				for _, c := range certs {
					all = append(all, spelled(req, s, c))
				}
			}
			for first := range all {
				e := newEnv(t, i.writers)
				e.fill(0, 3)
				one := all[first]
				if _, err := e.service.Append(t.Context(), one.Digest, one.Signature.Content, one.Signature.Verifier.GetX509Certificate().RawBytes, nil); err != nil {
					t.Fatal(err)
				}
				for n, again := range all {
					if got := e.post(body(t, again)).index(t); got != "3" {
						t.Errorf("spelling %d after %d: entry %s", n, first, got)
					}
				}
				if e.log.Size() != 4 {
					t.Errorf("%d entries after spelling %d", e.log.Size(), first)
				}
			}
			// Somebody else's log has no rule about it.
			e := newEnv(t, nil)
			for _, again := range all {
				e.post(body(t, again)).index(t)
			}
			if e.log.Size() != int64(len(all)) {
				t.Errorf("%d entries in an open log, want %d: do the spellings verify?", e.log.Size(), len(all))
			}
		})
	}
}

// What a certificate's parser lets pass is no further entry.
func TestCertificatesAreDER(t *testing.T) {
	i, w := newIssuer(t, signers(t)[1]), signers(t)[0]
	req := i.request(w, "artifact")
	sig, der := req.Signature.Content, req.Signature.Verifier.GetX509Certificate().RawBytes
	certSig := open(t, der).Signature.Bytes[1:]
	e := newEnv(t, i.writers)
	if _, err := e.service.Append(t.Context(), req.Digest, sig, der, nil); err != nil {
		t.Fatal(err)
	}
	for name, cert := range map[string][]byte{
		"a value behind the signature": extended(t, der, asn1.TagNull, 0),
		"a byte behind the signature":  extended(t, der, 7),
		"signature shifted by one":     signedWith(t, der, certSig, 1),
		"signature shifted by two":     signedWith(t, der, certSig, 2),
	} {
		parsed, err := x509.ParseCertificate(cert)
		if err != nil || parsed.CheckSignatureFrom(i.cert) != nil || bytes.Equal(cert, der) {
			t.Fatalf("%s: no attack: %v", name, err)
		}
		if got := e.post(body(t, spelled(req, sig, cert))); got.status != http.StatusBadRequest || got.code != 3 {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	if e.log.Size() != 1 {
		t.Errorf("%d entries", e.log.Size())
	}
}

// forged makes a request that verifies under the certificate of another, and
// needs nothing else: with R = uG + vQ, (R.x, R.x/v) signs the digest u*R.x/v
// under Q. Nobody knows what has that digest, but it is digests that a log is
// sent.
func forged(t testing.TB, req *pb.HashedRekordRequestV002) *pb.HashedRekordRequestV002 {
	t.Helper()
	der := req.Signature.Verifier.GetX509Certificate().RawBytes
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	q, ok := cert.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		t.Fatalf("a key of type %T", cert.PublicKey)
	}
	n := q.Params().N
	u, errU := rand.Int(rand.Reader, n)
	v, errV := rand.Int(rand.Reader, n)
	if errU != nil || errV != nil {
		t.Fatal(errU, errV)
	}
	// Points are added by this deprecated interface only.
	ux, uy := q.ScalarBaseMult(u.Bytes())
	vx, vy := q.ScalarMult(q.X, q.Y, v.Bytes()) //nolint:staticcheck // see above
	r, _ := q.Add(ux, uy, vx, vy)
	r.Mod(r, n)
	s := new(big.Int).ModInverse(v, n)
	s.Mod(s.Mul(s, r), n)
	digest := new(big.Int).Mul(u, s)
	out := spelled(req, marshal(t, struct{ R, S *big.Int }{r, s}), der)
	out.Digest = digest.Mod(digest, n).FillBytes(make([]byte, len(req.Digest)))
	return out
}

// Under a public certificate anybody can sign digests of nothing: a log that is
// not open takes no entry that is new.
func TestForgedDigestsAreNotLogged(t *testing.T) {
	for _, w := range signers(t)[:2] {
		i := newIssuer(t, signers(t)[0])
		e := newEnv(t, i.writers)
		req := i.request(w, "artifact")
		if _, err := e.service.Append(t.Context(), req.Digest, req.Signature.Content, req.Signature.Verifier.GetX509Certificate().RawBytes, nil); err != nil {
			t.Fatal(err)
		}
		forgery := body(t, forged(t, req))
		if got := e.post(forgery); got.status != http.StatusForbidden || got.code != 7 || e.log.Size() != 1 {
			t.Errorf("%s: %d %s, %d entries", w.name, got.status, got.body, e.log.Size())
		}
		newEnv(t, nil).post(forgery).index(t) // it does verify
	}
}
