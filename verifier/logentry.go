// SPDX-License-Identifier: Apache-2.0

package verifier

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/tlog"
	merkle "golang.org/x/mod/sumdb/tlog"

	"github.com/hallmark-dev/hallmark/attest"
)

// checkEntries makes sure that every log entry of the bundle is the entry of this signature, in a log whose key was in use.
//
// sigstore-go has verified the checkpoints' signatures, the inclusion proofs and, for v1 entries, the log's signed entry timestamps
// (SET). What it leaves open, and is closed here:
//
//   - It rebuilds the leaf of a v2 entry from the bundle and never looks at the entry's own body, index, root and size beside the
//     checkpoint. They are shown to people and kept in records, so they must be true.
//   - It tells v1 from v2 twice, by the body and by the checkpoint. An entry that is one by its body and the other by its checkpoint
//     is compared with the bundle by neither path.
//   - It checks a log key's window only against a SET.
func (c *Crypto) checkEntries(e *evidence, times []time.Time) error {
	for _, entry := range e.entries {
		if _, err := c.root.LogAt([]byte(entry.LogKeyID()), times...); err != nil {
			return refuse(ReasonLogEntry, "%w", err)
		}
		if err := checkEntry(entry, e); err != nil {
			return refuse(ReasonLogEntry, "log entry %d: %w", entry.LogIndex(), err)
		}
	}
	return nil
}

func checkEntry(entry *tlog.Entry, e *evidence) error {
	if !entry.HasInclusionProof() {
		return errors.New("carries no inclusion proof, only a promise")
	}
	cp, err := parseCheckpoint(entry.TransparencyLogEntry().GetInclusionProof().GetCheckpoint().GetEnvelope())
	if err != nil {
		return err
	}
	if err := checkKind(entry, cp); err != nil {
		return err
	}
	if err := checkInclusion(entry, cp); err != nil {
		return err
	}
	return checkCovers(entry, e)
}

// checkKind wants body, announced kind, checkpoint and times to be of one generation. A v2 log signs no times, so a v2 entry must not
// show one; of a v1 entry index and time are proven by the SET, which sigstore-go verifies where there is one.
func checkKind(entry *tlog.Entry, cp checkpoint) error {
	tle := entry.TransparencyLogEntry()
	kind := tle.GetKindVersion().GetKind() + " " + tle.GetKindVersion().GetVersion()
	v2 := entry.IsRekorV2()
	switch {
	case kind != bodyKind(tle.GetCanonicalizedBody()) || v2 == cp.v1():
		return fmt.Errorf("is announced as %q, but its body or checkpoint is of another kind", kind)
	case v2 && (tle.GetIntegratedTime() != 0 || tle.GetInclusionPromise() != nil):
		return errors.New("shows a time or promise that logs of its kind do not sign")
	case !v2 && !entry.HasInclusionPromise():
		return errors.New("has no signed entry timestamp, so nothing proves its index and time")
	}
	return nil
}

// bodyKind returns kind and version as the logged bytes themselves state them; sigstore-go compares the announcement with itself.
func bodyKind(body []byte) string {
	var b struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
	}
	if err := json.Unmarshal(body, &b); err != nil {
		return ""
	}
	return b.Kind + " " + b.APIVersion
}

// checkInclusion proves once more, by another implementation than sigstore-go's, that the entry's own body is in the tree of its
// checkpoint, whose signature was verified.
func checkInclusion(entry *tlog.Entry, cp checkpoint) error {
	proof := entry.TransparencyLogEntry().GetInclusionProof()
	if proof.GetTreeSize() != cp.size || !bytes.Equal(proof.GetRootHash(), cp.root[:]) {
		return errors.New("its proof names another tree than its checkpoint")
	}
	path := make(merkle.RecordProof, len(proof.GetHashes()))
	for i, h := range proof.GetHashes() {
		if len(h) != len(path[i]) {
			return errors.New("its proof has a hash of wrong length")
		}
		copy(path[i][:], h)
	}
	leaf := merkle.RecordHash(entry.TransparencyLogEntry().GetCanonicalizedBody())
	if err := merkle.CheckRecord(path, cp.size, cp.root, proof.GetLogIndex(), leaf); err != nil {
		return fmt.Errorf("its body is not in the log: %w", err)
	}
	return nil
}

// checkCovers compares the entry's body with the bundle: this signature, this certificate or key, this content.
func checkCovers(entry *tlog.Entry, e *evidence) error {
	if !bytes.Equal(entry.Signature(), e.signature) {
		return errors.New("is about another signature")
	}
	switch cert, isCert := entry.PublicKey().(*x509.Certificate); {
	case e.key != nil && !e.key.equal(entry.PublicKey()):
		return errors.New("is about another key")
	case e.key == nil && !(isCert && cert.Equal(e.leaf)):
		return errors.New("is about another certificate")
	}
	var want, digest []byte
	switch {
	case e.message != nil: // hashedrekord: the artifact's digest itself
		recorded, algorithm, ok := entry.GetHashedRekordDigest()
		if !ok || hashNames[algorithm] == "" || hashNames[algorithm] != hashNames[e.message.algorithm] || !bytes.Equal(recorded, e.message.digest) {
			return errors.New("is about another artifact")
		}
		return nil
	case entry.IsRekorV2(): // hashedrekord 0.0.2: the digest of what was signed
		recorded, algorithm, ok := entry.GetHashedRekordDigest()
		want, digest = hashAs(algorithm, attest.PAE(attest.PayloadType, e.payload)), recorded
		if !ok || want == nil {
			return fmt.Errorf("records a digest by %q", algorithm)
		}
	default: // dsse and intoto: the digest of the payload
		sum := sha256.Sum256(e.payload)
		recorded, ok := entry.GetDssePayloadHash()
		want, digest = sum[:], recorded
		if !ok {
			return errors.New("records no payload digest")
		}
	}
	if !bytes.Equal(want, digest) {
		return errors.New("is about another payload")
	}
	return nil
}

// hashNames maps the spellings of v1 entries and of Sigstore's HashAlgorithm to one.
var hashNames = map[string]string{
	"sha256": "sha256", "SHA2_256": "sha256",
	"sha384": "sha384", "SHA2_384": "sha384",
	"sha512": "sha512", "SHA2_512": "sha512",
}

// hashAs returns nil for an algorithm that is not accepted.
func hashAs(algorithm string, b []byte) []byte {
	switch hashNames[algorithm] {
	case "sha256":
		sum := sha256.Sum256(b)
		return sum[:]
	case "sha384":
		sum := sha512.Sum384(b)
		return sum[:]
	case "sha512":
		sum := sha512.Sum512(b)
		return sum[:]
	}
	return nil
}

// checkpoint is the signed part of a signed note that describes a tree.
type checkpoint struct {
	origin string
	size   int64
	root   merkle.Hash
}

// v1Origin is how v1 logs name themselves: host, " - ", tree id. v2 logs must not look like that.
var v1Origin = regexp.MustCompile(`^.* - [0-9]+$`)

func (c checkpoint) v1() bool { return v1Origin.MatchString(c.origin) }

// parseCheckpoint reads the first three lines of a checkpoint whose signature was verified before.
func parseCheckpoint(envelope string) (checkpoint, error) {
	const signedLines = 3 // origin, size, root; other lines may follow
	lines := strings.SplitN(envelope, "\n", signedLines+1)
	if len(lines) <= signedLines {
		return checkpoint{}, errors.New("its checkpoint has too few lines")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || strconv.FormatInt(size, 10) != lines[1] || size < 1 {
		return checkpoint{}, fmt.Errorf("its checkpoint has the size %q", lines[1])
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	cp := checkpoint{origin: lines[0], size: size}
	if err != nil || len(root) != len(cp.root) {
		return checkpoint{}, errors.New("its checkpoint has no root hash")
	}
	copy(cp.root[:], root)
	return cp, nil
}
