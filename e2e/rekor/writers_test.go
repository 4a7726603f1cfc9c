// SPDX-License-Identifier: Apache-2.0

package rekor

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/hallmark-dev/hallmark/e2e/stock"
	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/lab"
	"github.com/hallmark-dev/hallmark/signer"
)

// signed is an image that the service has signed.
func signed(t *testing.T, l *lab.Lab, repository string) signer.Receipt {
	t.Helper()
	r := l.Hallmark(t, l.Token(t, devissuer.GitHub), "sign", l.PushSmall(t, repository, "v1"), "-o", "json")
	if r.Code != 0 {
		t.Fatalf("sign: exit code %d: %s", r.Code, r.Stderr)
	}
	return unmarshal[signer.Receipt](t, []byte(r.Stdout))
}

// digestOf is the digest of a receipt's image.
func digestOf(r signer.Receipt) string {
	_, digest, _ := strings.Cut(r.Image, "@")
	return digest
}

// resubmission is the v1 request that makes a bundle's entry: its envelope, in
// the spelling of the service, and its certificate.
func resubmission(t *testing.T, raw []byte) []byte {
	t.Helper()
	var b protobundle.Bundle
	check(t, protojson.Unmarshal(raw, &b))
	envelope, err := json.Marshal(struct {
		PayloadType string              `json:"payloadType"`
		Payload     []byte              `json:"payload"`
		Signatures  []map[string][]byte `json:"signatures"`
	}{b.GetDsseEnvelope().GetPayloadType(), b.GetDsseEnvelope().GetPayload(), []map[string][]byte{{"sig": b.GetDsseEnvelope().GetSignatures()[0].GetSig()}}})
	check(t, err)
	request, err := json.Marshal(map[string]any{"apiVersion": "0.0.1", "kind": "dsse", "spec": map[string]any{
		"proposedContent": map[string]any{"envelope": string(envelope), "verifiers": [][]byte{pemOf(b.GetVerificationMaterial().GetCertificate().GetRawBytes())}},
	}})
	check(t, err)
	return request
}

// refusedWriter wants both APIs to refuse a stranger's new entry with 403.
func refusedWriter(t *testing.T, l *lab.Lab) {
	t.Helper()
	a := newAuthor(t)
	refuses(t, l, []request{
		{name: "stranger, v1", path: "/api/v1/log/entries", body: a.hashedRekord(t, []byte("a")), status: http.StatusForbidden},
	}, v1Error)
	refuses(t, l, []request{
		{name: "stranger, v2", path: "/api/v2/log/entries", body: a.hashedRekordV2(t, []byte("a")), status: http.StatusForbidden},
	}, v2Error)
}

// issuedLog: the log takes what the service signed, again, and new entries of
// registered keys only.
func issuedLog(t *testing.T, start starter) {
	release, gone, slow := newCosignUser(t), newCosignUser(t), newAuthor(t)
	d := start(lab.Options{LogKeys: fmt.Sprintf(`
- {name: release, owner: team-release@corp.example, publicKey: "%s", expires: 2099-01-01T00:00:00Z, perMinute: 60}
- {name: gone, owner: team-release@corp.example, publicKey: "%s", expires: 2020-01-01T00:00:00Z}
- {name: slow, owner: team-release@corp.example, publicKey: "%s", expires: 2099-01-01T00:00:00Z, perMinute: 2}`,
		filepath.Join(release.dir, "cosign.pub"), filepath.Join(gone.dir, "cosign.pub"), slow.path("key.pub"))})
	refusedWriter(t, d.Lab)
	t.Run("again", func(t *testing.T) { ownEntryAgain(t, d.Lab) })
	t.Run("registered", func(t *testing.T) {
		registered(t, d.Lab, release.trusts(t, d.Lab), gone.trusts(t, d.Lab))
	})
	t.Run("rate", func(t *testing.T) { rate(t, d.Lab, slow) })
	hallmark(t, d.Lab, 0, "whole", "log", "fsck")
	d.whole(t)
}

// ownEntryAgain sends an entry of the service itself again.
func ownEntryAgain(t *testing.T, l *lab.Lab) {
	receipt := signed(t, l, "acme/app")
	before := sizes(t, l)
	again := send(t, http.MethodPost, l.URL+"/api/v1/log/entries", "application/json", resubmission(t, receipt.Bundle))
	if again.status != http.StatusCreated || !bytes.Contains(again.body, fmt.Appendf(nil, `"logIndex":%d,`, receipt.LogIndex)) {
		t.Errorf("the service's own entry %d, sent again: %d %s", receipt.LogIndex, again.status, again.body)
	}
	if after := sizes(t, l); after["v1"] != before["v1"] {
		t.Errorf("an entry that exists was added: %v, before %v", after, before)
	}
}

// registered has stock cosign sign with a registered key, as a release
// pipeline of another tool would, into a log that takes nothing of strangers.
func registered(t *testing.T, l *lab.Lab, release, gone *cosignUser) {
	sign := func(u *cosignUser, version string) (image string, r stock.Result) {
		image = u.registry.PushSmall(t, "acme/app", version)
		if version == stock.CosignV2 {
			return image, u.run(t, version, "sign", "--key", "cosign.key", "--rekor-url", l.URL, "--yes", image)
		}
		return image, u.modern(t, version, "sign", "--key", "cosign.key", "--signing-config", signingConfig(t, l, l.URL, 2), "--yes", image)
	}
	for _, version := range []string{stock.CosignV2, stock.CosignV3} {
		image, r := sign(release, version)
		if r.Code != 0 {
			t.Fatalf("%s with a registered key: %s", version, r.Stderr)
		}
		release.verifies(t, version == stock.CosignV2, image)
		if _, r := sign(gone, version); r.Code == 0 || !strings.Contains(r.Stderr, "403") {
			t.Errorf("%s with a key whose time is over: exit code %d: %s", version, r.Code, r.Stderr)
		}
	}
}

// rate: two entries a minute, and the one after them is told to wait.
func rate(t *testing.T, l *lab.Lab, slow *author) {
	for i, want := range []int{http.StatusCreated, http.StatusCreated, http.StatusTooManyRequests} {
		got := send(t, http.MethodPost, l.URL+"/api/v2/log/entries", "application/json", slow.hashedRekordV2(t, fmt.Appendf(nil, "artifact %d", i)))
		if got.status != want || want == http.StatusTooManyRequests && got.header.Get("Retry-After") == "" {
			t.Errorf("entry %d of a key with two a minute is answered %d, want %d: %s", i, got.status, want, got.body)
		}
	}
}

// closedLog: nobody but the service.
func closedLog(t *testing.T, start starter) {
	d := start(lab.Options{Writers: "closed"})
	refusedWriter(t, d.Lab)
	receipt := signed(t, d.Lab, "acme/app")
	refuses(t, d.Lab, []request{{
		name: "the service's own entry", path: "/api/v1/log/entries", body: resubmission(t, receipt.Bundle), status: http.StatusForbidden,
	}}, v1Error)
	hallmark(t, d.Lab, 0, "proven", "log", "prove", digestOf(receipt))
	d.whole(t)
}

func pemOf(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
