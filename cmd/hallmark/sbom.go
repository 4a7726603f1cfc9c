// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
)

const (
	// syftVersion is the one that Hallmark is tested with.
	syftVersion = "v1.57.0"
	// maxSyftWords bounds what is kept of syft's complaints, bytes.
	maxSyftWords = 8 << 10
	// syftTimeout bounds a run: it pulls the image.
	syftTimeout = 15 * time.Minute
	// syftGrace is what syft gets to end after it was told to.
	syftGrace = 5 * time.Second
)

// sbomFormats are the formats that can be asked for, by syft's names, with the
// name that our reader has for each.
var sbomFormats = map[string]string{"cyclonedx-json": "CycloneDX", "spdx-json": "SPDX"}

// sbomRun is `hallmark sbom`.
type sbomRun struct {
	registryFlags
	syft, format, output, platform string
}

func sbomCommand(env environment) *cobra.Command {
	f := sbomRun{}
	cmd := &cobra.Command{
		Use: "sbom IMAGE", Short: "Make the SBOM of an image, with syft", Args: oneArgument("image"),
		Long: "Make an SBOM of an image, to sign the image with:\n" +
			"  hallmark sbom IMAGE -o sbom.json && hallmark sign IMAGE --sbom sbom.json\n\n" +
			"The command syft makes it (https://github.com/anchore/syft, tested with " + syftVersion + "): found in PATH, or --syft FILE, or\n" +
			"HALLMARK_SYFT. The reference is resolved once and syft is given the digest. What it writes is read before it is kept.\n" +
			"Of an index, it describes the image of one platform: sign that image with it, or the index under a rule that accepts it.",
	}
	flags := cmd.Flags()
	f.registryFlags.register(cmd)
	flags.StringVarP(&f.output, "output", "o", "-", "`file` to write, or - for stdout")
	flags.StringVar(&f.format, "format", "cyclonedx-json", "cyclonedx-json or spdx-json")
	flags.StringVar(&f.syft, "syft", "", "the syft `program` (default: HALLMARK_SYFT, then syft in PATH)")
	flags.StringVar(&f.platform, "platform", "", "of an index, the `platform` to describe, such as linux/arm64 (default: syft's own)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return f.run(cmd.Context(), env, oci.WithoutScheme(args[0]))
	}
	return cmd
}

func (f *sbomRun) run(ctx context.Context, env environment, image string) error {
	if sbomFormats[f.format] == "" {
		return usage("--format %q: want cyclonedx-json or spdx-json", f.format)
	}
	if f.output == "json" || f.output == "text" {
		return usage("--output is the file to write here (hint: -o sbom.json, or -o ./%s; --format says which kind of SBOM)", f.output)
	}
	if strings.HasPrefix(f.platform, "-") {
		return usage("--platform %q is no platform", f.platform)
	}
	ref, err := oci.ParseReference(image)
	if err != nil {
		return usage("%w", err)
	}
	program, err := f.find(env)
	if err != nil {
		return err
	}
	client, err := f.client(ref)
	if err != nil {
		return err
	}
	artifact, err := client.Resolve(ctx, image)
	if err != nil {
		if isNotFound(err) {
			return no("%w", err)
		}
		return err
	}
	raw, err := f.make(ctx, program, artifact)
	if err != nil {
		return err
	}
	packages, err := f.check(artifact, raw)
	if err != nil {
		return err
	}
	if err := writeWhole(env, f.output, raw); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(env.stderr, "hallmark: %s of %s, %d packages\n", sbomFormats[f.format], artifact, packages)
	switch {
	case packages == 0:
		_, _ = fmt.Fprintln(env.stderr, "hallmark: warning: it lists no package; a policy that asks for an SBOM refuses it")
	case artifact.Kind == oci.KindIndex:
		_, _ = fmt.Fprintln(env.stderr, "hallmark: the image is an index; the SBOM describes one of its platforms (hint: --platform)")
	}
	return nil
}

// find finds the program. Nothing in the working folder is run unless it is
// named with its path.
func (f *sbomRun) find(env environment) (string, error) {
	const hint = "(hint: install syft " + syftVersion + " with `go install github.com/anchore/syft/cmd/syft@" + syftVersion + "` or from " +
		"https://github.com/anchore/syft/releases, or name it with --syft FILE or HALLMARK_SYFT; any other program's SBOM will do for `hallmark sign --sbom`)"
	name := f.syft
	if name == "" {
		name = env.getenv("HALLMARK_SYFT")
	}
	if name == "" {
		name = "syft"
	}
	program, err := exec.LookPath(name)
	if err != nil {
		return "", usage("%w %s", err, hint)
	}
	return filepath.Abs(program)
}

// make runs syft with a fixed list of arguments, in an empty folder: a
// configuration file that lies in the source would decide what is looked at.
func (f *sbomRun) make(ctx context.Context, program string, artifact oci.Artifact) ([]byte, error) {
	dir, err := os.MkdirTemp("", "hallmark-sbom-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for syft: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // nothing of ours is in it
	ctx, cancel := context.WithTimeout(ctx, syftTimeout)
	defer cancel()
	args := []string{"scan", "registry:" + artifact.String(), "--output", f.format, "--quiet"}
	if f.platform != "" {
		args = append(args, "--platform", f.platform)
	}
	out := &boundedOutput{limit: attest.MaxEvidenceBytes, full: cancel}
	complaints := &tail{limit: maxSyftWords}
	cmd := exec.CommandContext(ctx, program, args...) //nolint:gosec // the user names the program
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = dir, out, complaints, syftGrace
	cmd.Env = syftEnv(os.Environ(), oci.IsLoopback(artifact.Registry))
	err = cmd.Run()
	switch {
	case out.overflowed:
		return nil, no("the SBOM of %s has more than %d bytes", artifact, out.limit)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, fmt.Errorf("syft did not end in %s", syftTimeout)
	case err != nil:
		return nil, fmt.Errorf("run %s %s: %w%s", program, strings.Join(args, " "), err, indented(complaints.lines()))
	}
	return out.kept.Bytes(), nil
}

// syftEnv is the environment that syft sees: the user's, with credentials and
// proxies, without settings that change what it looks at.
func syftEnv(inherited []string, plainHTTP bool) []string {
	kept := slices.DeleteFunc(slices.Clone(inherited), func(v string) bool {
		return strings.HasPrefix(v, "SYFT_") && !strings.HasPrefix(v, "SYFT_REGISTRY_") || strings.HasPrefix(v, "HALLMARK_")
	})
	kept = append(kept, "SYFT_CHECK_FOR_APP_UPDATE=false")
	if plainHTTP {
		kept = append(kept, "SYFT_REGISTRY_INSECURE_USE_HTTP=true")
	}
	return kept
}

// check reads what was written: an SBOM in the format that was asked for, of
// the digest that was asked about.
func (f *sbomRun) check(artifact oci.Artifact, raw []byte) (packages int, err error) {
	d, err := attest.ReadDocument("syft's answer", raw)
	if err != nil {
		return 0, fmt.Errorf("%w (hint: is it syft %s that --syft, HALLMARK_SYFT or PATH leads to?)", err, syftVersion)
	}
	if d.Evidence.SBOM == nil || d.Evidence.SBOM.Format != sbomFormats[f.format] {
		return 0, fmt.Errorf("syft's answer is %s, not %s", d.Evidence.Format, sbomFormats[f.format])
	}
	if !bytes.Contains(raw, []byte(artifact.Digest.Hex())) {
		return 0, fmt.Errorf("syft's answer does not name %s", artifact.Digest)
	}
	return d.Evidence.SBOM.Packages, nil
}

// writeWhole writes a file so that it is there whole or not at all.
func writeWhole(env environment, path string, content []byte) error {
	if path == "-" {
		_, err := env.stdout.Write(content)
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".hallmark-*")
	if err != nil {
		return usage("--output: %w", err)
	}
	_, err = file.Write(content)
	err = errors.Join(err, file.Chmod(downloadMode), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(file.Name()))
	}
	return nil
}

// boundedOutput keeps what is written, and ends the writer if that is too much.
// The buffer is a member and not embedded: io.Copy would find its ReadFrom, which
// has no bound.
type boundedOutput struct {
	kept       bytes.Buffer
	limit      int
	full       func()
	overflowed bool
}

// Write implements io.Writer.
func (b *boundedOutput) Write(p []byte) (int, error) {
	if b.kept.Len()+len(p) > b.limit {
		b.overflowed = true
		b.full()
		return 0, io.ErrShortWrite
	}
	return b.kept.Write(p)
}

// tail keeps the end of what is written.
type tail struct {
	limit int
	kept  []byte
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - t.limit; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(p), nil
}

func (t *tail) lines() []string {
	return strings.FieldsFunc(string(t.kept), func(r rune) bool { return r == '\n' || r == '\r' })
}
