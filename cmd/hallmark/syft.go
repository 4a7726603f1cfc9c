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

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/signer"
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

// sbomMaker makes SBOMs with syft.
type sbomMaker struct {
	registryFlags
	syft, format string
	limit        int64 // bytes of an SBOM; 0 for what the service takes
}

// find finds the program. Nothing in the working folder is run unless it is
// named with its path.
func (f *sbomMaker) find(env environment) (string, error) {
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

// make runs syft and leaves a file in the folder that only the user can read,
// read and found good. An empty folder is the system's for such files.
func (f *sbomMaker) make(ctx context.Context, program string, artifact oci.Artifact, folder string) (path string, packages int, err error) {
	out, err := os.CreateTemp(folder, ".hallmark-sbom-*") // mode 0600
	if err != nil {
		return "", 0, usage("make a file for the SBOM: %w", err)
	}
	defer func() {
		if err = errors.Join(err, out.Close()); err != nil {
			_ = os.Remove(out.Name()) // the first error says more
			path = ""
		}
	}()
	if err := f.runSyft(ctx, program, artifact, out); err != nil {
		return "", 0, err
	}
	packages, err = f.check(artifact, out)
	return out.Name(), packages, err
}

// runSyft runs syft with a fixed list of arguments, in an empty folder: a
// configuration file that lies in the source would decide what is looked at.
func (f *sbomMaker) runSyft(ctx context.Context, program string, artifact oci.Artifact, to io.Writer) error {
	dir, err := os.MkdirTemp("", "hallmark-sbom-")
	if err != nil {
		return fmt.Errorf("make a folder for syft: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // nothing of ours is in it
	ctx, cancel := context.WithTimeout(ctx, syftTimeout)
	defer cancel()
	args := []string{"scan", "registry:" + artifact.String(), "--output", f.format} // not --quiet: it would not say why it fails
	out := &boundedOutput{to: to, left: f.most(), full: cancel}
	complaints := &tail{limit: maxSyftWords}
	cmd := exec.CommandContext(ctx, program, args...) //nolint:gosec // the user names the program
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = dir, out, complaints, syftGrace
	cmd.Env = syftEnv(os.Environ(), oci.IsLoopback(artifact.Registry))
	// It may end by itself when it is told to: its own files are its own to remove.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	err = cmd.Run()
	switch {
	case out.overflowed:
		return no("the SBOM of %s has more than %d bytes", artifact, f.most())
	case out.err != nil:
		return fmt.Errorf("keep the SBOM: %w", out.err)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("syft did not end in %s", policy.Age(syftTimeout))
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted while syft made the SBOM of %s", artifact)
	case err != nil:
		return fmt.Errorf("run %s %s: %w%s", program, strings.Join(args, " "), err, indented(complaints.lines()))
	}
	return nil
}

// most is how large an SBOM may be, bytes.
func (f *sbomMaker) most() int64 {
	if f.limit > 0 {
		return f.limit
	}
	return signer.MaxDocument
}

// syftEnv is the environment that syft sees: the user's, with credentials and
// proxies, without settings that change what it looks at.
func syftEnv(inherited []string, plainHTTP bool) []string {
	kept := slices.DeleteFunc(slices.Clone(inherited), func(v string) bool {
		return strings.HasPrefix(v, "SYFT_") && !strings.HasPrefix(v, "SYFT_REGISTRY_") || strings.HasPrefix(v, "HALLMARK_")
	})
	kept = append(kept, "SYFT_CHECK_FOR_APP_UPDATE=false", "NO_COLOR=1")
	if plainHTTP {
		kept = append(kept, "SYFT_REGISTRY_INSECURE_USE_HTTP=true")
	}
	return kept
}

// check reads what was written, as a stream: an SBOM in the format that was
// asked for, of the digest that was asked about.
func (f *sbomMaker) check(artifact oci.Artifact, file *os.File) (packages int, err error) {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return 0, fmt.Errorf("read syft's answer: %w", err)
	}
	named := &finding{word: []byte(artifact.Digest.Hex())}
	d, err := attest.ReadFrom("syft's answer", "", io.TeeReader(file, named), f.most())
	if err != nil {
		return 0, fmt.Errorf("%w (hint: is it syft %s that --syft, HALLMARK_SYFT or PATH leads to?)", err, syftVersion)
	}
	if d.Evidence.SBOM == nil || d.Evidence.SBOM.Format != sbomFormats[f.format] {
		return 0, fmt.Errorf("syft's answer is %s, not %s", d.Evidence.Format, sbomFormats[f.format])
	}
	if !named.found {
		return 0, fmt.Errorf("syft's answer does not name %s", artifact.Digest)
	}
	return d.Evidence.SBOM.Packages, nil
}

// boundedOutput passes on what is written, and ends the writer if that is too
// much.
type boundedOutput struct {
	to         io.Writer
	left       int64
	full       func()
	overflowed bool
	err        error // of to
}

// Write implements io.Writer.
func (b *boundedOutput) Write(p []byte) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		b.overflowed = true
		b.full()
		return 0, io.ErrShortWrite
	}
	n, err := b.to.Write(p)
	b.err = errors.Join(b.err, err)
	return n, err
}

// finding looks for a word in what is written, across writes.
type finding struct {
	word  []byte
	kept  []byte // the end of what was written, shorter than the word
	found bool
}

// Write implements io.Writer.
func (f *finding) Write(p []byte) (int, error) {
	if !f.found {
		f.kept = append(f.kept, p...)
		f.found = bytes.Contains(f.kept, f.word)
		f.kept = append(f.kept[:0], f.kept[max(len(f.kept)-len(f.word)+1, 0):]...)
	}
	return len(p), nil
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
