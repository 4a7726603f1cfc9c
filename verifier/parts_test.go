// SPDX-License-Identifier: Apache-2.0

package verifier_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"testing"
	"time"

	rekornote "github.com/sigstore/rekor-tiles/v2/pkg/note"
	"github.com/sigstore/sigstore/pkg/signature"
	"golang.org/x/mod/sumdb/note"
	merkle "golang.org/x/mod/sumdb/tlog"

	"github.com/hallmark-dev/hallmark/attest"
)

// memoryLog is a transparency log: a tree, a key, and both ways of naming itself.
type memoryLog struct {
	origin, host string
	first        int64 // global index of the first leaf (v1 shards)
	key          *ecdsa.PrivateKey
	hashes       []merkle.Hash
	size         int64
}

func newMemoryLog(t testing.TB, origin, host string, first int64) *memoryLog {
	l := &memoryLog{origin: origin, host: host, first: first, key: newKey(t)}
	for i := range 5 { // neighbours, so that proofs have hashes
		l.add(t, fmt.Appendf(nil, "neighbour %d", i))
	}
	return l
}

func (l *memoryLog) add(t testing.TB, body []byte) int64 {
	t.Helper()
	hashes, err := merkle.StoredHashes(l.size, body, l)
	must(t, err)
	l.hashes = append(l.hashes, hashes...)
	l.size++
	return l.size - 1
}

func (l *memoryLog) ReadHashes(indexes []int64) ([]merkle.Hash, error) {
	found := make([]merkle.Hash, len(indexes))
	for i, at := range indexes {
		found[i] = l.hashes[at]
	}
	return found, nil
}

// append logs a body; with a time it is an entry of a v1 log, with SET.
func (l *memoryLog) append(t testing.TB, body loggable, at time.Time) entry {
	t.Helper()
	index := l.add(t, body.bytes)
	id := sha256.Sum256(spki(t, l.key.Public()))
	e := entry{kind: body.kind, version: body.version, body: body.bytes, logID: id[:], index: l.first + index, proofIndex: index}
	e.prove(t, l)
	if !at.IsZero() {
		e.integrated = at.Unix()
		e.set = l.promise(t, e)
	}
	return e
}

// prove (re)builds proof and checkpoint against the log as it is now.
func (e *entry) prove(t testing.TB, l *memoryLog) {
	t.Helper()
	path, err := merkle.ProveRecord(l.size, e.proofIndex, l)
	must(t, err)
	root, err := merkle.TreeHash(l.size, l)
	must(t, err)
	e.size, e.root, e.hashes = l.size, root[:], nil
	for _, h := range path {
		e.hashes = append(e.hashes, h[:])
	}
	e.checkpoint = l.checkpoint(t, l.size, root[:])
}

func (l *memoryLog) checkpoint(t testing.TB, size int64, root []byte) string {
	t.Helper()
	text := fmt.Sprintf("%s\n%d\n%s\n", l.origin, size, b64(root))
	if l.origin != l.host { // v1: not quite a signed note
		digest := sha256.Sum256([]byte(text))
		id := sha256.Sum256(spki(t, l.key.Public()))
		return fmt.Sprintf("%s\n\u2014 %s %s\n", text, l.host, b64(append(id[:4:4], signDigest(t, l.key, digest[:])...)))
	}
	signer, err := signature.LoadECDSASigner(l.key, crypto.SHA256)
	must(t, err)
	noteSigner, err := rekornote.NewNoteSigner(context.Background(), l.origin, signer)
	must(t, err)
	signed, err := note.Sign(&note.Note{Text: text}, noteSigner)
	must(t, err)
	return string(signed)
}

func (l *memoryLog) promise(t testing.TB, e entry) []byte {
	t.Helper()
	digest := sha256.Sum256(fmt.Appendf(nil, `{"body":"%s","integratedTime":%d,"logID":"%x","logIndex":%d}`, b64(e.body), e.integrated, e.logID, e.index))
	return signDigest(t, l.key, digest[:])
}

// parts is a bundle before it is encoded, so that tests can exchange and damage its members.
type parts struct {
	mediaType string
	payload   []byte // nil for a message signature
	hash      hashKind
	digest    []byte // of what was signed
	sig, cert []byte
	spki      []byte // key mode: the public key, instead of a certificate
	entries   []entry
	tokens    [][]byte
	payloadIs string // payload type, if not the usual one
}

type entry struct {
	kind, version     string
	body, logID       []byte
	index, proofIndex int64
	integrated        int64
	set               []byte
	size              int64
	root              []byte
	hashes            [][]byte
	checkpoint        string
	noProof           bool
}

type loggable struct {
	kind, version string
	bytes         []byte
}

func (p parts) v2Body() loggable {
	by := fmt.Sprintf(`"x509Certificate":{"rawBytes":"%s"}`, b64(p.cert))
	if p.spki != nil {
		by = fmt.Sprintf(`"publicKey":{"rawBytes":"%s"}`, b64(p.spki))
	}
	return loggable{"hashedrekord", "0.0.2", fmt.Appendf(nil,
		`{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{"hashedRekordV002":{"data":{"algorithm":"%s","digest":"%s"},"signature":{"content":"%s","verifier":{"keyDetails":"%s",%s}}}}}`,
		p.hash.proto, b64(p.digest), b64(p.sig), p.hash.details, by)}
}

func (p parts) v1Body(t testing.TB) loggable {
	t.Helper()
	by := b64(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.cert}))
	if p.spki != nil {
		by = b64(publicPEM(p.spki))
	}
	if p.payload == nil {
		return loggable{"hashedrekord", "0.0.1", fmt.Appendf(nil,
			`{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{"data":{"hash":{"algorithm":"%s","value":"%x"}},"signature":{"content":"%s","publicKey":{"content":"%s"}}}}`,
			p.hash.v1, p.digest, b64(p.sig), by)}
	}
	return loggable{"dsse", "0.0.1", fmt.Appendf(nil,
		`{"apiVersion":"0.0.1","kind":"dsse","spec":{"envelopeHash":{"algorithm":"sha256","value":"%x"},"payloadHash":{"algorithm":"sha256","value":"%x"},"signatures":[{"signature":"%s","verifier":"%s"}]}}`,
		sha256.Sum256([]byte("some spelling of the envelope")), sha256.Sum256(p.payload), b64(p.sig), by)}
}

func publicPEM(spki []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})
}

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

type object = map[string]any

// encode writes the bundle's JSON.
func (p parts) encode(t testing.TB) []byte {
	t.Helper()
	var entries []object
	for _, e := range p.entries {
		var hashes []string
		for _, h := range e.hashes {
			hashes = append(hashes, b64(h))
		}
		o := object{
			"logIndex": fmt.Sprint(e.index), "logId": object{"keyId": b64(e.logID)}, "kindVersion": object{"kind": e.kind, "version": e.version},
			"integratedTime": fmt.Sprint(e.integrated), "canonicalizedBody": b64(e.body),
			"inclusionProof": object{
				"logIndex": fmt.Sprint(e.proofIndex), "treeSize": fmt.Sprint(e.size), "rootHash": b64(e.root), "hashes": hashes,
				"checkpoint": object{"envelope": e.checkpoint},
			},
		}
		if e.noProof {
			delete(o, "inclusionProof")
		}
		if e.set != nil {
			o["inclusionPromise"] = object{"signedEntryTimestamp": b64(e.set)}
		}
		entries = append(entries, o)
	}
	var tokens []object
	for _, token := range p.tokens {
		tokens = append(tokens, object{"signedTimestamp": b64(token)})
	}
	material := object{
		"certificate": object{"rawBytes": b64(p.cert)}, "tlogEntries": entries, "timestampVerificationData": object{"rfc3161Timestamps": tokens},
	}
	if p.spki != nil {
		hint := sha256.Sum256(p.spki)
		delete(material, "certificate")
		material["publicKey"] = object{"hint": b64(hint[:])}
	}
	b := object{"mediaType": attest.BundleMediaType, "verificationMaterial": material}
	if p.mediaType != "" {
		b["mediaType"] = p.mediaType
	}
	if p.payload != nil {
		payloadType := attest.PayloadType
		if p.payloadIs != "" {
			payloadType = p.payloadIs
		}
		b["dsseEnvelope"] = object{"payload": b64(p.payload), "payloadType": payloadType, "signatures": []object{{"sig": b64(p.sig)}}}
	} else {
		b["messageSignature"] = object{"messageDigest": object{"algorithm": p.hash.proto, "digest": b64(p.digest)}, "signature": b64(p.sig)}
	}
	out, err := json.Marshal(b)
	must(t, err)
	return out
}
