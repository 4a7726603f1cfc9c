// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
)

// statementAbout is a statement about a digest, and the DSSE envelope of a
// bundle with it.
func statementAbout(digest string) (payload []byte, envelope map[string]any) {
	payload = fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"%s"}}],"predicateType":"https://example.com/p","predicate":{}}`, strings.TrimPrefix(digest, "sha256:"))
	return payload, map[string]any{
		"payloadType": attest.PayloadType, "payload": payload, "signatures": []map[string][]byte{{"sig": []byte("signature")}},
	}
}

// logged appends the entry of a statement to a log.
func (l *testLog) logged(t *testing.T, payload []byte) (index int64) {
	t.Helper()
	sum := sha256.Sum256(payload)
	body := fmt.Appendf(nil, `{"apiVersion":"0.0.1","kind":"dsse","spec":{"payloadHash":{"algorithm":"sha256","value":"%x"}}}`, sum)
	if l.Kind == "v2" {
		pae := sha256.Sum256(attest.PAE(attest.PayloadType, payload))
		body = fmt.Appendf(nil, `{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{"hashedRekordV002":{"data":{"algorithm":"SHA2_256","digest":"%s"}}}}`, base64.StdEncoding.EncodeToString(pae[:]))
	}
	l.add(t, body)
	return l.Size - 1
}

// claim is the log entry of a bundle, as it was when the log had a size.
func (l *testLog) claim(t *testing.T, index, size int64) map[string]any {
	t.Helper()
	id, err := hex.DecodeString(l.LogID)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]any{
		"logIndex": strconv.FormatInt(l.FirstIndex+index, 10), "logId": map[string]any{"keyId": id}, "canonicalizedBody": l.leaves[index],
		"inclusionProof": map[string]any{
			"logIndex": strconv.FormatInt(index, 10), "treeSize": strconv.FormatInt(size, 10),
			"checkpoint": map[string]any{"envelope": string(l.checkpoint(t, size))},
		},
	}
}

func bundleOf(t *testing.T, envelope map[string]any, claims ...map[string]any) json.RawMessage {
	t.Helper()
	raw, err := json.Marshal(map[string]any{
		"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "dsseEnvelope": envelope,
		"verificationMaterial": map[string]any{"tlogEntries": claims},
	})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestLogBundles proves bundles, as files and as what the service keeps about a
// digest, and refuses those whose parts do not belong together.
func TestLogBundles(t *testing.T) {
	v1, v2 := twoLogs(t)
	const about, other = "sha256:1111111111111111111111111111111111111111111111111111111111111111", "sha256:2222222222222222222222222222222222222222222222222222222222222222"
	payload, envelope := statementAbout(about)
	otherPayload, otherEnvelope := statementAbout(other)
	in1, in2, otherIn1 := v1.logged(t, payload), v2.logged(t, payload), v1.logged(t, otherPayload)
	stranger, _ := twoLogs(t)
	fork := newTestLog(t, v1.logRow)
	fork.key, fork.LogID = v1.key, v1.LogID
	for range v1.leaves {
		fork.add(t, fmt.Appendf(nil, "entry %d of another history", fork.Size))
	}
	with := func(claim map[string]any, change func(proof map[string]any)) map[string]any {
		proof, ok := claim["inclusionProof"].(map[string]any)
		if !ok {
			t.Fatal("a claim without a proof")
		}
		change(proof)
		return claim
	}
	whole := v1.Size
	for _, tc := range []struct {
		name      string
		bundle    json.RawMessage
		byFile    int // exit code of prove BUNDLE
		byDigest  int // exit code of prove sha256:…
		fileSays  string
		aboutSays string
	}{
		{"v1", bundleOf(t, envelope, v1.claim(t, in1, in1+1)), 0, 0, "entry\t340\n", "about\t" + about + ", which the statement in its bundle names\n"},
		{"v2", bundleOf(t, envelope, v2.claim(t, in2, in2+1)), 0, 0, "log\tv2.example\nentry\t300\n", "about\t" + about},
		{"both in one", bundleOf(t, envelope, v1.claim(t, in1, in1+1), v2.claim(t, in2, in2+1)), 0, 0, "log\tv2.example\n", "log\tv2.example\n"},
		{"statement about something else", bundleOf(t, otherEnvelope, v1.claim(t, otherIn1, whole)), 0, 1, "entry\t341\n", "a statement about something else"},
		{"entry of another statement", bundleOf(t, envelope, v1.claim(t, otherIn1, whole)), 0, 1, "entry\t341\n", "the log entry of another statement"},
		{"no entry", bundleOf(t, envelope), 1, 1, "has 0 log entries", "has 0 log entries"},
		{"index of another entry", bundleOf(t, envelope, with(v1.claim(t, in1, in1+1), func(p map[string]any) { p["logIndex"] = "0" })), 1, 1, "the bundle's entry is", "the bundle's entry is"},
		{"negative index", bundleOf(t, envelope, with(v1.claim(t, in1, in1+1), func(p map[string]any) { p["logIndex"] = "-1" })), 1, 1, "no index -1", "no index -1"},
		{"a stranger's log", bundleOf(t, envelope, stranger.claim(t, 0, 1)), 1, 1, "not in the trusted root", "not in the trusted root"},
		{"another history", bundleOf(t, envelope, with(v1.claim(t, in1, in1+1), func(p map[string]any) {
			p["checkpoint"] = map[string]any{"envelope": string(fork.checkpoint(t, whole))}
		})), 1, 1, "is forked", "is forked"},
		{"checkpoint of the other log", bundleOf(t, envelope, with(v1.claim(t, in1, in1+1), func(p map[string]any) {
			p["checkpoint"] = map[string]any{"envelope": string(v2.checkpoint(t, 1))}
		})), 1, 1, `the bundle has a checkpoint of "v2.example"`, "the bundle has a checkpoint of"},
		{"checkpoint of the future", bundleOf(t, envelope, with(v1.claim(t, in1, in1+1), func(p map[string]any) {
			longer := *fork
			longer.add(t, []byte("one more"))
			p["checkpoint"] = map[string]any{"envelope": string(longer.checkpoint(t, longer.Size))}
		})), 1, 1, "the service shows", "the service shows"},
		{"a changed checkpoint", bundleOf(t, envelope, with(v1.claim(t, in1, in1+1), func(p map[string]any) {
			p["checkpoint"] = map[string]any{"envelope": strings.Replace(string(v1.checkpoint(t, whole)), "\n302\n", "\n301\n", 1)}
		})), 1, 1, "checkpoint", "checkpoint"},
	} {
		s := newTestService(t, v1, v2)
		s.bundles[about] = []json.RawMessage{tc.bundle}
		path := filepath.Join(t.TempDir(), "bundle.json")
		if err := os.WriteFile(path, tc.bundle, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, run := range []struct {
			what, says string
			code       int
		}{{path, tc.fileSays, tc.byFile}, {about, tc.aboutSays, tc.byDigest}} {
			code, stdout, stderr := s.run("prove", run.what)
			if code != run.code || !strings.Contains(stdout+stderr, run.says) || (code != 0) != (stdout == "") {
				t.Errorf("%s, %s: exit code %d, want %d and %q\nstdout: %s\nstderr: %s", tc.name, filepath.Base(run.what), code, run.code, run.says, stdout, stderr)
			}
		}
	}
}
