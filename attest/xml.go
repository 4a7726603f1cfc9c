// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
)

// XML is read as a stream of tokens, strictly: no document types, so no
// entities but the five that XML has; bounded depth, attributes and tokens; no
// attribute twice. Nothing is fetched, and nothing is kept that nobody asks for.

const (
	// maxXMLToken bounds one tag with its attributes, one text, one comment,
	// bytes: what cannot be read piece by piece.
	maxXMLToken = 1 << 20
	// maxXMLName is how much of an element's name is remembered, bytes: of a longer
	// one, which is in no format, nothing but that. Names are joined to paths for each
	// element, so that one of a megabyte would cost that for each that is in it.
	maxXMLName   = 64
	otherXMLName = "…"
	// maxXMLAttributes bounds the attributes of one element.
	maxXMLAttributes = 256
)

// xmlReader reads the tokens of one document.
type xmlReader struct {
	dec    *xml.Decoder
	budget *budget
	names  []string // of the elements that are open
	ended  bool     // the root element is closed
}

// budget bounds how much is read for one token.
type budget struct {
	r    io.Reader
	left int
}

var errLongToken = fmt.Errorf("a tag, text or comment of more than %d bytes", maxXMLToken)

// Read implements io.Reader.
func (b *budget) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errLongToken
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

func readXMLTokens(r io.Reader) *xmlReader {
	b := &budget{r: r}
	dec := xml.NewDecoder(b)
	dec.Strict = true
	return &xmlReader{dec: dec, budget: b}
}

// walk reads the whole document. start is called with each element, after it
// was added to names; text with the texts between tags; end before an element
// is taken off names.
func (x *xmlReader) walk(start func(e xml.StartElement) error, text func(t []byte) error, end func(name string) error) error {
	for {
		x.budget.left = maxXMLToken
		token, err := x.dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = x.take(token, start, text, end)
		}
		if err != nil {
			return x.fail(err)
		}
	}
	if !x.ended {
		return x.fail(errors.New("no element in it"))
	}
	return nil
}

// fail names the line.
func (x *xmlReader) fail(err error) error {
	var ours *FormatError
	if errors.As(err, &ours) {
		return err
	}
	line, _ := x.dec.InputPos()
	return &FormatError{Place: fmt.Sprintf("line %d", line), Want: err.Error(), cause: err}
}

func (x *xmlReader) take(token xml.Token, start func(e xml.StartElement) error, text func(t []byte) error, end func(name string) error) error {
	switch t := token.(type) {
	case xml.Directive:
		return errors.New("document types and entities are not read")
	case xml.StartElement:
		if err := x.open(t); err != nil {
			return err
		}
		return start(t)
	case xml.EndElement:
		err := end(t.Name.Local)
		x.names = x.names[:len(x.names)-1]
		x.ended = len(x.names) == 0
		return err
	case xml.CharData:
		if len(x.names) > 0 {
			return text(t)
		}
		if len(bytes.TrimSpace(t)) > 0 {
			return errors.New("text outside of the element")
		}
	}
	return nil
}

// open checks an element.
func (x *xmlReader) open(e xml.StartElement) error {
	switch {
	case x.ended:
		return errors.New("data after the document")
	case len(x.names) == maxXMLDepth:
		return fmt.Errorf("nested deeper than %d", maxXMLDepth)
	case len(e.Attr) > maxXMLAttributes:
		return fmt.Errorf("more than %d attributes", maxXMLAttributes)
	}
	seen := make(map[xml.Name]bool, len(e.Attr))
	for _, a := range e.Attr {
		if seen[a.Name] {
			return fmt.Errorf("attribute %s appears twice", quote(a.Name.Local))
		}
		seen[a.Name] = true
	}
	name := e.Name.Local
	if len(name) > maxXMLName {
		name = otherXMLName
	}
	x.names = append(x.names, name)
	return nil
}

// attribute is the value of an attribute without a namespace, or "".
func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name && a.Name.Space == "" {
			return a.Value
		}
	}
	return ""
}

// readXML reads an XML document of a format that its first element names.
func readXML(want string, file []byte) (Document, error) {
	root := ""
	x := readXMLTokens(bytes.NewReader(file))
	errFound := errors.New("found")
	err := x.walk(func(e xml.StartElement) error { root = e.Name.Local; return errFound }, nil, nil)
	if err != nil && !errors.Is(err, errFound) {
		return Document{}, inFormat(err, "xml")
	}
	switch root {
	case "testsuites", "testsuite":
		return readJUnit(file)
	case "bom":
		d, err := readCycloneDXXMLAs(want, file)
		return d, inFormat(err, cyclonedxXMLName)
	}
	if isWebPage(root) {
		return Document{}, &FormatError{Format: "xml", Place: "line 1", Want: "is a web page, want a document (hint: whoever downloaded it was sent to a page to sign in, or to an error)"}
	}
	format := "xml"
	if want == string(EvidenceTest) || want == junitName {
		format = junitName
	}
	line, _ := x.dec.InputPos()
	return Document{}, &FormatError{Format: format, Place: fmt.Sprintf("line %d", line), Want: "the document is a " + quote(root) + ", want testsuites, testsuite or bom"}
}
