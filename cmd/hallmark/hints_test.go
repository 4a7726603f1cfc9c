// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func writeTemp(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestHints: what people mistake is said with what they gave, and where to look.
func TestHints(t *testing.T) {
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"keys": [{"name": "release", "use": "signatures", "hint": "x", "state": "active"}]}`))
	}))
	defer keys.Close()
	hint := base64.StdEncoding.EncodeToString(make([]byte, 32))
	const publicGood = "../../verifier/testdata/public-good/trusted_root.json"
	junit := writeTemp(t, "junit.xml", "<testsuite/>")
	identity := []string{"--certificate-identity", "a", "--certificate-oidc-issuer", "b"}
	verify := func(args ...string) []string {
		return append(append([]string{"verify", "127.0.0.1:1/a/b:1"}, args...), identity...)
	}
	for name, tc := range map[string]struct {
		args []string
		env  map[string]string
		code int
		says string
	}{
		"no server":        {[]string{"keys", "list"}, map[string]string{"HALLMARK_URL": gone.URL}, exitUndecided, "connection refused (hint: is it running, and is HALLMARK_URL or --server right?)"},
		"no registry":      {verify("--trusted-root", publicGood), nil, exitUndecided, "connection refused (hint: is the registry running, and is the image's name right?)"},
		"nobody looked":    {verify("--trusted-root", publicGood), nil, exitUndecided, "revocations were not looked at: --trusted-root knows none (hint: --tuf-url instead of it, or --revocations FILE)"},
		"nor by variable":  {verify(), map[string]string{"TRUSTED_ROOT": publicGood, "TUF_URL": other.URL}, exitUndecided, "revocations were not looked at: --trusted-root knows none (hint: unset TRUSTED_ROOT, or --tuf-url)"},
		"another server":   {[]string{"keys", "list", "--server", other.URL}, nil, exitUndecided, other.URL + "/hallmark/v1/keys answered 404 Not Found (hint: is --server"},
		"a key's name":     {[]string{"keys", "public", "relase", "--server", keys.URL}, nil, exitNo, `no key "relase" for signatures (hint: it has release)`},
		"no next key":      {[]string{"keys", "public", "release", "--next", "--server", keys.URL}, nil, exitNo, "release has no next key for signatures"},
		"another hint":     {[]string{"keys", "public", "release", "--hint", hint, "--server", keys.URL}, nil, exitNo, "release has no key for signatures with this hint"},
		"no such kind":     {[]string{"keys", "public", "release", "--attestations", "--server", keys.URL}, nil, exitNo, "no key for attestations"},
		"revoked key":      {[]string{"revoke", "list", "--key", "foo", "--server", keys.URL}, nil, exitUsage, "or the hint of a bundle"},
		"revoke digets":    {[]string{"revoke", "digets", "--dir", "x"}, nil, exitUsage, `unknown command "digets"`},
		"fingerprint":      {[]string{"chart", "keyring", "--key", "ABCD", "--server", other.URL}, nil, exitUsage, "--key: want 40 hex digits"},
		"in groups of gpg": {[]string{"chart", "keyring", "--key", "1561 394B 1561 394B 1561  394B 1561 394B 1561 394b", "--server", other.URL}, nil, exitUndecided, "/charts/keyring answered 404"},
		"root of XML":      {verify("--trusted-root", junit), nil, exitUsage, "junit.xml: invalid trusted root: it is not JSON (hint: "},
		"TUF root of XML":  {verify("--tuf-url", other.URL, "--tuf-root", junit), nil, exitUsage, "junit.xml is not the root.json of a trust repository"},
		"an age":           {verify("--revocations-max-age", "1x"), nil, exitUsage, "want a duration such as 24h or 7d"},
		"days are an age":  {verify("--revocations-max-age", "1d"), nil, exitUsage, "whom to trust?"},
		"search for less":  {[]string{"log", "search", "foo"}, nil, exitUsage, "(hint: sha256: (or sha1:"},
	} {
		code, said := runWith(t.Context(), t, tc.env, tc.args...)
		if code != tc.code || !strings.Contains(said, tc.says) || strings.Contains(said, "\u00a0") {
			t.Errorf("%s: exit %d: %s", name, code, said)
		}
	}
}

// TestNothingFound: the hint is about the terms.
func TestNothingFound(t *testing.T) {
	for term, says := range map[string]string{
		"image:acme/app":                    "names the registry, too, such as image:registry.example/acme/app",
		"image:registry.example/acme/app":   "without tag",
		"identity:https://github.com/a/*":   "* stands for nothing else",
		"sha256:" + strings.Repeat("0", 64): "that of the manifest",
		strings.Repeat("0", 64):             "that of the manifest",
		"repository:https://github.com/a/b": "as certificates have them",
		"ci@example.com":                    "as certificates have them",
	} {
		if hint := nothingFound([]string{term}); !strings.Contains(hint, says) {
			t.Errorf("%s: %s", term, hint)
		}
	}
}

func TestAge(t *testing.T) {
	for text, want := range map[string]time.Duration{"7d": 7 * 24 * time.Hour, "36h": 36 * time.Hour, "0": 0} {
		var age ageValue
		if err := age.Set(text); err != nil || time.Duration(age) != want {
			t.Errorf("%s: %s, %v", text, time.Duration(age), err)
		}
	}
	for _, text := range []string{"-1h", "-1d", "d", "1dd", "", "99999999d"} {
		if err := new(ageValue).Set(text); err == nil {
			t.Errorf("%q is an age", text)
		}
	}
}

// TestValuesFirst: values that cannot be read are refused by the name of their file,
// without the service.
func TestValuesFirst(t *testing.T) {
	bad := writeTemp(t, "bad.yaml", "a: [\n")
	for name, tc := range map[string]struct {
		values valueFlags
		says   string
	}{
		"set":       {valueFlags{set: []string{"foo"}}, `--set "foo": key "foo" has no value`},
		"file":      {valueFlags{files: []string{bad}}, "bad.yaml: want a YAML mapping"},
		"a list":    {valueFlags{files: []string{writeTemp(t, "list.yaml", "- a\n")}}, "list.yaml: want a YAML mapping"},
		"as helm's": {valueFlags{set: []string{"a.b[0]=c,d=e"}}, ""},
	} {
		_, err := tc.values.body(environment{stdin: strings.NewReader("")}, "r.example/c")
		if (err == nil) != (tc.says == "") || err != nil && !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestInspectSaysTheGate: what a gate would not look at is not held for or against.
func TestInspectSaysTheGate(t *testing.T) {
	digest := "sha256:" + strings.Repeat("a", 64)
	envelope := `{"payloadType": "application/vnd.in-toto+json", "signatures": [{"sig": "eA=="}], "payload": "` +
		base64.StdEncoding.EncodeToString([]byte(`{"_type": "https://in-toto.io/Statement/v1", "subject": [], "predicateType": "https://cyclonedx.org/bom", "predicate": {"bomFormat": "CycloneDX", "specVersion": "1.4", "components": [{"name": "a", "type": "library"}]}}`)) + `"}`
	for name, tc := range map[string]struct {
		file, content string
		args          []string
		says, not     string
	}{
		"syft's version": {"syft.json", `{"bomFormat": "CycloneDX", "specVersion": "1.4", "metadata": {"tools": [{"name": "syft"}], "component": {"type": "container", "name": "a", "version": "` + digest + `"}}, "components": [{"name": "a", "type": "library"}]}`, nil,
			"digest named\t" + digest, "about " + digest + " only"},
		"an envelope": {"e.json", envelope, nil, "gate\tcannot be handed in like this: it is a DSSE envelope of https://cyclonedx.org/bom; hand in the document inside it", ""},
		"a VEX of its author's names": {"v.json", `{"bomFormat": "CycloneDX", "specVersion": "1.4", "vulnerabilities": [
			{"id": "CVE-1", "analysis": {"state": "not_affected", "justification": "code_not_present"}, "affects": [{"ref": "product-1"}]}, {"id": "CVE-2", "analysis": {"state": "exploitable"}, "affects": [{"ref": "product-1"}]}]}`, nil,
			"gate\tVEX statements: 1 of 2; 1 of not_affected or fixed excuses nothing", ""},
		"a tag-value SBOM": {"a.spdx", "SPDXVersion: SPDX-2.3\nDataLicense: CC0-1.0\nSPDXID: SPDXRef-DOCUMENT\nDocumentName: a\nPackageName: b\nSPDXID: SPDXRef-b\n", nil,
			"attested as\thttps://hallmark.dev/attestation/sbom-reference/v1\npolicy asked for\thttps://spdx.dev/Document", ""},
		"a large SBOM": {"l.json", `{"spdxVersion": "SPDX-2.3", "comment": "` + strings.Repeat("x", 5<<20) + `", "packages": [{"name": "a", "SPDXID": "SPDXRef-a"}]}`, nil,
			"attested as\thttps://hallmark.dev/attestation/sbom-reference/v1\npolicy asked for\thttps://spdx.dev/Document", ""},
		"VEX as an SBOM": {"v.json", `{"bomFormat": "CycloneDX", "specVersion": "1.4", "vulnerabilities": [{"id": "CVE-1", "analysis": {"state": "exploitable"}, "affects": [{"ref": "p"}]}]}`, []string{"--type", "sbom"}, "is VEX (hint: --vex", "missing"},
		"skipped tests":  {"j.xml", `<testsuite tests="1" skipped="1"><testcase name="x"><skipped/></testcase></testsuite>`, nil, "tests FAILED: no test passed", ""},
		"a line":         {"b.json", "{\n \"a\": [1,\n x]}", nil, "$.a[1] (line 3, byte", ""},
		"its beginning":  {"b.json", "{", nil, "b.json: $ (line 1, byte 1)", `[""]`},
	} {
		_, words, complaints := runInspect(t, append(tc.args, writeTemp(t, tc.file, tc.content))...)
		if all := words + complaints; !strings.Contains(all, tc.says) || tc.not != "" && strings.Contains(all, tc.not) {
			t.Errorf("%s: %s", name, all)
		}
	}
}
