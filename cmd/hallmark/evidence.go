// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/signer"
)

// evidenceFlags are the documents that come with a sign request.
type evidenceFlags struct {
	files  map[attest.EvidenceKind]*[]string
	dryRun bool
}

// evidenceKinds are the flags, in the order in which documents are sent: VEX
// and SBOM say nothing that a later one changes.
var evidenceKinds = []struct {
	kind attest.EvidenceKind
	help string
}{
	{attest.EvidenceSBOM, "SBOM `file` (SPDX or CycloneDX JSON) to attest first; may be repeated"},
	{attest.EvidenceScan, "scan report `file` (Trivy or Grype JSON, in-toto vulns) to attest first; may be repeated"},
	{attest.EvidenceVEX, "OpenVEX `file` to attest first; may be repeated"},
	{attest.EvidenceTest, "test result `file` (JUnit XML, in-toto test-result) to attest first; may be repeated"},
}

func addEvidenceFlags(cmd *cobra.Command) *evidenceFlags {
	f := &evidenceFlags{files: map[attest.EvidenceKind]*[]string{}}
	for _, k := range evidenceKinds {
		f.files[k.kind] = cmd.Flags().StringArray(string(k.kind), nil, k.help)
	}
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "say what would be decided, and why; sign and attest nothing")
	return f
}

// body encodes a sign request. Documents go in byte for byte: see requestBody.
func (f *evidenceFlags) body(env environment, image, token string) ([]byte, error) {
	head, err := json.Marshal(struct {
		Image  string `json:"image"`
		DryRun bool   `json:"dryRun,omitempty"`
	}{image, f.dryRun})
	if err != nil {
		return nil, err
	}
	documents, err := f.documents(env, token == "-")
	if err != nil {
		return nil, err
	}
	if len(documents) == 0 {
		return head, nil
	}
	var body bytes.Buffer
	body.Write(head[:len(head)-1])
	body.WriteString(`,"evidence":[`)
	body.Write(bytes.Join(documents, []byte(",")))
	body.WriteString("]}")
	if body.Len() > maxPredicate {
		return nil, usage("the documents have %d bytes, at most %d go with one request (hint: hallmark attest them one by one)", body.Len(), maxPredicate)
	}
	return body.Bytes(), nil
}

// documents encodes one object for each file.
func (f *evidenceFlags) documents(env environment, stdinTaken bool) ([][]byte, error) {
	var all [][]byte
	for _, k := range evidenceKinds {
		for _, path := range *f.files[k.kind] {
			if path == "-" && stdinTaken {
				return nil, usage("stdin can hold one thing: the token or one document")
			}
			stdinTaken = stdinTaken || path == "-"
			document, err := readEvidence(env, path)
			if err != nil {
				return nil, err
			}
			head, err := json.Marshal(map[string]string{"name": nameOf(path), "kind": string(k.kind)})
			if err != nil {
				return nil, err
			}
			all = append(all, slices.Concat(head[:len(head)-1], []byte(`,"document":`), document, []byte("}")))
		}
	}
	return all, nil
}

func nameOf(path string) string {
	if path == "-" {
		return "standard input"
	}
	return filepath.Base(path)
}

// readEvidence returns a document as it goes into the request: JSON as it is,
// another format as a text. What it says is for the service to judge; that it
// can be read at all is said here, where the file is.
func readEvidence(env environment, path string) ([]byte, error) {
	raw, err := readBounded(env, path, attest.MaxEvidenceBytes)
	if err != nil {
		return nil, err
	}
	if _, err := attest.ReadDocument(nameOf(path), raw); err != nil {
		return nil, usage("%w", err)
	}
	if json.Valid(raw) {
		return raw, nil
	}
	return json.Marshal(string(raw))
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
	if err := printAs(format, env.stdout, v, func(w io.Writer) { printExplanation(w, x) }); err != nil {
		return err
	}
	if !x.Allowed {
		return no("%s would be refused:%s", x.Image, indented(x.Reasons))
	}
	return nil
}

func printExplanation(w io.Writer, x signer.Explanation) {
	verdict := "would be refused"
	if x.Allowed {
		verdict = "would be signed"
	}
	_, _ = fmt.Fprintf(w, "%s\t%s\n", verdict, x.Image)
	_, _ = fmt.Fprintf(w, "identity\t%s\n", x.Identity)
	if x.Rule != "" {
		_, _ = fmt.Fprintf(w, "granted by\t%s\n", x.Rule)
	}
	_, _ = fmt.Fprintf(w, "policy\t%s\n", x.PolicyDigest)
	for _, c := range x.Checks {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", passed(c), c.Rule, c.Name, oneLine(c.Detail))
	}
}

// checkLines says checks to a person.
func checkLines(checks []policy.Check) []string {
	var lines []string
	for _, c := range checks {
		lines = append(lines, strings.TrimSuffix(passed(c)+" "+c.Name+": "+c.Detail, ": "))
	}
	return lines
}

func passed(c policy.Check) string {
	if c.Passed {
		return "passed"
	}
	return "failed"
}
