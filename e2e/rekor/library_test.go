// SPDX-License-Identifier: Apache-2.0

package rekor

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/rekor-tiles/v2/pkg/client/read"
	"github.com/sigstore/rekor-tiles/v2/pkg/client/write"
	pb "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	rekornote "github.com/sigstore/rekor-tiles/v2/pkg/note"
	rekorverify "github.com/sigstore/rekor-tiles/v2/pkg/verify"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/internal/lab"
)

// sigstoreGo signs with the library through either API, over every key that it
// makes, and verifies the bundles with the library against the trusted root.
func sigstoreGo(t *testing.T, l *lab.Lab) {
	trusted, err := root.NewTrustedRootFromPath(l.TrustedRoot())
	check(t, err)
	artifact := []byte("an artifact for " + t.Name())
	statement := fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"a","digest":{"sha256":"%x"}}],"predicateType":"https://example.com/p","predicate":{}}`, sha256.Sum256(artifact))
	keys := map[string]protocommon.PublicKeyDetails{
		"P-256": protocommon.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256,
		"P-384": protocommon.PublicKeyDetails_PKIX_ECDSA_P384_SHA_384,
		"RSA":   protocommon.PublicKeyDetails_PKIX_RSA_PKCS1V15_2048_SHA256,
	}
	for name, algorithm := range keys {
		for _, version := range []uint32{1, 2} {
			for form, content := range map[string]sign.Content{
				"message": &sign.PlainData{Data: artifact}, "statement": &sign.DSSEData{Data: statement, PayloadType: attest.PayloadType},
			} {
				if name == "P-384" && version == 1 && form == "statement" {
					continue // Rekor v1's code, in the client too, verifies envelopes with SHA-256 only
				}
				t.Run(fmt.Sprintf("%s/v%d/%s", name, version, form), func(t *testing.T) {
					keypair, err := sign.NewEphemeralKeypair(&sign.EphemeralKeypairOptions{Algorithm: algorithm})
					check(t, err)
					material := withKey(t, trusted, keypair)
					signed, err := sign.Bundle(content, keypair, sign.BundleOptions{
						Context:              t.Context(),
						TimestampAuthorities: []*sign.TimestampAuthority{sign.NewTimestampAuthority(&sign.TimestampAuthorityOptions{URL: l.URL + "/api/v1/timestamp"})},
						TransparencyLogs:     []sign.Transparency{sign.NewRekor(&sign.RekorOptions{BaseURL: l.URL, Version: version})},
						TrustedRoot:          material,
					})
					check(t, err)
					verifyKeyed(t, material, signed, artifact)
					proveBundle(t, l, signed)
				})
			}
		}
	}
}

// withKey is the trusted root and beside it one key.
func withKey(t *testing.T, trusted *root.TrustedRoot, keypair *sign.EphemeralKeypair) root.TrustedMaterial {
	t.Helper()
	v, err := signature.LoadDefaultVerifier(keypair.GetPublicKey())
	check(t, err)
	return root.TrustedMaterialCollection{trusted, root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
		return root.NewExpiringKey(v, time.Time{}, time.Time{}), nil
	})}
}

// verifyKeyed verifies a bundle by key, and that it is no other artifact's.
func verifyKeyed(t *testing.T, material root.TrustedMaterial, signed *protobundle.Bundle, artifact []byte) {
	t.Helper()
	b, err := bundle.NewBundle(signed)
	check(t, err)
	verifier, err := verify.NewVerifier(material, verify.WithTransparencyLog(1), verify.WithSignedTimestamps(1))
	check(t, err)
	if _, err := verifier.Verify(b, verify.NewPolicy(verify.WithArtifact(bytes.NewReader(artifact)), verify.WithKey())); err != nil {
		t.Errorf("sigstore-go refuses what it signed: %v", err)
	}
	if _, err := verifier.Verify(b, verify.NewPolicy(verify.WithArtifact(strings.NewReader("other")), verify.WithKey())); err == nil {
		t.Error("sigstore-go accepts another artifact")
	}
}

// proveBundle has our own CLI prove a bundle's entry.
func proveBundle(t *testing.T, l *lab.Lab, signed *protobundle.Bundle) {
	t.Helper()
	raw, err := protojson.Marshal(signed)
	check(t, err)
	a := &author{dir: t.TempDir()}
	hallmark(t, l, 0, "proven\tin the tree of ", "log", "prove", a.file(t, "bundle.json", raw))
}

// v2Origin is what the v2 log's checkpoints begin with.
func v2Origin(t testing.TB, l *lab.Lab) string {
	t.Helper()
	u, err := url.Parse(l.Origin)
	check(t, err)
	return u.Hostname()
}

// logKey finds the key of a log in the service's list.
func logKey(t testing.TB, l *lab.Lab, name string) (row listedLog, key crypto.PublicKey) {
	t.Helper()
	for _, row := range listLogs(t, l) {
		if row.Name == name {
			key, err := x509.ParsePKIXPublicKey(row.PublicKey)
			check(t, err)
			return row, key
		}
	}
	t.Fatalf("the service has no log %q", name)
	return listedLog{}, nil
}

// listedLog is a log as the service lists it.
type listedLog struct {
	Name, Kind, State, TreeID, Origin, LogID string
	FirstIndex, Size                         int64
	PublicKey                                []byte
}

func listLogs(t testing.TB, l *lab.Lab) []listedLog {
	t.Helper()
	answer := get(t, l.URL+"/hallmark/v1/logs")
	if answer.status != http.StatusOK {
		t.Fatalf("list logs: %d %s", answer.status, answer.body)
	}
	return unmarshal[struct{ Logs []listedLog }](t, answer.body).Logs
}

// rekorTiles uses the clients of rekor-tiles: each answer is verified with its
// own code, each entry is read again from the tiles.
func rekorTiles(t *testing.T, l *lab.Lab) {
	_, public := logKey(t, l, "v2")
	v, err := signature.LoadDefaultVerifier(public)
	check(t, err)
	noteVerifier, err := rekornote.NewNoteVerifier(v2Origin(t, l), v)
	check(t, err)
	writer, err := write.NewWriter(l.URL)
	check(t, err)
	for _, base := range []string{l.URL, l.URL + "/api/v2"} {
		reader, err := read.NewReader(base, v2Origin(t, l), v)
		check(t, err)
		request := hashedRekordRequest(t, newAuthor(t), []byte("for "+base))
		entry, err := writer.Add(t.Context(), request)
		check(t, err)
		check(t, rekorverify.VerifyLogEntry(entry, noteVerifier))
		again, err := writer.Add(t.Context(), request)
		check(t, err)
		check(t, rekorverify.VerifyLogEntry(again, noteVerifier))
		if again.GetLogIndex() != entry.GetLogIndex() {
			t.Errorf("sent again, entry %d became %d", entry.GetLogIndex(), again.GetLogIndex())
		}
		checkpoint, _, err := reader.ReadCheckpoint(t.Context())
		check(t, err)
		if checkpoint.Size <= uint64(entry.GetLogIndex()) {
			t.Errorf("the checkpoint of %d entries does not cover entry %d", checkpoint.Size, entry.GetLogIndex())
		}
		width := uint8(checkpoint.Size % 256)
		entries, err := reader.ReadEntryBundle(t.Context(), checkpoint.Size/256, width)
		check(t, err)
		if !bytes.Contains(entries, entry.GetCanonicalizedBody()) {
			t.Error("the entry is not in the last entry bundle")
		}
		tile, err := reader.ReadTile(t.Context(), 0, checkpoint.Size/256, width)
		check(t, err)
		if len(tile) != int(width)*sha256.Size {
			t.Errorf("a tile of %d hashes has %d bytes", width, len(tile))
		}
	}
	if _, err := writer.Add(t.Context(), &pb.HashedRekordRequestV002{Digest: []byte("short")}); err == nil || !strings.Contains(err.Error(), "400") {
		t.Errorf("a request without a signature: %v", err)
	}
}

func hashedRekordRequest(t *testing.T, a *author, artifact []byte) *pb.HashedRekordRequestV002 {
	t.Helper()
	digest := sha256.Sum256(artifact)
	der, err := x509.MarshalPKIXPublicKey(a.key.Public())
	check(t, err)
	return &pb.HashedRekordRequestV002{Digest: digest[:], Signature: &pb.Signature{
		Content: a.sign(t, artifact),
		Verifier: &pb.Verifier{
			Verifier:   &pb.Verifier_PublicKey{PublicKey: &pb.PublicKey{RawBytes: der}},
			KeyDetails: protocommon.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256,
		},
	}}
}

// forgetful stands between a client and the service, and loses the first answer
// to a new entry: the entry is in the log, and the client does not know.
func forgetful(t *testing.T, l *lab.Lab) (proxyURL string, lost *atomic.Int64) {
	t.Helper()
	target, err := url.Parse(l.URL)
	check(t, err)
	lost = &atomic.Int64{}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ModifyResponse = func(r *http.Response) error {
		if r.Request.Method == http.MethodPost && strings.HasSuffix(r.Request.URL.Path, "/log/entries") && lost.Add(1) == 1 {
			return fmt.Errorf("lost the answer %s", r.Status)
		}
		return nil
	}
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	return server.URL, lost
}
