// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/internal/program"
	"github.com/hallmark-dev/hallmark/signer"
)

// Large documents go to the service as parts of a multipart body, straight from
// their files: see signer/api/parts.go. Small ones of a sign request are in its
// JSON, as they always were.

const (
	// inJSON is up to how many bytes documents together go in JSON.
	inJSON = 8 << 20
	// uploadRate is how fast an upload is expected to be at least, bytes a second.
	uploadRate = 256 << 10
	// requestPart is the name of the part with the request.
	requestPart = "request"
)

// extras are what a request says besides its documents.
type extras struct {
	platform     string
	evidence     []string // files of whatever kind
	kind         string   // of those
	dependencies []string
	byproducts   []string
}

func (x *extras) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&x.evidence, "evidence", nil, "`file` with any document that the service knows, recognised by its content; may be repeated")
	cmd.Flags().StringVar(&x.platform, "platform", "", "what of an image index the documents are about: index (the default), all, a platform such as linux/amd64, or the digest of one of its images; of one document: --scan linux/amd64=FILE")
}

// addClaims adds the flags of what a job says of its own build.
func (x *extras) addClaims(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&x.dependencies, "dependency", nil, "`URI@sha256:HEX` of something that the build has used; goes into the provenance, marked as claimed; may be repeated")
	cmd.Flags().StringArrayVar(&x.byproducts, "byproduct", nil, "`NAME=FILE` that the build has made besides; its digest goes into the provenance, marked as claimed; may be repeated")
}

// resource is one of them as the API has it.
type resource struct {
	Name   string            `json:"name,omitempty"`
	URI    string            `json:"uri,omitempty"`
	Digest map[string]string `json:"digest"`
}

// claims reads the flags.
func (x *extras) claims() (dependencies, byproducts []resource, err error) {
	for _, text := range x.dependencies {
		at := strings.LastIndex(text, "@")
		if at <= 0 {
			return nil, nil, usage("--dependency %s: want URI@sha256:HEX", text)
		}
		algorithm, value, ok := strings.Cut(text[at+1:], ":")
		if !ok || value == "" {
			return nil, nil, usage("--dependency %s: want URI@sha256:HEX", text)
		}
		dependencies = append(dependencies, resource{URI: text[:at], Digest: map[string]string{algorithm: value}})
	}
	for _, text := range x.byproducts {
		name, path, ok := strings.Cut(text, "=")
		if !ok || name == "" || path == "" {
			return nil, nil, usage("--byproduct %s: want NAME=FILE", text)
		}
		_, digest, err := hashFile(path)
		if err != nil {
			return nil, nil, usage("--byproduct %s: %w", name, err)
		}
		byproducts = append(byproducts, resource{Name: name, Digest: map[string]string{"sha256": digest.Hex()}})
	}
	return dependencies, byproducts, nil
}

func hashFile(path string) (size int64, digest attest.Digest, err error) {
	f, err := os.Open(path) //nolint:gosec // the user names the file
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = f.Close() }() // read only
	hash := sha256.New()
	if size, err = io.Copy(hash, f); err != nil {
		return 0, "", err
	}
	digest, err = attest.ParseDigest("sha256:" + hex.EncodeToString(hash.Sum(nil)))
	return size, digest, err
}

// evidenceFile is a file that goes with a request.
type evidenceFile struct {
	path, name, kind string
	platform         string // in place of the request's
	flag, value      string // that named it
	content          []byte // of standard input, or of a pipe
	size             int64
	digest           attest.Digest
}

// list are the documents in the order in which they are sent.
func (f *evidenceFlags) list(env environment, stdinTaken bool) ([]evidenceFile, error) {
	var all []evidenceFile
	for _, k := range evidenceKinds {
		for _, path := range *f.files[k.kind] {
			about, cut := cutPlatform(path)
			if k.kind == attest.EvidenceSBOM && cut == autoSBOM {
				continue // it is made
			}
			all = append(all, evidenceFile{path: cut, name: nameOf(cut), kind: string(k.kind), platform: about, flag: "--" + string(k.kind), value: path})
		}
	}
	for _, path := range f.extras.evidence {
		about, cut := cutPlatform(path)
		all = append(all, evidenceFile{path: cut, name: nameOf(cut), kind: f.extras.kind, platform: about, flag: "--evidence", value: path})
	}
	if err := f.checkType(len(all) > 0 || f.wantsAuto()); err != nil {
		return nil, err
	}
	for i := range all {
		d := &all[i]
		if d.path == "" {
			return nil, noFile(strings.TrimSpace(d.flag + " " + d.value))
		}
		if d.path != "-" {
			info, err := os.Stat(d.path)
			if err != nil {
				return nil, noSuchFile(d.flag, d.value, err)
			}
			if info.IsDir() {
				return nil, usage("%s is a folder, not a file", d.path)
			}
			if info.Mode().IsRegular() {
				if d.size = info.Size(); d.size > signer.MaxDocument {
					return nil, usage("%s has %d bytes, the limit is %d", d.path, d.size, signer.MaxDocument)
				}
				continue
			}
			// A pipe, as <(syft …) is, is read once.
		} else {
			if stdinTaken {
				return nil, usage("stdin can hold one thing: the token or one document")
			}
			stdinTaken = true
		}
		var err error
		if d.content, err = readBounded(env, d.path, attest.MaxEvidenceBytes); err != nil {
			return nil, err
		}
		d.size, d.digest = int64(len(d.content)), attest.DigestOf(d.content)
	}
	return all, nil
}

// checkType looks at --type, if there are documents: it is about those of
// --evidence.
func (f *evidenceFlags) checkType(some bool) error {
	switch {
	case f.extras.kind == "" || !some:
		return nil
	case len(f.extras.evidence) == 0:
		return usage("--type %s says what the files of --evidence are, and there are none (hint: the other flags say it themselves; --sbom-format is of --sbom auto)", f.extras.kind)
	}
	if err := attest.CheckWanted(f.extras.kind); err != nil {
		return usage("--type: %w", err)
	}
	return nil
}

// together is the size of all documents.
func together(all []evidenceFile) (size int64) {
	for _, d := range all {
		size += d.size
	}
	return size
}

// parts is a request with its documents, to be sent.
type parts struct {
	boundary string
	head     []byte
	files    []evidenceFile
	tail     []byte
}

// newParts hashes the documents and writes the request.
func (f *evidenceFlags) newParts(image string, documents []evidenceFile) (*parts, error) {
	type entry struct {
		Part   string        `json:"part"`
		Name   string        `json:"name"`
		Kind   string        `json:"kind,omitempty"`
		About  string        `json:"platform,omitempty"`
		Digest attest.Digest `json:"digest"`
		Size   int64         `json:"size"`
	}
	request := struct {
		Image        string     `json:"image"`
		DryRun       bool       `json:"dryRun,omitempty"`
		Platform     string     `json:"platform,omitempty"`
		Evidence     []entry    `json:"evidence"`
		Dependencies []resource `json:"dependencies,omitempty"`
		Byproducts   []resource `json:"byproducts,omitempty"`
	}{Image: image, DryRun: f.dryRun, Platform: f.extras.platform}
	var err error
	if request.Dependencies, request.Byproducts, err = f.extras.claims(); err != nil {
		return nil, err
	}
	for i := range documents {
		d := &documents[i]
		if d.content == nil {
			if d.size, d.digest, err = hashFile(d.path); err != nil {
				return nil, usage("%w", err)
			}
		}
		if d.size == 0 {
			return nil, usage("%s is empty", d.path)
		}
		request.Evidence = append(request.Evidence, entry{partOf(i), d.name, d.kind, d.platform, d.digest, d.size})
	}
	var random [16]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, err
	}
	p := &parts{boundary: "hallmark-" + hex.EncodeToString(random[:]), files: documents}
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	p.head = fmt.Appendf(nil, "--%s\r\nContent-Disposition: form-data; name=%q\r\nContent-Type: application/json\r\n\r\n%s\r\n", p.boundary, requestPart, body)
	p.tail = fmt.Appendf(nil, "--%s--\r\n", p.boundary)
	return p, nil
}

func partOf(i int) string { return fmt.Sprintf("document-%d", i) }

// separator begins a document's part.
func (p *parts) separator(i int) []byte {
	return fmt.Appendf(nil, "--%s\r\nContent-Disposition: form-data; name=%q; filename=%q\r\nContent-Type: application/octet-stream\r\n\r\n", p.boundary, partOf(i), partOf(i))
}

// size is that of the whole body.
func (p *parts) size() int64 {
	size := int64(len(p.head) + len(p.tail))
	for i, d := range p.files {
		size += int64(len(p.separator(i))) + d.size + int64(len("\r\n"))
	}
	return size
}

// open returns the body.
func (p *parts) open() (io.ReadCloser, error) {
	var opened []io.Closer
	all := []io.Reader{bytes.NewReader(p.head)}
	for i, d := range p.files {
		content := io.Reader(bytes.NewReader(d.content))
		if d.content == nil {
			f, err := os.Open(d.path)
			if err != nil {
				return nil, errors.Join(err, closers(opened).Close())
			}
			opened = append(opened, f)
			content = io.LimitReader(f, d.size) // one that grows has another digest
		}
		all = append(all, bytes.NewReader(p.separator(i)), content, strings.NewReader("\r\n"))
	}
	all = append(all, bytes.NewReader(p.tail))
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(all...), closers(opened)}, nil
}

type closers []io.Closer

// Close implements io.Closer.
func (c closers) Close() error {
	var errs []error
	for _, one := range c {
		errs = append(errs, one.Close())
	}
	return errors.Join(errs...)
}

// upload sends a request with parts and decodes the answer.
func (f *signFlags) upload(cmd *cobra.Command, env environment, path string, p *parts, answer any) error {
	c, token, err := f.connect(cmd, env)
	if err != nil {
		return err
	}
	c.progress = uploadProgress(cmd, env)
	c.http.Timeout = callTimeout + time.Duration(p.size()/uploadRate)*time.Second
	return c.callParts(cmd.Context(), path, token, p, answer)
}

// callParts is call for a body of parts. The service says whether it wants the
// documents before they are sent.
func (c *client) callParts(ctx context.Context, path, token string, p *parts, into any) error {
	body, err := p.open()
	if err != nil {
		return usage("%w", err)
	}
	defer func() { _ = body.Close() }() // read only
	watched, done := withProgress(body, p.size(), c.progress)
	defer done()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.server+path, watched)
	if err != nil {
		return err
	}
	req.ContentLength, req.GetBody = p.size(), p.open
	req.Header.Set("Content-Type", "multipart/form-data; boundary="+p.boundary)
	req.Header.Set("Expect", "100-continue")
	req.Header.Set("Authorization", "Bearer "+token)
	return c.do(req, into)
}

// receipts is the answer to a request that attests several statements.
type receipts struct {
	Receipts []signer.Receipt `json:"receipts"`
}

// attestDocuments asks for statements about documents and prints their receipts.
func (f *signFlags) attestDocuments(cmd *cobra.Command, env environment, evidence *evidenceFlags, image string, documents []evidenceFile) error {
	p, err := evidence.newParts(image, documents)
	if err != nil {
		return err
	}
	var got receipts
	if err := f.upload(cmd, env, "/hallmark/v1/attest", p, &got); err != nil {
		return err
	}
	return f.printReceipts(env, got)
}

func (f *signFlags) printReceipts(env environment, got receipts) error {
	return program.Print(*f.output, env.stdout, got, func(w io.Writer) {
		for i, r := range got.Receipts {
			if i > 0 {
				_, _ = fmt.Fprintln(w)
			}
			printReceipt(w, r)
		}
	})
}
