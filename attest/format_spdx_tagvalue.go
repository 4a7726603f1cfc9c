// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// SPDX 2.2 and 2.3 as tag-value: lines of "Tag: value", with <text>…</text>
// over several lines. It is no JSON, so a statement names it by digest.
// Source: https://spdx.github.io/spdx-spec/v2.3/ (file format: tag-value)

const (
	tagValueName = "spdx-tag-value"
	// maxLine bounds a line, bytes; <text> may have many.
	maxLine = 1 << 20
)

func tagValueFormat() format {
	return format{name: tagValueName, kind: EvidenceSBOM, media: "text/spdx", stream: true}
}

// isTagValue tells whether a document begins as tag-value does: with comments
// and tags, of which one is the version.
func isTagValue(head []byte) bool {
	for line := range bytes.Lines(head) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		if bytes.HasPrefix(line, []byte("SPDXVersion:")) {
			return true
		}
		tag, _, ok := bytes.Cut(line, []byte(":"))
		if !ok || len(tag) == 0 || strings.Trim(string(tag), "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
			return false
		}
	}
	return false
}

// tagValue is the state of reading.
type tagValue struct {
	inventory
	pkg  tagPackage
	seen map[string]bool // of the document's own tags
}

// tagPackage is the package that is being read; without a name there is none.
type tagPackage struct {
	name, id, purl string
	isContainer    bool
	names          []string // by which it may be what the document is about
}

func readTagValue(src io.Reader) (*SBOM, error) {
	lines := bufio.NewScanner(src)
	lines.Buffer(make([]byte, streamBuffer), maxLine)
	t := &tagValue{seen: make(map[string]bool)}
	n, inText := 0, 0
	for lines.Scan() {
		n++
		line := lines.Bytes()
		fail := func(err error) error {
			return &FormatError{Place: fmt.Sprintf("line %d", n), Want: err.Error(), cause: err}
		}
		if !utf8.Valid(line) || bytes.IndexByte(line, 0) >= 0 {
			return nil, fail(errors.New("invalid UTF-8"))
		}
		if inText > 0 {
			if bytes.Contains(line, []byte("</text>")) {
				inText = 0
			}
			continue
		}
		if line = bytes.TrimSpace(line); len(line) == 0 || line[0] == '#' {
			continue
		}
		tag, value, ok := strings.Cut(string(line), ":")
		if !ok || tag == "" {
			return nil, fail(errors.New("want Tag: value"))
		}
		value = strings.TrimSpace(value)
		if text, ok := strings.CutPrefix(value, "<text>"); ok {
			var whole bool
			if value, _, whole = strings.Cut(text, "</text>"); !whole {
				inText = n
			}
		}
		if err := t.take(tag, value); err != nil {
			var ours *FormatError
			if errors.As(err, &ours) {
				ours.Place = fmt.Sprintf("line %d", n)
				return nil, ours
			}
			return nil, fail(err)
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, unreadable(fmt.Sprintf("line %d", n+1), "a line of more than %d bytes", maxLine)
	case err != nil:
		return nil, err
	case inText > 0:
		return nil, unreadable(fmt.Sprintf("line %d", inText), "a <text> that does not end")
	}
	return t.finish()
}

func (t *tagValue) take(tag, value string) error {
	switch tag {
	case "SPDXVersion", "Created", "DocumentName":
		if t.seen[tag] {
			return fmt.Errorf("%s appears twice", tag)
		}
		t.seen[tag] = true
	}
	switch tag {
	case "SPDXVersion":
		m := spdxVersions.FindStringSubmatch(value)
		if m == nil {
			return fmt.Errorf("%s, want SPDX-2.2 or SPDX-2.3", quote(value))
		}
		t.sbom.Format, t.sbom.Version = "SPDX", m[1]
	case "DocumentName":
		t.sbom.Target = value
	case "Creator":
		if tool, ok := strings.CutPrefix(value, "Tool: "); ok && t.sbom.Tool == "" {
			t.sbom.Tool = tool
		}
	case "Created":
		var err error
		t.sbom.Created, err = timeAt("", value)
		return err
	case "PackageName":
		if value == "" {
			return errNameless
		}
		err := t.endPackage()
		t.pkg.name = value
		return err
	case "FileName", "SnippetSPDXID", "LicenseID":
		return t.endPackage()
	case "SPDXID":
		t.pkg.id = value
	case "Relationship":
		if fields := strings.Fields(value); len(fields) == 3 && fields[0] == spdxDocument && fields[1] == "DESCRIBES" {
			t.describes(fields[2])
		}
	case "PackageVersion":
		t.name(value)
	case "PrimaryPackagePurpose":
		t.pkg.isContainer = value == "CONTAINER"
	case "ExternalRef":
		// category, type, locator
		if fields := strings.Fields(value); len(fields) == 3 && fields[1] == "purl" {
			if strings.HasPrefix(fields[2], "pkg:") {
				t.pkg.purl = fields[2]
			}
			t.name(fields[2])
		}
	}
	return nil
}

func (t *tagValue) name(value string) {
	if len(t.pkg.names) < maxDigests {
		t.pkg.names = append(t.pkg.names, value)
	}
}

// endPackage counts the package that was read. What stood outside of one is
// forgotten.
func (t *tagValue) endPackage() error {
	p := t.pkg
	t.pkg = tagPackage{names: p.names[:0]}
	if p.name == "" {
		return nil
	}
	if p.isContainer {
		t.container(p.id, p.names...)
	}
	return t.count(p.name, p.purl)
}

func (t *tagValue) finish() (*SBOM, error) {
	switch err := t.endPackage(); {
	case err != nil:
		return nil, err
	case t.sbom.Format == "":
		return nil, unreadable("SPDXVersion", "missing")
	case t.sbom.Packages == 0:
		return nil, unreadable("PackageName", "missing: the document lists nothing")
	}
	return t.inventory.finish(), nil
}
