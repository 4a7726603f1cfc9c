// SPDX-License-Identifier: Apache-2.0

package rekorv2_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	commonv1 "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	pb "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"

	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/rekorv2"
	"github.com/hallmark-dev/hallmark/signer/tlog/storagetest"
	"github.com/hallmark-dev/hallmark/signer/tlog/writers"
)

const origin = "log.example"

// env is a service over logs in memory, on a real listener.
type env struct {
	testing.TB
	key     crypto.Signer // of log
	keys    map[string]crypto.Signer
	storage *storagetest.Memory
	set     *tlog.Set
	log     *tlog.Log // the first one
	service *rekorv2.Service
	url     string
	host    string // of requests, if not that of url
}

// newEnv starts a service over one log, open to everybody. adjust, if not nil,
// changes the configurations.
func newEnv(t testing.TB, adjust func(*tlog.Config, *writers.Config)) *env {
	t.Helper()
	e := &env{TB: t, storage: storagetest.NewMemory(), keys: make(map[string]crypto.Signer)}
	logCfg := tlog.Config{Name: "v2", Origin: origin, Signer: p256(t)}
	writersCfg := writers.Config{Mode: writers.Open}
	if adjust != nil {
		adjust(&logCfg, &writersCfg)
	}
	e.key = logCfg.Signer
	e.keys[logCfg.Name] = e.key
	e.create(logCfg, tlog.Birth{Kind: tlog.V2, TreeID: 1, State: tlog.Active})
	w, err := writers.New(writersCfg)
	if err != nil {
		t.Fatal(err)
	}
	logCfg.Shared = true // rotate is what another process does
	e.set, err = tlog.LoadSet(t.Context(), e.storage, tlog.SetConfig{
		Signer: func(row tlog.LogRow) (crypto.Signer, error) { return e.keys[row.Name], nil }, Config: logCfg,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.set.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if e.log, err = e.set.Active(t.Context(), tlog.V2); err != nil {
		t.Fatal(err)
	}
	if e.service, err = rekorv2.New(rekorv2.Config{Set: e.set, Writers: w}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(e.service)
	t.Cleanup(server.Close)
	e.url = server.URL
	return e
}

func (e *env) create(cfg tlog.Config, birth tlog.Birth) {
	e.Helper()
	if err := tlog.Create(e.Context(), e.storage, cfg, birth); err != nil {
		e.Fatal(err)
	}
}

func p256(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// writer is somebody who signs: a key of one kind.
type writer struct {
	name    string
	key     crypto.Signer
	hash    crypto.Hash
	opts    crypto.SignerOpts
	details commonv1.PublicKeyDetails
}

// allWriters has one of every kind of key that can be logged. RSA keys take
// their time, so they are made once.
var allWriters = sync.OnceValues(func() ([]writer, error) {
	_, ed, edErr := ed25519.GenerateKey(rand.Reader)
	k256, err256 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	k384, err384 := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	k521, err521 := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	r2048, err2048 := rsa.GenerateKey(rand.Reader, 2048)
	r3072, err3072 := rsa.GenerateKey(rand.Reader, 3072)
	return []writer{
		{"P-256", k256, crypto.SHA256, crypto.SHA256, commonv1.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256},
		{"P-384", k384, crypto.SHA384, crypto.SHA384, commonv1.PublicKeyDetails_PKIX_ECDSA_P384_SHA_384},
		{"P-521", k521, crypto.SHA512, crypto.SHA512, commonv1.PublicKeyDetails_PKIX_ECDSA_P521_SHA_512},
		{"RSA 2048", r2048, crypto.SHA256, crypto.SHA256, commonv1.PublicKeyDetails_PKIX_RSA_PKCS1V15_2048_SHA256},
		{"RSA 3072", r3072, crypto.SHA256, crypto.SHA256, commonv1.PublicKeyDetails_PKIX_RSA_PKCS1V15_3072_SHA256},
		{"Ed25519ph", ed, crypto.SHA512, &ed25519.Options{Hash: crypto.SHA512}, commonv1.PublicKeyDetails_PKIX_ED25519_PH},
	}, errors.Join(edErr, err256, err384, err521, err2048, err3072)
})

func signers(t testing.TB) []writer {
	t.Helper()
	all, err := allWriters()
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(all)
}

// request signs an artifact and makes the request for it, with the bare key.
func (w writer) request(t testing.TB, artifact string) *pb.HashedRekordRequestV002 {
	t.Helper()
	h := w.hash.New()
	h.Write([]byte(artifact))
	digest := h.Sum(nil)
	sig, err := w.key.Sign(rand.Reader, digest, w.opts)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(w.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return &pb.HashedRekordRequestV002{
		Digest: digest,
		Signature: &pb.Signature{Content: sig, Verifier: &pb.Verifier{
			Verifier:   &pb.Verifier_PublicKey{PublicKey: &pb.PublicKey{RawBytes: spki}},
			KeyDetails: w.details,
		}},
	}
}

// withCertificate puts a certificate of the writer's key into a request.
func (w writer) withCertificate(t testing.TB, req *pb.HashedRekordRequestV002, extension int) *pb.HashedRekordRequestV002 {
	t.Helper()
	req.Signature.Verifier.Verifier = &pb.Verifier_X509Certificate{
		X509Certificate: &commonv1.X509Certificate{RawBytes: w.certificate(t, extension)},
	}
	return req
}

// certificate returns a self-signed certificate with an extension of a length.
func (w writer) certificate(t testing.TB, extension int) []byte {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: w.name},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
	}
	if extension > 0 {
		template.ExtraExtensions = []pkix.Extension{{Id: []int{1, 2, 3, 4}, Value: make([]byte, extension)}}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, w.key.Public(), w.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestConfigIsChecked(t *testing.T) {
	open, err := writers.New(writers.Config{Mode: writers.Open})
	if err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]rekorv2.Config{
		"no logs":    {Writers: open},
		"no writers": {Set: newEnv(t, nil).set},
	} {
		if _, err := rekorv2.New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// What the signing service appends and what a client writes are one entry.
func TestAppendInProcess(t *testing.T) {
	for _, w := range signers(t) {
		t.Run(w.name, func(t *testing.T) {
			e := newEnv(t, nil)
			if _, err := e.log.Append(t.Context(), tlog.Leaf{Body: []byte("something before")}); err != nil {
				t.Fatal(err)
			}
			req := w.withCertificate(t, w.request(t, "artifact"), 0)
			cert := req.Signature.Verifier.GetX509Certificate().RawBytes
			got, err := e.service.Append(t.Context(), req.Digest, req.Signature.Content, cert, nil)
			if err != nil {
				t.Fatal(err)
			}
			byClient, err := e.client().Add(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			if got.LogIndex != 1 || got.ProofIndex != 1 || byClient.LogIndex != 1 || string(got.CanonicalizedBody) != string(byClient.CanonicalizedBody) {
				t.Errorf("in process %+v, by HTTP %v", got, byClient)
			}
			if got.Kind != "hashedrekord" || got.Version != "0.0.2" || got.IntegratedTime != 0 || got.SignedEntryTimestamp != nil || got.TreeSize != 2 {
				t.Errorf("%+v", got)
			}
			spki, err := x509.MarshalPKIXPublicKey(e.key.Public())
			if err != nil {
				t.Fatal(err)
			}
			if id := sha256.Sum256(spki); string(id[:]) != string(got.LogID) {
				t.Errorf("log id %x", got.LogID)
			}
		})
	}
}

func TestAppendRefusesWhatDoesNotVerify(t *testing.T) {
	e := newEnv(t, nil)
	w := signers(t)[0]
	req := w.request(t, "artifact")
	cert := w.certificate(t, 0)
	for name, args := range map[string][3][]byte{
		"other digest":     {make([]byte, 32), req.Signature.Content, cert},
		"short digest":     {req.Digest[:31], req.Signature.Content, cert},
		"no digest":        {nil, req.Signature.Content, cert},
		"no signature":     {req.Digest, nil, cert},
		"other signature":  {req.Digest, w.request(t, "other").Signature.Content, cert},
		"other key":        {req.Digest, req.Signature.Content, writer{name: "x", key: p256(t)}.certificate(t, 0)},
		"no certificate":   {req.Digest, req.Signature.Content, nil},
		"two certificates": {req.Digest, req.Signature.Content, append(cert, cert...)},
	} {
		_, err := e.service.Append(t.Context(), args[0], args[1], args[2], nil)
		if invalid := new(rekorv2.Invalid); !asInvalid(err, &invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if e.log.Size() != 0 {
		t.Errorf("%d entries were logged", e.log.Size())
	}
}
