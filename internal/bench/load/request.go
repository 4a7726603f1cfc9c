// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/hallmark-dev/hallmark/attest"
)

// Kind is a kind of entry and the API that takes it.
type Kind string

// The kinds of entries.
const (
	// V2 is a hashedrekord 0.0.2, the one kind of Rekor v2.
	V2 Kind = "v2 hashedrekord"
	// V1DSSE is a dsse 0.0.1 with an in-toto statement: what bundles carry.
	V1DSSE Kind = "v1 dsse"
	// V1Hashed is a hashedrekord 0.0.1: what cosign sends for a signature.
	V1Hashed Kind = "v1 hashedrekord"
)

// V1 reports whether the entry goes to the Rekor v1 API.
func (k Kind) V1() bool { return k != V2 }

// path is where entries of a kind are posted.
func (k Kind) path() string {
	if k.V1() {
		return "/api/v1/log/entries"
	}
	return "/api/v2/log/entries"
}

// Request is a signed entry, ready to be sent.
type Request struct {
	Kind Kind
	// Body is the JSON that is posted.
	Body []byte
	// Digest is the hex SHA-256 by which an auditor looks for the entry: of the
	// artifact, or of the statement's subject.
	Digest string
	// marks are what the canonical entry must hold: digests and the signature.
	marks []string
}

// Maker makes requests. It may be used concurrently.
type Maker struct {
	seed      uint64
	authority *authority
}

// NewMaker makes a Maker with a certificate authority of its own. Two of
// different seeds make different entries.
func NewMaker(seed uint64) (*Maker, error) {
	a, err := newAuthority()
	return &Maker{seed: seed, authority: a}, err
}

// MakeAll makes n requests on all cores, with the numbers from first on. Kinds
// take turns.
func (m *Maker) MakeAll(ctx context.Context, first, n int, kinds ...Kind) ([]Request, error) {
	out := make([]Request, n)
	group, ctx := errgroup.WithContext(ctx)
	workers := runtime.NumCPU()
	for w := range workers {
		group.Go(func() (err error) {
			for i := w; i < n && err == nil && ctx.Err() == nil; i += workers {
				out[i], err = m.Make(first+i, kinds[i%len(kinds)])
			}
			return err
		})
	}
	return out, group.Wait()
}

// Make makes request i of a kind. Digests follow from the seed and i; keys and
// signatures are random.
func (m *Maker) Make(i int, kind Kind) (Request, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Request{}, err
	}
	cert, err := m.authority.issue(&key.PublicKey, i)
	if err != nil {
		return Request{}, err
	}
	digest := sha256.Sum256(fmt.Appendf(nil, "%d artifact %d", m.seed, i))
	req := Request{Kind: kind, Digest: hex.EncodeToString(digest[:])}
	switch kind {
	case V1DSSE:
		err = req.dsse(key, cert)
	case V1Hashed:
		err = req.hashed(key, cert, digest)
	default:
		err = req.hashedV2(key, cert, digest)
	}
	return req, err
}

type object = map[string]any

func (r *Request) hashedV2(key *ecdsa.PrivateKey, cert []byte, digest [32]byte) error {
	sig, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		return err
	}
	r.marks = []string{b64(digest[:]), b64(sig)}
	r.Body, err = json.Marshal(object{"hashedRekordRequestV002": object{
		"digest": b64(digest[:]),
		"signature": object{"content": b64(sig), "verifier": object{
			"x509Certificate": object{"rawBytes": b64(cert)}, "keyDetails": "PKIX_ECDSA_P256_SHA_256",
		}},
	}})
	return err
}

func (r *Request) hashed(key *ecdsa.PrivateKey, cert []byte, digest [32]byte) error {
	sig, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		return err
	}
	r.marks = []string{r.Digest, b64(sig)}
	r.Body, err = json.Marshal(object{"kind": "hashedrekord", "apiVersion": "0.0.1", "spec": object{
		"data":      object{"hash": object{"algorithm": "sha256", "value": r.Digest}},
		"signature": object{"content": b64(sig), "publicKey": object{"content": b64(pemOf(cert))}},
	}})
	return err
}

func (r *Request) dsse(key *ecdsa.PrivateKey, cert []byte) error {
	statement, err := json.Marshal(object{
		"_type": "https://in-toto.io/Statement/v1", "predicateType": attest.PredicateSignature, "predicate": object{},
		"subject": []object{{"name": "registry.corp.example/acme/app", "digest": object{"sha256": r.Digest}}},
	})
	if err != nil {
		return err
	}
	pae := sha256.Sum256(attest.PAE(attest.PayloadType, statement))
	sig, err := ecdsa.SignASN1(rand.Reader, key, pae[:])
	if err != nil {
		return err
	}
	envelope, err := json.Marshal(object{
		"payloadType": attest.PayloadType, "payload": b64(statement), "signatures": []object{{"sig": b64(sig), "keyid": ""}},
	})
	if err != nil {
		return err
	}
	payload := sha256.Sum256(statement)
	r.marks = []string{hex.EncodeToString(payload[:]), b64(sig)}
	r.Body, err = json.Marshal(object{"kind": "dsse", "apiVersion": "0.0.1", "spec": object{
		"proposedContent": object{"envelope": string(envelope), "verifiers": []string{b64(pemOf(cert))}},
	}})
	return err
}

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func pemOf(cert []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
}

// parse is for a certificate made here.
func parse(der []byte, err error) (*x509.Certificate, error) {
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
