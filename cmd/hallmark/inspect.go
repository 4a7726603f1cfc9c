// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/internal/program"
	"github.com/hallmark-dev/hallmark/signer"
)

// inspectFlags are those of `hallmark inspect`.
type inspectFlags struct {
	kind   string
	output *string
}

func inspectCommand(env environment) *cobra.Command {
	f := &inspectFlags{}
	cmd := &cobra.Command{
		Use:   "inspect FILE...",
		Short: "Say what a report, SBOM, VEX document or statement says",
		Long: `Say what evidence a file is, and what a gate would see of it.

Reports of scanners and linters, SBOMs, VEX, test results and provenance are
recognised by their content; docs/EVIDENCE.md lists them. Statements, DSSE
envelopes and Sigstore bundles are opened, and nothing of them is verified:
that is what "hallmark verify" is for. "-" is standard input.

Nothing is sent anywhere. Secrets that a scanner found are not shown.

Exit codes: 0 read, 1 a file cannot be read as what it is, 2 wrong usage,
3 could not decide.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("%s takes one or more files, got 0 (hint: %s)", cmd.CommandPath(), cmd.UseLine())
			}
			if err := attest.CheckWanted(f.kind); err != nil {
				return usage("--type: %w", err)
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return f.run(env, args) },
	}
	cmd.Flags().StringVar(&f.kind, "type", "", "`kind` (sbom, scan, vex, test, check, provenance, chart-images) or format (trivy, sarif, …) that the files are, for what content does not say")
	f.output = program.OutputFlag(cmd)
	return cmd
}

// run inspects all files, and says of each that cannot be read why.
func (f *inspectFlags) run(env environment, paths []string) error {
	var all []inspected
	var bad []error
	for _, path := range paths {
		found, err := f.inspect(env, path)
		if errors.Is(err, attest.ErrEvidence) {
			bad = append(bad, err)
			continue
		}
		if err != nil {
			return err
		}
		all = append(all, found...)
	}
	if all == nil {
		all = []inspected{}
	}
	err := program.Print(*f.output, env.stdout, all, func(w io.Writer) {
		for i := range all {
			if i > 0 {
				_, _ = fmt.Fprintln(w)
			}
			all[i].print(w)
		}
	})
	if err == nil && len(bad) > 0 {
		err = no("%w", errors.Join(bad...))
	}
	return err
}

// inspect reads one file. Envelopes are opened in memory; what is larger can
// only be an SBOM, which is read as a stream.
func (f *inspectFlags) inspect(env environment, path string) ([]inspected, error) {
	r := env.stdin
	if path != "-" {
		file, err := os.Open(path) //nolint:gosec // the user names the file
		if err != nil {
			return nil, usage("%w", err)
		}
		defer func() { _ = file.Close() }() // read only
		r = file
	}
	name := nameOf(path)
	head, err := io.ReadAll(io.LimitReader(r, attest.MaxBundleBytes+1))
	if err != nil {
		return nil, readError(path, err)
	}
	if len(head) <= attest.MaxBundleBytes {
		opened, err := attest.OpenEnvelopes(head)
		if err != nil {
			return nil, fileError(name, err)
		}
		if len(opened) > 0 {
			return inspectOpened(name, head, opened)
		}
	}
	d, err := attest.ReadFrom(name, f.kind, io.MultiReader(bytes.NewReader(head), r), attest.MaxStreamBytes)
	if err != nil {
		return nil, asWhat(err, f.kind, name, head)
	}
	one := inspected{
		File: name, Format: d.Evidence.Format, MediaType: d.Original.MediaType, Digest: d.Original.Digest, Size: d.Original.Size,
		AttestedAs: d.PredicateType, Secret: d.Original.Secret,
	}
	if d.Evidence.SBOM != nil && d.PredicateType == "" || d.Original.Size > signer.DefaultEmbed {
		one.byReference(d)
	}
	one.fill(d.Evidence)
	return []inspected{one}, nil
}

// asWhat says of a file that cannot be read as what it is said to be that it is VEX:
// it has the format of an SBOM, of which its reader misses everything.
func asWhat(err error, kind, name string, file []byte) error {
	if kind == "" || !errors.Is(err, attest.ErrEvidence) || len(file) > attest.MaxEvidenceBytes {
		return err
	}
	is, other := attest.ReadDocument(name, file)
	if other != nil || is.Evidence.Kind != attest.EvidenceVEX || kind == string(attest.EvidenceVEX) || kind == is.Evidence.Format {
		return err
	}
	return &attest.FormatError{File: name, Format: is.Evidence.Format, Want: "is VEX (hint: --vex, or --type vex)"}
}

// fileError says in which file it was.
func fileError(name string, err error) error {
	var wrong *attest.FormatError
	if errors.As(err, &wrong) {
		wrong.File = name
	}
	return err
}

// inspectOpened looks at the statements of a file.
func inspectOpened(name string, file []byte, opened []attest.Opened) ([]inspected, error) {
	var all []inspected
	for n, c := range opened {
		ev, err := c.Read()
		if err != nil {
			return nil, fileError(name, err)
		}
		one := inspected{File: name, Format: ev.Format, Digest: attest.DigestOf(file), Size: int64(len(file)), AttestedAs: c.PredicateType}
		one.Carried = &inspectedCarried{
			In: c.In, Signatures: c.Signatures, Type: c.Type, PredicateType: c.PredicateType, SubjectCount: c.Count, Subjects: []inspectedSubject{}, Problem: c.Problem, handIn: c.HandIn(),
		}
		if len(opened) > 1 {
			one.Carried.Number = n + 1
		}
		for _, s := range c.Subjects[:min(len(c.Subjects), maxSubjectsShown)] {
			one.Carried.Subjects = append(one.Carried.Subjects, inspectedSubject{s.Name, s.Digests})
		}
		one.fill(ev)
		all = append(all, one)
	}
	return all, nil
}
