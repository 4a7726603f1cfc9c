// SPDX-License-Identifier: Apache-2.0

package attest_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/attest"
)

func statementOf(predicateType, predicate string) string {
	return fmt.Sprintf(`{"_type": "https://in-toto.io/Statement/v0.1", "subject": [{"name": "app", "digest": {"sha256": %q}}], "predicateType": %q, "predicate": %s}`, aa, predicateType, predicate)
}

func envelopeOf(statement string, encoding *base64.Encoding) string {
	return fmt.Sprintf(`{"payloadType": "application/vnd.in-toto+json", "payload": %q, "signatures": [{"sig": "eA=="}]}`, encoding.EncodeToString([]byte(statement)))
}

func TestOpenEnvelopes(t *testing.T) {
	st := statementOf("https://spdx.dev/Document", spdxDocument)
	env := envelopeOf(st, base64.StdEncoding)
	bundle := `{"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "verificationMaterial": {}, "dsseEnvelope": ` + env + `}`
	for name, tc := range map[string]struct {
		file, in string
		n        int
	}{
		"statement": {st, "statement", 1}, "envelope": {env, "dsse envelope", 1}, "url-safe": {envelopeOf(st, base64.URLEncoding), "dsse envelope", 1},
		"pretty": {strings.ReplaceAll(env, `, `, ",\n  "), "dsse envelope", 1}, "lines": {env + "\n" + env + "\n", "dsse envelope", 2}, "bundle": {bundle, "bundle", 1},
	} {
		all, err := attest.OpenEnvelopes([]byte(tc.file))
		if err != nil || len(all) != tc.n {
			t.Errorf("%s: %d, %v", name, len(all), err)
			continue
		}
		c := all[len(all)-1]
		ev, err := c.Read()
		if err != nil || c.In != tc.in || c.Problem != "" || c.Count != 1 || c.Subjects[0].Digests["sha256"] != aa || ev.SBOM == nil || ev.SBOM.Packages != 2 {
			t.Errorf("%s: %+v, %+v, %v", name, c, ev, err)
		}
	}
	for _, file := range []string{trivyReport, spdxDocument, "[]", "", "x", `{"a": `, junitFile} { // others say what is wrong with these
		if all, err := attest.OpenEnvelopes([]byte(file)); all != nil || err != nil {
			t.Errorf("%.20s: %v, %v", file, all, err)
		}
	}
	for name, tc := range map[string]struct{ file, says string }{
		"another payload":   {strings.Replace(env, "vnd.in-toto", "vnd.other", 1), "$.payloadType: "},
		"no base64":         {strings.Replace(env, `"payload": "`, `"payload": "?`, 1), "$.payload: want base64"},
		"payload twice":     {envelopeOf(`{"_type": "a", "_type": "b"}`, base64.StdEncoding), `member "_type" appears twice`},
		"payload truncated": {envelopeOf(st[:50], base64.StdEncoding), "unexpected end"},
		"no statement":      {envelopeOf(`{"a": 1}`, base64.StdEncoding), `$._type: "", want https://in-toto.io/Statement/v1`},
		"no predicate":      {envelopeOf(`{"_type": "https://in-toto.io/Statement/v1"}`, base64.StdEncoding), "$.predicate: missing"},
		"message bundle":    {`{"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "messageSignature": {}}`, "$.dsseEnvelope: missing"},
		"rubbish behind":    {env + "\n]", "data after the document"},
		"another behind":    {env + "\n{}", "neither a statement nor an envelope nor a bundle"},
		"too many":          {strings.Repeat(env+"\n", 65), "more than 64 envelopes"},
	} {
		if _, err := attest.OpenEnvelopes([]byte(tc.file)); !errors.Is(err, attest.ErrEvidence) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v, want %s", name, err, tc.says)
		}
	}
	// What no verifier would take is shown, with the reason.
	all, err := attest.OpenEnvelopes([]byte(strings.Replace(st, `"digest": {"sha256": "`+aa+`"}`, `"uri": "pkg:npm/a"`, 1)))
	if err != nil || !strings.Contains(all[0].Problem, "digest") || all[0].Subjects[0].Name != "app" {
		t.Errorf("%+v, %v", all, err)
	}
	// SLSA provenance of before 1.0 is shown, and is no evidence.
	all, err = attest.OpenEnvelopes([]byte(statementOf("https://slsa.dev/provenance/v0.2", `{"builder": {"id": "b"}, "buildType": null, "materials": [{"uri": "git+x", "digest": {"sha1": "c"}}]}`)))
	if err != nil {
		t.Fatal(err)
	}
	if ev, err := all[0].Read(); err != nil || *ev.Provenance != (attest.Provenance{BuilderID: "b", Source: "git+x", Commit: "c"}) || attest.IsEvidence(all[0].PredicateType) {
		t.Errorf("%+v, %v", ev, err)
	}
}

// FuzzOpenEnvelopes: what is carried reads the same on its own.
func FuzzOpenEnvelopes(f *testing.F) {
	st := statementOf("https://spdx.dev/Document", spdxDocument)
	f.Add([]byte(st))
	f.Add([]byte(envelopeOf(st, base64.StdEncoding)))
	f.Add([]byte(`{"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "dsseEnvelope": ` + envelopeOf(st, base64.URLEncoding) + `}`))
	f.Fuzz(func(t *testing.T, file []byte) {
		all, err := attest.OpenEnvelopes(file)
		if err != nil && !errors.Is(err, attest.ErrEvidence) {
			t.Fatalf("untyped error %v", err)
		}
		for _, c := range all {
			if len(c.Subjects) > attest.MaxSubjects || c.Count < len(c.Subjects) {
				t.Fatalf("%d of %d subjects", len(c.Subjects), c.Count)
			}
			ev, err := c.Read()
			if err != nil && !errors.Is(err, attest.ErrEvidence) {
				t.Fatalf("untyped error %v", err)
			}
			if again, errAgain := attest.ReadEvidence(c.PredicateType, c.Predicate); err == nil && attest.IsEvidence(c.PredicateType) && (errAgain != nil || again.Kind != ev.Kind) {
				t.Fatalf("%s, and on its own %s, %v", ev.Kind, again.Kind, errAgain)
			}
		}
	})
}
