// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"helm.sh/helm/v3/pkg/strvals"
	"sigs.k8s.io/yaml"

	"github.com/hallmark-dev/hallmark/attest/helm"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/internal/program"
	"github.com/hallmark-dev/hallmark/signer"
)

// maxValuesFile bounds a file of values, bytes.
const maxValuesFile = 1 << 20

func chartCommand(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "chart", Short: "Provenance, push and images of Helm charts",
		Long: "A chart is signed in two ways. In the registry it is an artifact like an image: hallmark sign, or any of cosign's\n" +
			"verifiers. Helm itself knows provenance files only, which are a part of what is pushed. So the order is: ask for\n" +
			"the provenance file, push both, sign what was pushed. `hallmark chart push` does all of it.",
		RunE: program.WhichCommand,
	}
	cmd.AddCommand(chartProvenanceCommand(env), chartPushCommand(env), chartImagesCommand(env), chartKeyringCommand(env))
	return cmd
}

// twoArguments is for commands about an archive and where it goes.
func twoArguments(cmd *cobra.Command, args []string) error {
	if len(args) != 2 {
		return usage("%s takes a packaged chart and where it goes, got %d arguments (hint: %s)", cmd.CommandPath(), len(args), cmd.UseLine())
	}
	return nil
}

func chartProvenanceCommand(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "provenance CHART.tgz oci://REGISTRY/PATH", Short: "Get the provenance file of a packaged chart", Args: twoArguments,
		Long: "Ask the service for the provenance file (.prov) of a packaged chart, which `helm verify` reads. The service reads\n" +
			"the chart, decides by its policy for the repository that the chart is going to be pushed to, signs with its OpenPGP\n" +
			"key and logs it. The same chart always has the same provenance file. Works in CI jobs only.",
	}
	flags := addSignFlags(cmd)
	out := cmd.Flags().String("out", "", "`file` to write the provenance file to, such as CHART.tgz.prov (default: stdout)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := canWrite("--out", *out); err != nil {
			return err
		}
		c, where, err := readChart(env, args[0], args[1])
		if err != nil {
			return err
		}
		job, err := flags.job(cmd, env)
		if err != nil {
			return err
		}
		receipt, err := job.provenance(cmd.Context(), c, where)
		if err != nil {
			return err
		}
		if *out != "" {
			if err := os.WriteFile(*out, []byte(receipt.Provenance), 0o644); err != nil { //nolint:gosec // it is public
				return fmt.Errorf("write provenance file: %w", err)
			}
			return program.Print(*flags.output, env.stdout, receipt, func(w io.Writer) { printProvenance(w, receipt, *out) })
		}
		return program.Print(*flags.output, env.stdout, receipt, func(w io.Writer) { _, _ = io.WriteString(w, receipt.Provenance) })
	}
	return cmd
}

func printProvenance(w io.Writer, r signer.ChartReceipt, file string) {
	_, _ = fmt.Fprintf(w, "provenance\t%s\n", file)
	_, _ = fmt.Fprintf(w, "chart\t%s\n", r.Chart)
	_, _ = fmt.Fprintf(w, "identity\t%s\n", r.Requester)
	_, _ = fmt.Fprintf(w, "archive\t%s\n", r.Digest)
	_, _ = fmt.Fprintf(w, "OpenPGP key\t%s\n", r.Key)
	_, _ = fmt.Fprintf(w, "log entry\t%d\n", r.LogIndex)
	_, _ = fmt.Fprintf(w, "granted by\t%s\n", r.Rule)
}

// valueFlags are helm's.
type valueFlags struct{ files, set []string }

func addValueFlags(cmd *cobra.Command) *valueFlags {
	f := &valueFlags{}
	cmd.Flags().StringArrayVarP(&f.files, "values", "f", nil, "`file` with values that the chart is rendered with, besides its defaults; may be repeated")
	cmd.Flags().StringArrayVar(&f.set, "set", nil, "`NAME=VALUE`, a value that the chart is rendered with, over its defaults and --values, as helm's; may be repeated")
	return f
}

// imagesBody is a question about a chart's images.
type imagesBody struct {
	Image  string   `json:"image"`
	Values []string `json:"values,omitempty"`
	Set    []string `json:"set,omitempty"`
}

func (f *valueFlags) body(env environment, ref string) ([]byte, error) {
	for _, set := range f.set {
		if _, err := strvals.Parse(set); err != nil {
			return nil, usage("--set %q: %w (hint: NAME=VALUE)", set, err)
		}
	}
	body := imagesBody{Image: ref, Set: f.set}
	for _, file := range f.files {
		text, err := readBounded(env, file, maxValuesFile)
		if err != nil {
			return nil, err
		}
		// What it means is for the service; that it can be read is said here, where its name is.
		var mapping map[string]any
		if err := yaml.Unmarshal(text, &mapping); err != nil {
			return nil, usage("--values %s: want a YAML mapping: %s", file, oneLine(strings.TrimPrefix(err.Error(), "error converting YAML to JSON: ")))
		}
		body.Values = append(body.Values, string(text))
	}
	return json.Marshal(body)
}

func chartImagesCommand(env environment) *cobra.Command {
	cmd := &cobra.Command{
		Use: "images oci://REGISTRY/PATH/CHART:VERSION", Short: "Attest the images that a pushed chart refers to", Args: oneArgument("chart"),
		Long: "Have the service render a chart of the central registry, with its defaults and with the values given, and attest\n" +
			"which images it refers to, their digests, and whether they are signed. A signing policy can require that all are.",
	}
	flags := addSignFlags(cmd)
	values := addValueFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		body, err := values.body(env, oci.WithoutScheme(args[0]))
		if err != nil {
			return err
		}
		var answer attestedImages
		if err := flags.call(cmd, env, "/hallmark/v1/charts/images", body, &answer.Receipt); err != nil {
			return err
		}
		answer.RefersTo = imagesOf(answer.Bundle)
		return program.Print(*flags.output, env.stdout, answer, func(w io.Writer) {
			printReceipt(w, answer.Receipt)
			printImages(w, answer.RefersTo)
		})
	}
	return cmd
}

// readChart reads a packaged chart, and says in which repository it will be.
func readChart(env environment, path, folder string) (*helm.Chart, string, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil, "", usage("%s is a folder, not a packaged chart (hint: helm package %s)", path, path)
	}
	archive, err := readBounded(env, path, helm.MaxArchiveBytes)
	if err != nil {
		return nil, "", err
	}
	c, err := helm.Read(archive)
	if err == nil {
		err = c.CheckFileName(filepath.Base(path))
	}
	if err != nil {
		return nil, "", usage("%s: %w", path, err)
	}
	folder = strings.TrimSuffix(oci.WithoutScheme(folder), "/")
	if strings.Contains(folder, "://") {
		return nil, "", usage("%q is no folder of a registry (hint: oci://registry.corp.example/charts)", folder)
	}
	if strings.HasSuffix(folder, "/"+c.Name) {
		_, _ = fmt.Fprintf(env.stderr, "hallmark: warning: %s ends with the chart's name, so that the chart is %s/%s:%s (hint: oci://%s, the chart's name is added)\n",
			program.Printable(folder), program.Printable(folder), c.Name, helm.Tag(c.Version), program.Printable(strings.TrimSuffix(folder, "/"+c.Name)))
	}
	where := folder + "/" + c.Name
	if _, err := oci.ParseReference(where + ":" + helm.Tag(c.Version)); err != nil {
		hint := ""
		if !strings.Contains(err.Error(), "(hint: ") {
			hint = " (hint: oci://registry.corp.example/charts, without the chart's name)"
		}
		return nil, "", usage("%w%s", err, hint)
	}
	return c, where, nil
}

// job is a CI job with its token, for several requests.
type job struct {
	*client
	token string
}

func (f *signFlags) job(cmd *cobra.Command, env environment) (*job, error) {
	c, token, err := f.connect(cmd, env)
	if err != nil {
		return nil, err
	}
	c.progress = uploadProgress(cmd, env)
	return &job{c, token}, nil
}

// provenance asks for the provenance file, and looks that it is of this chart.
func (j *job) provenance(ctx context.Context, c *helm.Chart, where string) (signer.ChartReceipt, error) {
	var receipt signer.ChartReceipt
	query := url.Values{"repository": {where}, "file": {c.FileName()}}
	body, done := withProgress(bytes.NewReader(c.Archive), int64(len(c.Archive)), j.progress)
	defer done()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, j.server+"/hallmark/v1/charts/provenance?"+query.Encode(), body)
	if err != nil {
		return receipt, err
	}
	req.ContentLength = int64(len(c.Archive))
	req.Header.Set("Content-Type", "application/gzip")
	req.Header.Set("Authorization", "Bearer "+j.token)
	if err := j.do(req, &receipt); err != nil {
		return receipt, err
	}
	if line := c.FileName() + ": " + string(c.Digest); receipt.Digest != c.Digest || !strings.Contains(receipt.Provenance, line) {
		return receipt, fmt.Errorf("the service's provenance file is not of %s", c.FileName())
	}
	return receipt, nil
}
