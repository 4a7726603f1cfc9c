// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/lab"
)

// Targets of large documents.
const (
	documentMost   = 2.0 // s, ingest and attest an SBOM of 50 MB
	documentMemory = 3.0 // growth of the service's resident set, of the document's size
	documentsAside = 4   // at the same time
)

// documents measures SBOMs that are pushed to the registry and attested by
// reference, beside reading, hashing and pushing the same bytes.
func (b *bench) documents() error {
	size := b.scale.document
	b.report.title(fmt.Sprintf("an SBOM of %.0f MB, attested by reference", mb(size)))
	l := lab.Start(b.stage, lab.Options{})
	var files []string
	for i := range documentsAside + 1 {
		file := filepath.Join(b.TempDir(), fmt.Sprintf("sbom-%d.json", i))
		if err := writeSBOM(file, size, i); err != nil {
			return err
		}
		files = append(files, file)
	}
	refs, err := push(b.ctx, l.Registry, "acme/documents", len(files)+2)
	if err != nil {
		return err
	}
	client := clientOf(documentsAside)
	attest := func(ctx context.Context, file, ref string) error {
		return postDocument(ctx, client, l.URL+"/hallmark/v1/attest", l.Token(b.stage, devissuer.GitHub), file, ref)
	}
	small := filepath.Join(b.TempDir(), "small.json")
	if err := writeSBOM(small, 5<<20, 0); err != nil {
		return err
	}
	if err := attest(b.ctx, small, refs[len(files)]); err != nil { // what the service learns once
		return err
	}

	floor, err := hashAndPush(b.ctx, client, files[0], l.Registry, "acme/floor")
	if err != nil {
		return err
	}
	idle := residentNow(l.PID())
	start, used := time.Now(), cpuOf([]int{l.PID()})
	if err := attest(b.ctx, files[0], refs[0]); err != nil {
		return err
	}
	took := time.Since(start)
	grown := max(residentMost(l.PID())-idle, 1)
	b.report.atMost("an SBOM, received, read and attested", took.Seconds(), documentMost, "s",
		fmt.Sprintf("CPU of the service %.2f s; reading, hashing and pushing the same bytes %.2f s, %.1f times", (cpuOf([]int{l.PID()})-used).Seconds(), floor.Seconds(), took.Seconds()/floor.Seconds()))
	b.report.atMost("growth of the service's memory, of the document's size", float64(grown)/float64(size), documentMemory, "",
		fmt.Sprintf("%.0f MB, %.0f MB before", mb(grown), mb(idle)))

	r, err := loop(b.ctx, documentsAside, documentsAside, func(ctx context.Context, i int) error { return attest(ctx, files[i+1], refs[i+1]) })
	if err != nil {
		return err
	}
	b.report.say("%d at the same time: %.2f s, memory grew by %.0f MB", documentsAside, r.took.Seconds(), mb(residentMost(l.PID())-idle))
	l.Stop(b.stage)
	return nil
}

// writeSBOM writes an SPDX document of about that size.
func writeSBOM(path string, size int64, salt int) (err error) {
	f, err := os.Create(path) //nolint:gosec // our own folder
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriter(f)
	written, _ := fmt.Fprintf(w, `{"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "name": "app-%d", "creationInfo": {"created": "2026-01-02T03:04:05Z"}, "packages": [`, salt) // Flush says
	for i := 0; int64(written) < size; i++ {
		if i > 0 {
			_ = w.WriteByte(',')
		}
		n, _ := fmt.Fprintf(w, `{"SPDXID": "SPDXRef-Package-%d", "name": "library-%d", "versionInfo": "1.%d.0-r1", "downloadLocation": "NOASSERTION", "licenseDeclared": "MIT", "copyrightText": "%s", `+
			`"externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": "pkg:apk/alpine/library-%d@1.%d.0-r1"}]}`,
			i, i, i, strings.Repeat("Copyright of many people. ", 8), i, i)
		written += n + 1
	}
	_, _ = w.WriteString("]}")
	return w.Flush()
}

// postDocument attests one file in a body of parts.
func postDocument(ctx context.Context, client *http.Client, url, token, file, ref string) (err error) {
	f, err := os.Open(file) //nolint:gosec // our own file
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // read only
	info, err := f.Stat()
	if err != nil {
		return err
	}
	const boundary = "bench"
	head := fmt.Appendf(nil, "--%s\r\nContent-Disposition: form-data; name=\"request\"\r\n\r\n{\"image\": %q, \"evidence\": [{\"part\": \"d\", \"kind\": \"sbom\"}]}\r\n"+
		"--%s\r\nContent-Disposition: form-data; name=\"d\"\r\n\r\n", boundary, ref, boundary)
	tail := []byte("\r\n--" + boundary + "--\r\n")
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, io.MultiReader(bytes.NewReader(head), f, bytes.NewReader(tail)))
	if err != nil {
		return err
	}
	req.ContentLength = int64(len(head)+len(tail)) + info.Size()
	req.Header.Set("Content-Type", "multipart/form-data; boundary="+boundary)
	req.Header.Set("Authorization", "Bearer "+token)
	return answered(client, req, http.StatusOK)
}

// hashAndPush is the floor: the file is read and hashed, and then sent to the
// registry as a blob.
func hashAndPush(ctx context.Context, client *http.Client, file, registry, repository string) (time.Duration, error) {
	start := time.Now()
	f, err := os.Open(file) //nolint:gosec // our own file
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }() // read only
	hash := sha256.New()
	size, err := io.Copy(hash, f)
	if err != nil {
		return 0, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+registry+"/v2/"+repository+"/blobs/uploads/?digest=sha256:"+hex.EncodeToString(hash.Sum(nil)), io.NopCloser(f))
	if err != nil {
		return 0, err
	}
	req.ContentLength = size
	if err := answered(client, req, http.StatusCreated); err != nil {
		return 0, err
	}
	return time.Since(start), nil
}

// answered makes a request that has to be answered with a status.
func answered(client *http.Client, req *http.Request, want int) error {
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // read below
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode != want {
		return fmt.Errorf("%s %s: %d %.500s", req.Method, req.URL.Path, resp.StatusCode, answer)
	}
	return nil
}
