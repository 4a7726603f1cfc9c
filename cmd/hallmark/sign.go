// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/internal/program"
	"github.com/hallmark-dev/hallmark/signer"
)

// maxPredicate bounds a predicate file, bytes: what fits no statement need not
// be sent.
const maxPredicate = attest.MaxStatementBytes

type signFlags struct {
	token, server, audience string
	output                  *string
}

func addSignFlags(cmd *cobra.Command) *signFlags {
	f := &signFlags{output: program.OutputFlag(cmd)}
	cmd.Flags().StringVar(&f.token, "token", "", "file with the CI token, or - for stdin (default: the CI's environment)")
	cmd.Flags().StringVar(&f.server, "server", "", "URL of the signing service (default: HALLMARK_URL)")
	cmd.Flags().StringVar(&f.audience, "audience", "", "audience to ask the CI's token for (default: HALLMARK_AUDIENCE, or the server's URL)")
	return f
}

func signCommand(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "sign IMAGE", Short: "Sign an artifact of the central registry", Args: oneArgument("image"),
		Long: "Ask the service for a signature over an image or Helm chart in the central registry.\n" +
			"Works in CI jobs only: the token of the job is the only credential there is.\n\n" +
			"`--sbom auto` makes the SBOM with syft, of the digest that is signed; with --platform all, one for each image of an index.\n" +
			"Evidence (--sbom, --scan, --vex, --check, --test, or --evidence for any that the service knows) is attested first and stays,\n" +
			"also if the signature is then refused. `hallmark inspect FILE` shows beforehand what a gate sees of a file.\n" +
			"With --dry-run nothing is attested or signed: the answer is the decision, exit code 0 would be signed, 1 would be refused.",
	}
	flags := addSignFlags(cmd)
	evidence := addEvidenceFlags(cmd)
	evidence.addAutoSBOM(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		image, documents, done, err := flags.documents(cmd, env, evidence, args[0])
		if err != nil {
			return err
		}
		defer done()
		if len(documents) == 0 && (evidence.extras.platform != "" || evidence.extras.kind != "") {
			return usage("--platform and --type are about documents, and there is none (hint: to sign the image of one platform, name its digest)")
		}
		if together(documents) > inJSON {
			return flags.signParts(cmd, env, evidence, image, documents)
		}
		body, err := evidence.body(env, image, documents)
		if errors.Is(err, errNoText) {
			return flags.signParts(cmd, env, evidence, image, documents)
		}
		if err != nil {
			return err
		}
		if evidence.dryRun {
			return flags.dryRun(cmd, env, body)
		}
		return flags.request(cmd, env, "/hallmark/v1/sign", body)
	}
	return cmd
}

func attestCommand(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "attest IMAGE [--type URI --predicate FILE | --sbom FILE --scan FILE ...]", Short: "Attest statements about an artifact", Args: oneArgument("image"),
		Long: "Ask the service for signed statements about an image or Helm chart, and for no signature of it:\n" +
			"about documents (--sbom, --scan, --vex, --check, --test, or --evidence for any that the service knows), all of them or none;\n" +
			"`--sbom auto` makes the SBOM with syft, of the digest that it is about;\n" +
			"or with a predicate of any type (--type, --predicate), which is embedded byte for byte.",
	}
	flags := addSignFlags(cmd)
	evidence := addDocumentFlags(cmd)
	evidence.addAutoSBOM(cmd)
	predicateType := cmd.Flags().String("type", "", "with --predicate, its type: a URI, or one of spdxjson, cyclonedx, vuln, openvex, slsaprovenance1, …; with --evidence, the kind or format of those files")
	predicate := cmd.Flags().String("predicate", "", "file with the predicate, a JSON object, or - for stdin")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		evidence.extras.kind = ""
		if *predicate == "" {
			evidence.extras.kind = *predicateType
		}
		if *predicate != "" && evidence.wantsAuto() {
			return usage("--predicate goes alone, documents go in another call")
		}
		image, documents, done, err := flags.documents(cmd, env, evidence, args[0])
		if err == nil {
			defer done()
		}
		switch {
		case err != nil:
			return err
		case len(documents) > 0 && *predicate != "":
			return usage("--predicate goes alone, documents go in another call")
		case len(documents) > 0:
			return flags.attestDocuments(cmd, env, evidence, image, documents)
		case *predicateType == "" || *predicate == "":
			return usage("documents, or --type and --predicate are compulsory (hint: %s)", cmd.UseLine())
		}
		if *predicate == "-" && flags.token == "-" {
			return usage("stdin cannot hold the token and the predicate")
		}
		raw, err := readBounded(env, *predicate, maxPredicate)
		if err != nil {
			return err
		}
		if !json.Valid(raw) {
			return usage("predicate %s is not JSON", *predicate)
		}
		members := map[string]string{"image": image, "predicateType": *predicateType}
		if evidence.extras.platform != "" {
			members["platform"] = evidence.extras.platform
		}
		body, err := requestBody(members, raw)
		if err != nil {
			return err
		}
		if evidence.extras.platform != "" {
			var got receipts
			if err := flags.call(cmd, env, "/hallmark/v1/attest", body, &got); err != nil {
				return err
			}
			return flags.printReceipts(env, got)
		}
		return flags.request(cmd, env, "/hallmark/v1/attest", body)
	}
	return cmd
}

// requestBody encodes a request. The predicate goes in byte for byte, which
// json.Marshal would not do: it compacts a json.RawMessage, and the digest of
// the signed statement would no longer be that of the file.
func requestBody(members map[string]string, predicate []byte) ([]byte, error) {
	body, err := json.Marshal(members)
	if err != nil || predicate == nil {
		return body, err
	}
	body = append(body[:len(body)-1], `,"predicate":`...)
	body = append(body, predicate...)
	return append(body, '}'), nil
}

func (f *signFlags) request(cmd *cobra.Command, env environment, path string, body []byte) error {
	var receipt signer.Receipt
	if err := f.call(cmd, env, path, body, &receipt); err != nil {
		return err
	}
	return program.Print(*f.output, env.stdout, receipt, func(w io.Writer) { printReceipt(w, receipt) })
}

// call asks the service and decodes the answer.
func (f *signFlags) call(cmd *cobra.Command, env environment, path string, body []byte, answer any) error {
	c, token, err := f.connect(cmd, env)
	if err != nil {
		return err
	}
	c.progress = uploadProgress(cmd, env)
	return c.call(cmd.Context(), path, token, body, answer)
}

// documents are those of the request, and the image as it has to name it. What
// would make the request wrong is said before an SBOM is made.
func (f *signFlags) documents(cmd *cobra.Command, env environment, evidence *evidenceFlags, image string) (name string, all []evidenceFile, done func(), err error) {
	if evidence.wantsAuto() {
		if _, err := newClient(env, f.server); err != nil {
			return "", nil, nil, err
		}
	}
	return evidence.gather(cmd, env, oci.WithoutScheme(image), f.token == "-")
}

// connect finds the service and the job's token.
func (f *signFlags) connect(cmd *cobra.Command, env environment) (*client, string, error) {
	c, err := newClient(env, f.server)
	if err != nil {
		return nil, "", err
	}
	token, err := findToken(cmd.Context(), env, f.token, f.audienceOf(env, c))
	return c, token, err
}

// signParts is a sign request with large documents.
func (f *signFlags) signParts(cmd *cobra.Command, env environment, evidence *evidenceFlags, image string, documents []evidenceFile) error {
	p, err := evidence.newParts(image, documents)
	if err != nil {
		return err
	}
	if evidence.dryRun {
		var x signer.Explanation
		if err := f.upload(cmd, env, "/hallmark/v1/sign", p, &x); err != nil {
			return err
		}
		return explain(env, *f.output, x, x)
	}
	var receipt signer.Receipt
	if err := f.upload(cmd, env, "/hallmark/v1/sign", p, &receipt); err != nil {
		return err
	}
	return program.Print(*f.output, env.stdout, receipt, func(w io.Writer) { printReceipt(w, receipt) })
}

// audienceOf is what a token has to be for.
func (f *signFlags) audienceOf(env environment, c *client) string {
	for _, audience := range []string{f.audience, env.getenv("HALLMARK_AUDIENCE")} {
		if audience != "" {
			return audience
		}
	}
	return c.server
}

func printReceipt(w io.Writer, r signer.Receipt) {
	verb := "signed"
	if r.Action == signer.ActionAttest {
		verb = "attested"
	}
	_, _ = fmt.Fprintf(w, "%s\t%s\n", verb, r.Image)
	if r.Action == signer.ActionAttest {
		printDocuments(w, "document", r.Documents)
	}
	if r.Identity != "" {
		_, _ = fmt.Fprintf(w, "identity\t%s\n", r.Identity)
		_, _ = fmt.Fprintf(w, "issuer\t%s\n", r.Issuer)
	}
	for _, key := range receiptKeys(r) {
		_, _ = fmt.Fprintf(w, "key\t%s\n", key)
	}
	_, _ = fmt.Fprintf(w, "type\t%s\n", r.PredicateType)
	_, _ = fmt.Fprintf(w, "log entry\t%d\n", r.LogIndex)
	_, _ = fmt.Fprintf(w, "referrer\t%s\n", r.Manifest)
	if len(r.Tags) > 0 {
		_, _ = fmt.Fprintf(w, "tag\t%s\n", r.Tags[0].Tag)
	}
	_, _ = fmt.Fprintf(w, "granted by\t%s\n", r.Rule)
	if r.Action != signer.ActionAttest {
		printDocuments(w, "attested", r.Documents)
	}
}

// printDocuments says what became of documents.
func printDocuments(w io.Writer, what string, documents []signer.AttestedDocument) {
	for _, d := range documents {
		said := strings.TrimSpace(cmp.Or(d.Kind, d.PredicateType) + " " + d.Summary)
		verb := what
		if d.Refused {
			verb = "would not attest"
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\tabout %s", verb, program.Printable(d.Name), program.Printable(said), program.Printable(cmp.Or(d.Platform, string(d.Subject))))
		if d.LogIndex != nil {
			_, _ = fmt.Fprintf(w, "\tlog entry %d", *d.LogIndex)
		}
		_, _ = fmt.Fprintln(w)
	}
}

// readBounded reads a file, or stdin for "-".
func readBounded(env environment, path string, limit int64) ([]byte, error) {
	r := env.stdin
	if path != "-" {
		f, err := os.Open(path) //nolint:gosec // the user names the file
		if err != nil {
			return nil, usage("%w", err)
		}
		defer func() { _ = f.Close() }() // read only
		r = f
	}
	raw, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, readError(path, err)
	}
	if int64(len(raw)) > limit {
		return nil, usage("%s is larger than %d bytes", path, limit)
	}
	return raw, nil
}

// readError says why a file that is there could not be read.
func readError(path string, err error) error {
	if errors.Is(err, syscall.EISDIR) {
		return usage("%s is a folder, not a file", path)
	}
	return fmt.Errorf("read %s: %w", path, err)
}
