// SPDX-License-Identifier: Apache-2.0

package rekor

import (
	"crypto/sha256"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/e2e/stock"
	"github.com/hallmark-dev/hallmark/internal/lab"
)

// rekorClient is somebody with stock rekor-cli, who keeps its state at home.
type rekorClient struct {
	url, home string
}

func newRekorClient(t *testing.T, l *lab.Lab) rekorClient {
	t.Helper()
	return rekorClient{url: l.URL, home: t.TempDir()}
}

func (c rekorClient) run(t *testing.T, args ...string) stock.Result {
	t.Helper()
	cmd := stock.Command{Tool: "rekor-cli", Env: []string{"HOME=" + c.home}}
	return cmd.Run(t, append(args, "--rekor_server", c.url, "--retry", "0")...)
}

// must runs a command that has to succeed.
func (c rekorClient) must(t *testing.T, args ...string) string {
	t.Helper()
	r := c.run(t, args...)
	if r.Code != 0 {
		t.Fatalf("rekor-cli %s: exit code %d: %s%s", strings.Join(args, " "), r.Code, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// created is what rekor-cli says of an upload.
var created = regexp.MustCompile(`Created entry at index (\d+), available at: \S+/api/v1/log/entries/([0-9a-f]{80})\n`)

// upload uploads and returns the entry's global index and id.
func (c rekorClient) upload(t *testing.T, args ...string) (index, id string) {
	t.Helper()
	out := c.must(t, append([]string{"upload"}, args...)...)
	m := created.FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("rekor-cli upload %s said %s", strings.Join(args, " "), out)
	}
	return m[1], m[2]
}

// kinds are uploads of everything that rekor-cli makes entries of without
// special tools.
func (a *author) kinds(t *testing.T, l *lab.Lab) map[string][]string {
	t.Helper()
	artifact := []byte("an artifact of " + t.Name())
	file, signature := a.file(t, "artifact", artifact), a.file(t, "artifact.sig", a.sign(t, artifact))
	certificate := a.file(t, "cert.pem", a.certificate(t, "Author@Example.com"))
	envelope := a.file(t, "envelope.json", a.envelope(t, artifact))
	token := a.file(t, "token.tsr", stamp(t, l, artifact))
	detached := []string{"--artifact", file, "--signature", signature, "--public-key"}
	return map[string][]string{
		"hashedrekord":                  append(detached, a.path("key.pub")),
		"hashedrekord by a certificate": append(detached, certificate),
		"rekord":                        append(detached, a.path("key.pub"), "--type", "rekord"),
		"dsse":                          {"--type", "dsse", "--artifact", envelope, "--public-key", a.path("key.pub")},
		"intoto":                        {"--type", "intoto", "--artifact", envelope, "--public-key", a.path("key.pub")},
		"intoto 0.0.1":                  {"--type", "intoto:0.0.1", "--artifact", envelope, "--public-key", a.path("key.pub")},
		"rfc3161":                       {"--type", "rfc3161", "--artifact", token},
	}
}

// rekorCLI uploads entries of every kind, gets, verifies and searches them, and
// watches the log grow.
func rekorCLI(t *testing.T, l *lab.Lab) {
	a, c := newAuthor(t), newRekorClient(t, l)
	if out := c.must(t, "loginfo"); !strings.Contains(out, "Verification Successful!") {
		t.Errorf("loginfo of a young log said %s", out)
	}
	ids := map[string]string{}
	for kind, args := range a.kinds(t, l) {
		index, id := c.upload(t, args...)
		ids[kind] = id
		if again, same := c.upload(t, args...); kind != "rfc3161" && (again != index || same != id) {
			t.Errorf("%s: sent again, index %s became %s and %s became %s", kind, index, again, id, same)
		}
		byUUID := c.must(t, "get", "--uuid", id, "--format", "json")
		if byIndex := c.must(t, "get", "--log-index", index, "--format", "json"); byIndex != byUUID || !strings.Contains(byUUID, id) {
			t.Errorf("%s: by UUID\n%s\nby index\n%s", kind, byUUID, byIndex)
		}
		if short := c.must(t, "get", "--uuid", id[16:], "--format", "json"); short != byUUID {
			t.Errorf("%s: by UUID without a tree id: %s", kind, short)
		}
		verify := append([]string{"verify"}, args...)
		if kind == "intoto" {
			// rekor-cli 1.5.4 puts such an entry into an object that its API
			// does not have, and Rekor refuses that.
			verify = []string{"verify", "--uuid", id}
		}
		if out := c.must(t, verify...); !strings.Contains(out, "Entry Hash: "+id[16:]) {
			t.Errorf("%s: verify said %s", kind, out)
		}
		hallmark(t, l, 0, "entry id\t"+id, "log", "get", index)
		hallmark(t, l, 0, "entry\t"+index+"\n", "log", "get", id)
	}
	rekorSearch(t, a, c, ids)
	if out := c.must(t, "loginfo"); !strings.Contains(out, "Verification Successful!") {
		t.Errorf("loginfo of the grown log said %s", out)
	}
	if out := c.must(t, "logproof", "--first-size", "2", "--last-size", "5"); !strings.Contains(out, "Current Root Hash") {
		t.Errorf("logproof said %s", out)
	}

	// What is not so.
	other := a.file(t, "other", []byte("another artifact"))
	for _, args := range [][]string{
		{"verify", "--artifact", other, "--signature", a.path("artifact.sig"), "--public-key", a.path("key.pub")},
		{"upload", "--artifact", other, "--signature", a.path("artifact.sig"), "--public-key", a.path("key.pub"), "--type", "rekord"},
		{"get", "--uuid", strings.Repeat("0", 64)},
		{"get", "--log-index", "999999999"},
		{"logproof", "--first-size", "1", "--last-size", "999999999"},
	} {
		if r := c.run(t, args...); r.Code == 0 {
			t.Errorf("rekor-cli %s: accepted: %s", strings.Join(args, " "), r.Stdout)
		}
	}
}

func rekorSearch(t *testing.T, a *author, c rekorClient, ids map[string]string) {
	t.Helper()
	sum := sha256.Sum256([]byte("an artifact of " + t.Name()))
	byFile := []string{ids["hashedrekord"], ids["hashedrekord by a certificate"], ids["rekord"], ids["dsse"], ids["intoto"], ids["intoto 0.0.1"]}
	for _, tc := range []struct {
		args        []string
		with, never []string
	}{
		{[]string{"--sha", fmt.Sprintf("%x", sum)}, byFile, nil},
		{[]string{"--sha", fmt.Sprintf("sha256:%x", sum)}, byFile, nil},
		{[]string{"--artifact", a.path("artifact")}, byFile, nil},
		{[]string{"--email", "author@example.com"}, []string{ids["hashedrekord by a certificate"]}, []string{ids["hashedrekord"]}},
		{[]string{"--public-key", a.path("key.pub")}, []string{ids["hashedrekord"], ids["rekord"], ids["dsse"]}, nil},
		{[]string{"--subject", "AUTHOR@example.com"}, []string{ids["hashedrekord by a certificate"]}, []string{ids["dsse"]}},
		{[]string{"--email", "author@example.com", "--public-key", a.path("key.pub"), "--operator", "or"}, byFile[:2], nil},
		{[]string{"--email", "author@example.com", "--sha", fmt.Sprintf("%x", sum), "--operator", "and"}, byFile[1:2], byFile[2:]},
	} {
		out := c.must(t, append([]string{"search"}, tc.args...)...)
		for _, id := range tc.with {
			if !strings.Contains(out, id) {
				t.Errorf("search %v does not find %s:\n%s", tc.args, id, out)
			}
		}
		for _, id := range tc.never {
			if strings.Contains(out, id) {
				t.Errorf("search %v finds %s:\n%s", tc.args, id, out)
			}
		}
	}
	if r := c.run(t, "search", "--sha", strings.Repeat("0", 64)); strings.Contains(r.Stdout, ids["dsse"]) || r.Code == 0 && !strings.Contains(r.Stdout+r.Stderr, "no matching") {
		t.Errorf("search for nothing: %d %s%s", r.Code, r.Stdout, r.Stderr)
	}
}
