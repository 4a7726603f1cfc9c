// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/internal/program"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/signer"
)

// evidenceFlags are the documents that come with a sign request.
type evidenceFlags struct {
	files  map[attest.EvidenceKind]*[]string
	extras extras
	dryRun bool
	auto   sbomMaker
}

// evidenceKinds are the flags, in the order in which documents are sent: VEX
// and SBOM say nothing that a later one changes.
var evidenceKinds = []struct {
	kind attest.EvidenceKind
	help string
}{
	{attest.EvidenceSBOM, "SBOM `file` (SPDX, CycloneDX, syft), or auto to have it made with syft; may be repeated"},
	{attest.EvidenceScan, "scan report `file` (Trivy, Grype, SARIF, Clair, Snyk, GitLab, in-toto vulns, …); may be repeated"},
	{attest.EvidenceVEX, "VEX `file` (OpenVEX, CycloneDX); may be repeated"},
	{attest.EvidenceCheck, "lint, configuration, secrets, license or code report `file` (hadolint, dockle, kube-bench, gitleaks, SARIF, …); may be repeated"},
	{attest.EvidenceTest, "test result `file` (JUnit XML, in-toto test-result); may be repeated"},
}

// addEvidenceFlags adds the flags of a request that signs.
func addEvidenceFlags(cmd *cobra.Command) *evidenceFlags {
	f := addDocumentFlags(cmd)
	f.extras.addClaims(cmd)
	cmd.Flags().StringVar(&f.extras.kind, "type", "", "kind or format of the files of --evidence, such as check or sarif (default: whatever they are)")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "say what would be decided, and why; sign and attest nothing")
	return f
}

// addDocumentFlags adds those of any request with documents.
func addDocumentFlags(cmd *cobra.Command) *evidenceFlags {
	f := &evidenceFlags{files: map[attest.EvidenceKind]*[]string{}}
	for _, k := range evidenceKinds {
		f.files[k.kind] = cmd.Flags().StringArray(string(k.kind), nil, k.help)
	}
	f.extras.add(cmd)
	return f
}

// body encodes a sign request. Documents go in byte for byte: see requestBody.
func (f *evidenceFlags) body(env environment, image string, documents []evidenceFile) ([]byte, error) {
	dependencies, byproducts, err := f.extras.claims()
	if err != nil {
		return nil, err
	}
	head, err := json.Marshal(struct {
		Image        string     `json:"image"`
		DryRun       bool       `json:"dryRun,omitempty"`
		Platform     string     `json:"platform,omitempty"`
		Dependencies []resource `json:"dependencies,omitempty"`
		Byproducts   []resource `json:"byproducts,omitempty"`
	}{image, f.dryRun, f.extras.platform, dependencies, byproducts})
	if err != nil || len(documents) == 0 {
		return head, err
	}
	var body bytes.Buffer
	body.Write(head[:len(head)-1])
	body.WriteString(`,"evidence":[`)
	for i, d := range documents {
		if i > 0 {
			body.WriteByte(',')
		}
		if err := d.encode(env, &body); err != nil {
			return nil, err
		}
	}
	body.WriteString("]}")
	return body.Bytes(), nil
}

// encode writes one object for a document.
func (d evidenceFile) encode(env environment, body *bytes.Buffer) error {
	raw := d.content
	if raw == nil {
		var err error
		if raw, err = readBounded(env, d.path, attest.MaxEvidenceBytes); err != nil {
			return err
		}
	}
	document, err := d.asMember(raw)
	if err != nil {
		return err
	}
	members := map[string]string{"name": d.name}
	if d.platform != "" {
		members["platform"] = d.platform
	}
	if d.kind != "" {
		members["kind"] = d.kind
	}
	head, err := json.Marshal(members)
	if err != nil {
		return err
	}
	body.Write(head[:len(head)-1])
	body.WriteString(`,"document":`)
	body.Write(document)
	body.WriteByte('}')
	return nil
}

func nameOf(path string) string {
	if path == "-" {
		return "standard input"
	}
	return filepath.Base(path)
}

// errNoText says that a document cannot go into JSON byte for byte.
var errNoText = errors.New("not a text in UTF-8")

// asMember returns a document as it goes into the request: JSON as it is, and as
// a text what is no JSON or has white space around it, which no member keeps: the
// last newline belongs to the file, and to its digest. What it says is for the
// service to judge; that it can be read at all is said here, where the file is.
func (d evidenceFile) asMember(raw []byte) ([]byte, error) {
	if _, err := attest.ReadDocumentAs(d.kind, d.name, raw); err != nil {
		return nil, usage("%w", asWhat(err, d.kind, d.name, raw))
	}
	switch {
	case !utf8.Valid(raw):
		return nil, errNoText
	case json.Valid(raw) && len(bytes.Trim(raw, " \t\r\n")) == len(raw):
		return raw, nil
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	err := enc.Encode(string(raw))
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), err
}

// dryRun asks the service for the decision.
func (f *signFlags) dryRun(cmd *cobra.Command, env environment, body []byte) error {
	var x signer.Explanation
	if err := f.call(cmd, env, "/hallmark/v1/sign", body, &x); err != nil {
		return err
	}
	return explain(env, *f.output, x, x)
}

// explain prints a decision that was not carried out, as v or in words. What
// would be refused is "no".
func explain(env environment, format string, x signer.Explanation, v any) error {
	return explainWith(env, format, x, v, func(w io.Writer) { printExplanation(w, x, "signed") })
}

func explainWith(env environment, format string, x signer.Explanation, v any, text func(io.Writer)) error {
	if err := program.Print(format, env.stdout, v, text); err != nil {
		return err
	}
	if !x.Allowed {
		return no("%s would be refused:%s", x.Image, indented(x.Reasons))
	}
	return nil
}

// done is what would be done with what is allowed: signed, attested.
func printExplanation(w io.Writer, x signer.Explanation, done string) {
	verdict := "would be refused"
	if x.Allowed {
		verdict = "would be " + done
	}
	_, _ = fmt.Fprintf(w, "%s\t%s\n", verdict, x.Image)
	_, _ = fmt.Fprintf(w, "identity\t%s\n", x.Identity)
	if x.Rule != "" {
		_, _ = fmt.Fprintf(w, "granted by\t%s\n", x.Rule)
	}
	_, _ = fmt.Fprintf(w, "policy\t%s\n", x.PolicyDigest)
	printDocuments(w, "would attest", x.Documents)
	checks, others := ofThisSource(x.Checks)
	for _, c := range checks {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", passed(c), c.Rule, c.Name, oneLine(c.Detail))
	}
	if len(others) > 0 {
		_, _ = fmt.Fprintf(w, "not for this identity source\t%s\n", strings.Join(others, ", "))
	}
}

// ofThisSource leaves the checks of rules out that are for other identity sources,
// unless all are: they say nothing that whoever asks could change. JSON has all.
func ofThisSource(checks []policy.Check) (mine []policy.Check, others []string) {
	for _, c := range checks {
		if c.Name == "identity" && !c.Passed && !slices.Contains(others, c.Rule) {
			others = append(others, c.Rule)
		}
	}
	for _, c := range checks {
		if !slices.Contains(others, c.Rule) {
			mine = append(mine, c)
		}
	}
	if len(mine) == 0 {
		return checks, nil
	}
	return mine, others
}

// checkLines says checks to a person. Details that the reasons have said are not said twice.
func checkLines(checks []policy.Check, reasons []string) []string {
	var lines []string
	for _, c := range checks {
		detail := c.Detail
		if !c.Passed && slices.ContainsFunc(reasons, func(r string) bool {
			return detail != "" && strings.HasSuffix(r, ": "+detail) && strings.Contains(r, c.Name)
		}) {
			detail = "see above"
		}
		lines = append(lines, strings.TrimSuffix(passed(c)+" "+c.Name+": "+detail, ": "))
	}
	return lines
}

func passed(c policy.Check) string {
	if c.Passed {
		return "passed"
	}
	return "failed"
}
