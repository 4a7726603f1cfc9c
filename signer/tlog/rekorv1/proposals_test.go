// SPDX-License-Identifier: Apache-2.0

package rekorv1_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/digitorus/timestamp"
	pkissh "github.com/sigstore/rekor/pkg/pki/ssh"
	"github.com/veraison/go-cose"
	"golang.org/x/crypto/blake2b"
	"golang.org/x/crypto/ssh"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer/tlog/rekorv1"
)

// signer is somebody who signs.
type signer struct {
	name string
	key  crypto.Signer
	hash crypto.Hash // of a hashedrekord
	alg  string
}

// sharedSigners has one of every kind of key that can sign a hashedrekord. RSA keys
// take their time, so they are made once.
var sharedSigners = sync.OnceValues(func() ([]signer, error) {
	_, ed, edErr := ed25519.GenerateKey(rand.Reader)
	k256, err256 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	k384, err384 := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	k521, err521 := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	r2048, errRSA := rsa.GenerateKey(rand.Reader, 2048)
	return []signer{
		{"P-256", k256, crypto.SHA256, "sha256"},
		{"P-384", k384, crypto.SHA384, "sha384"},
		{"P-521", k521, crypto.SHA512, "sha512"},
		{"RSA", r2048, crypto.SHA256, "sha256"},
		{"Ed25519ph", ed, crypto.SHA512, "sha512"},
	}, errors.Join(edErr, err256, err384, err521, errRSA)
})

func signers(t testing.TB) []signer {
	t.Helper()
	all, err := sharedSigners()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func newSigner(t testing.TB) signer {
	t.Helper()
	return signer{"P-256", p256(t), crypto.SHA256, "sha256"}
}

// publicPEM is the signer's bare key.
func (s signer) publicPEM(t testing.TB) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(s.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// certificate is a certificate of the signer, issued by parent or, if that is
// nil, by itself.
func (s signer) certificate(t testing.TB, parent *issuer) []byte {
	t.Helper()
	workflow, err := url.Parse("https://github.com/acme/app/.github/workflows/Release.yml@refs/heads/main")
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(10 * time.Minute),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		EmailAddresses: []string{"Dev@Acme.example"}, URIs: []*url.URL{workflow},
	}
	cert, key := template, s.key
	if parent != nil {
		cert, key = parent.cert, parent.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, cert, s.key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func certPEM(ders ...[]byte) []byte {
	var all []byte
	for _, der := range ders {
		all = append(all, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return all
}

// issuer is a certificate authority.
type issuer struct {
	key  crypto.Signer
	cert *x509.Certificate
}

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	key := p256(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{key, cert}
}

// sign signs as the kind of key does for a hashedrekord.
func (s signer) sign(t testing.TB, digest []byte) []byte {
	t.Helper()
	var opts crypto.SignerOpts = s.hash
	if _, ok := s.key.(ed25519.PrivateKey); ok {
		opts = &ed25519.Options{Hash: crypto.SHA512}
	}
	sig, err := s.key.Sign(rand.Reader, digest, opts)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

type obj = map[string]any

// at returns what is at a path of a document.
func at[T any](t testing.TB, doc any, path ...string) T {
	t.Helper()
	for _, name := range path {
		members, ok := doc.(obj)
		if !ok {
			t.Fatalf("%v: %T is no object", path, doc)
		}
		doc = members[name]
	}
	found, ok := doc.(T)
	if !ok {
		t.Fatalf("%v is a %T", path, doc)
	}
	return found
}

func proposal(kind, version string, spec obj) obj {
	return obj{"kind": kind, "apiVersion": version, "spec": spec}
}

// hashedrekord proposes an artifact under a verifier in PEM.
func (s signer) hashedrekord(t testing.TB, artifact string, verifier []byte) obj {
	t.Helper()
	h := s.hash.New()
	h.Write([]byte(artifact))
	digest := h.Sum(nil)
	return proposal("hashedrekord", "0.0.1", obj{
		"data":      obj{"hash": obj{"algorithm": s.alg, "value": hex.EncodeToString(digest)}},
		"signature": obj{"content": s.sign(t, digest), "publicKey": obj{"content": verifier}},
	})
}

const intotoType = "application/vnd.in-toto+json"

// statement is SLSA provenance of a subject.
func statement(subject string) []byte {
	return fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"app","digest":{"sha256":"%x"}}],`+
		`"predicateType":"https://slsa.dev/provenance/v1","predicate":{"buildDefinition":{"resolvedDependencies":[{"digest":{"sha1":"%040x"}}]}}}`,
		sha256.Sum256([]byte(subject)), len(subject))
}

// envelope is a DSSE envelope as text.
func (s signer) envelope(t testing.TB, payload []byte) string {
	t.Helper()
	sum := sha256.Sum256(attest.PAE(intotoType, payload))
	sig, err := s.key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return string(compact(t, obj{"payloadType": intotoType, "payload": payload, "signatures": []obj{{"sig": sig}}}))
}

func dsse(envelope string, verifiers ...[]byte) obj {
	return proposal("dsse", "0.0.1", obj{"proposedContent": obj{"envelope": envelope, "verifiers": verifiers}})
}

// intoto1 is intoto 0.0.1.
func (s signer) intoto1(t testing.TB, payload, verifier []byte) obj {
	t.Helper()
	return proposal("intoto", "0.0.1", obj{"content": obj{"envelope": s.envelope(t, payload)}, "publicKey": verifier})
}

// intoto2 is intoto 0.0.2, of which payload and signature are in base64 twice.
func (s signer) intoto2(t testing.TB, payload, verifier []byte) obj {
	t.Helper()
	sum := sha256.Sum256(attest.PAE(intotoType, payload))
	sig, err := s.key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	twice := func(b []byte) []byte { return []byte(base64.StdEncoding.EncodeToString(b)) }
	return proposal("intoto", "0.0.2", obj{"content": obj{
		"envelope": obj{
			"payloadType": intotoType, "payload": twice(payload),
			"signatures": []obj{{"sig": twice(sig), "publicKey": verifier}},
		},
		"hash":        obj{"algorithm": "sha256", "value": hex.EncodeToString(sum[:])},
		"payloadHash": obj{"algorithm": "sha256", "value": hex.EncodeToString(sum[:])},
	}})
}

func rekord(format string, content, signature, verifier []byte) obj {
	return proposal("rekord", "0.0.1", obj{
		"data":      obj{"content": content},
		"signature": obj{"format": format, "content": signature, "publicKey": obj{"content": verifier}},
	})
}

func (s signer) rekordX509(t testing.TB, content, verifier []byte) obj {
	t.Helper()
	sum := sha256.Sum256(content)
	sig, err := s.key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return rekord("x509", content, sig, verifier)
}

// pgpEntity is a PGP key, and its armoured public half.
func pgpEntity(t testing.TB) (*openpgp.Entity, []byte) {
	t.Helper()
	entity, err := openpgp.NewEntity("Chart", "", "chart@acme.example", nil)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w, err := armor.Encode(&b, openpgp.PublicKeyType, nil)
	if err == nil {
		err = errors.Join(entity.Serialize(w), w.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return entity, b.Bytes()
}

func rekordPGP(t testing.TB, content []byte) obj {
	t.Helper()
	entity, public := pgpEntity(t)
	var sig bytes.Buffer
	if err := openpgp.ArmoredDetachSign(&sig, entity, bytes.NewReader(content), nil); err != nil {
		t.Fatal(err)
	}
	return rekord("pgp", content, sig.Bytes(), public)
}

func rekordSSH(t testing.TB, content []byte) obj {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	sig, err := pkissh.Sign(string(pem.EncodeToMemory(private)), bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	public, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return rekord("ssh", content, sig, ssh.MarshalAuthorizedKey(public))
}

// rekordMinisign signs as minisign -S does, hashed.
func rekordMinisign(t testing.TB, content []byte) obj {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id := []byte("key id 8")
	sum := blake2b.Sum512(content)
	sig := ed25519.Sign(key, sum[:])
	comment := "trusted"
	global := ed25519.Sign(key, append(bytes.Clone(sig), comment...))
	b64 := base64.StdEncoding.EncodeToString
	text := "untrusted comment: x\n" + b64(append(append([]byte("ED"), id...), sig...)) + "\ntrusted comment: " + comment + "\n" + b64(global) + "\n"
	pub := "untrusted comment: x\n" + b64(append(append([]byte("Ed"), id...), public...)) + "\n"
	return rekord("minisign", content, []byte(text), []byte(pub))
}

// helm proposes the provenance of a chart that names some files.
func helm(t testing.TB, files ...string) obj {
	t.Helper()
	entity, public := pgpEntity(t)
	var text strings.Builder
	text.WriteString("name: app\nversion: 1.0.0\n\n...\nfiles:\n")
	for _, f := range files {
		fmt.Fprintf(&text, "  %s: sha256:%x\n", f, sha256.Sum256([]byte(f)))
	}
	var b bytes.Buffer
	w, err := clearsign.Encode(&b, entity.PrivateKey, nil)
	if err == nil {
		_, err = w.Write([]byte(text.String()))
		err = errors.Join(err, w.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return proposal("helm", "0.0.1", obj{"publicKey": obj{"content": public}, "chart": obj{"provenance": obj{"content": b.Bytes()}}})
}

// rfc3161 proposes a time stamp.
func rfc3161(t testing.TB, content string) obj {
	t.Helper()
	key := p256(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "clock"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(content))
	token := &timestamp.Timestamp{
		HashAlgorithm: crypto.SHA256, HashedMessage: sum[:], Time: time.Now(), Policy: []int{1, 2, 3}, SerialNumber: big.NewInt(1),
		AddTSACertificate: true,
	}
	resp, err := token.CreateResponseWithOpts(cert, key, crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return proposal("rfc3161", "0.0.1", obj{"tsr": obj{"content": resp}})
}

// coseSign1 proposes a COSE message.
func (s signer) coseSign1(t testing.TB, payload, verifier []byte) obj {
	t.Helper()
	cs, err := cose.NewSigner(cose.AlgorithmES256, s.key)
	if err != nil {
		t.Fatal(err)
	}
	msg := cose.NewSign1Message()
	msg.Headers.Protected.SetAlgorithm(cose.AlgorithmES256)
	msg.Headers.Protected[cose.HeaderLabelContentType] = intotoType
	msg.Payload = payload
	if err := msg.Sign(rand.Reader, nil, cs); err != nil {
		t.Fatal(err)
	}
	raw, err := msg.MarshalCBOR()
	if err != nil {
		t.Fatal(err)
	}
	return proposal("cose", "0.0.1", obj{"message": raw, "publicKey": verifier, "data": obj{}})
}

// allKinds has a valid proposal of every kind and kind of key.
func allKinds(t testing.TB) map[string]obj {
	t.Helper()
	s := newSigner(t)
	ca := newIssuer(t)
	cert := s.certificate(t, ca)
	all := map[string]obj{
		"hashedrekord certificate": s.hashedrekord(t, "artifact", certPEM(cert)),
		"hashedrekord chain":       s.hashedrekord(t, "artifact", certPEM(cert, ca.cert.Raw)),
		"dsse key":                 dsse(s.envelope(t, statement("app")), s.publicPEM(t)),
		"dsse certificate":         dsse(s.envelope(t, statement("app")), certPEM(cert)),
		"intoto 0.0.1":             s.intoto1(t, statement("app"), certPEM(cert)),
		"intoto 0.0.2":             s.intoto2(t, statement("app"), certPEM(cert)),
		"rekord x509":              s.rekordX509(t, []byte("artifact"), certPEM(cert)),
		"rekord pgp":               rekordPGP(t, []byte("artifact")),
		"rekord ssh":               rekordSSH(t, []byte("artifact")),
		"rekord minisign":          rekordMinisign(t, []byte("artifact")),
		"helm":                     helm(t, "app-1.0.0.tgz"),
		"rfc3161":                  rfc3161(t, "artifact"),
		"cose":                     s.coseSign1(t, statement("app"), certPEM(cert)),
	}
	for _, w := range signers(t) {
		all["hashedrekord "+w.name] = w.hashedrekord(t, "artifact", w.publicPEM(t))
	}
	for _, w := range signers(t)[3:4] {
		all["dsse "+w.name] = dsse(w.envelope(t, statement("app")), w.publicPEM(t))
	}
	return all
}

// rsaSPKI is the public key of an odd number: nobody needs its factors to ask
// that something be verified with it.
func rsaSPKI(t testing.TB, bits int) []byte {
	t.Helper()
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	der, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: n.Add(n, big.NewInt(1)), E: 65537})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// sized proposes an entry whose leaf has a given size: of what is logged as it
// was sent, the key id of intoto 0.0.2 is free.
func (s signer) sized(t testing.TB, service *rekorv1.Service, size int) obj {
	t.Helper()
	p := s.intoto2(t, statement("x"), s.publicPEM(t))
	signature := at[[]obj](t, p, "spec", "content", "envelope", "signatures")[0]
	signature["keyid"] = "x"
	leaf, _, err := rekorv1.Slow(t.Context(), service, compact(t, p))
	if err != nil {
		t.Fatal(err)
	}
	signature["keyid"] = strings.Repeat("x", size-len(leaf)+1)
	return p
}

// signed is an envelope that the process itself has signed.
func signed(t testing.TB, s signer, payloadType, payload string, certificate []byte) rekorv1.Envelope {
	t.Helper()
	sum := sha256.Sum256(attest.PAE(payloadType, []byte(payload)))
	sig, err := s.key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return rekorv1.Envelope{PayloadType: payloadType, Payload: []byte(payload), Signature: sig, Certificate: certificate}
}
