// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
)

// What a document becomes in other words may be much larger than it is: a rule of
// a SARIF file, the target of a Trivy result and the id of a CycloneDX
// vulnerability are written once and repeated in each finding. So a predicate is
// written finding by finding, and no further than it can be read again.

// maxWritten bounds a predicate that is made of a document, bytes: the name of the
// document comes to it (NameOriginal), and all of it is read as evidence again.
const maxWritten = MaxEvidenceBytes - 16<<10

func errWritten() error {
	return &FormatError{
		Want:  fmt.Sprintf("%v: what it says has more than %d bytes as a statement (hint: a report with fewer findings, or of the severities that matter)", ErrTooLarge, maxWritten),
		cause: ErrTooLarge,
	}
}

// encodeList writes a list element by element.
func encodeList[T, J any](list []T, write func(*T) J) (json.RawMessage, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	b.WriteByte('[')
	for i := range list {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := enc.Encode(write(&list[i])); err != nil {
			return nil, fmt.Errorf("encode a predicate: %w", err)
		}
		b.Truncate(b.Len() - len("\n"))
		if b.Len() > maxWritten {
			return nil, errWritten()
		}
	}
	b.WriteByte(']')
	return b.Bytes(), nil
}

// withList is a frame as JSON with a list in its member that is an empty list: the
// list is not encoded a second time. No text can look like the member, since its
// quotes would be escaped.
func withList(frame any, member string, list json.RawMessage) ([]byte, error) {
	whole, err := encodeJSON(frame)
	if err != nil {
		return nil, err
	}
	before, after, found := bytes.Cut(whole, []byte(`"`+member+`":[]`))
	if !found {
		return nil, fmt.Errorf("encode a predicate: no empty list %s in it", member)
	}
	if len(whole)+len(list) > maxWritten {
		return nil, errWritten()
	}
	return slices.Concat(before, []byte(`"`+member+`":`), list, after), nil
}

// empty is the list that withList looks for.
var empty = json.RawMessage("[]")

// written is about how many bytes the product's names have with its versions.
func (p *VEXProduct) written() int {
	names, versions := 0, 0
	for _, id := range p.IDs {
		names += len(id)
	}
	for _, version := range p.Versions {
		versions += len(version)
	}
	return names*max(1, len(p.Versions)) + versions*len(p.IDs)
}
