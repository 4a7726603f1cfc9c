// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"strconv"
	"strings"
)

// jsonReader reads one JSON document once, from the front, and keeps nothing
// of what its caller does not ask for: a scanner's report is mostly prose, and
// an SBOM may be larger than the memory that one request may cost. It is as
// strict as CheckJSON: syntax, UTF-8, depth, lone surrogates, members of one
// name (also if they differ in case only), trailing data.
//
// The caller walks the document: object and array call back for each member
// and element, and what a callback does not read is checked and passed over.
// Methods that read a value take null for an absent one.
type jsonReader struct {
	src io.Reader // nil: buf is all there is
	buf []byte
	i   int // next byte of buf
	// base is how much of the document was before buf.
	base int64
	// lines is how many lines ended in that.
	lines int
	// checked: the document has been read before, so that only its shape is
	// looked at.
	checked bool
	prefix  string // place of the document in a larger one; "" for "$"

	frames []jsonFrame
	names  []byte // of the members that are open, one after the other
	seed   maphash.Seed
	hashes []uint64 // of the names in the objects that are open
	fold   []byte   // scratch
	text   []byte   // scratch
	err    error    // of src
}

// jsonFrame is an object or array that is open.
type jsonFrame struct {
	name  int // where the member's name starts in names; -1 in an array
	index int // of the element
	first int // of its hashes
	more  map[uint64]struct{}
}

const (
	// streamBuffer is what is read at once, bytes.
	streamBuffer = 64 << 10
	// maxName bounds a member's name, bytes. Clair's are the longest: digests.
	maxName = 4096
	// maxNumber bounds a number, bytes.
	maxNumber = 64
	// fewMembers are compared one by one; more of them with a map.
	fewMembers = 32
	// maxMembers bounds the members of one object.
	maxMembers = 100_000
)

// readJSON reads a document from memory.
func readJSON(document []byte) *jsonReader {
	return &jsonReader{buf: document, seed: maphash.MakeSeed()}
}

// readChecked reads a value that was read before, of a document in memory.
func readChecked(place string, value []byte) *jsonReader {
	return &jsonReader{buf: value, checked: true, prefix: place}
}

// streamJSON reads a document from a stream. If the stream fails, so does
// every method, and err says why.
func streamJSON(src io.Reader) *jsonReader {
	return &jsonReader{src: src, buf: make([]byte, 0, streamBuffer), seed: maphash.MakeSeed()}
}

// fill gets more bytes behind those that are not read yet.
func (r *jsonReader) fill() bool {
	if r.src == nil {
		return false
	}
	if r.i > 0 {
		r.base += int64(r.i)
		r.lines += bytes.Count(r.buf[:r.i], []byte("\n"))
		r.buf = r.buf[:copy(r.buf[:cap(r.buf)], r.buf[r.i:])]
		r.i = 0
	}
	for range 100 { // a reader may return nothing, but not for ever
		n, err := r.src.Read(r.buf[len(r.buf):cap(r.buf)])
		r.buf = r.buf[:len(r.buf)+n]
		if err != nil {
			r.src = nil
			if !errors.Is(err, io.EOF) {
				r.err = err
			}
			return n > 0
		}
		if n > 0 {
			return true
		}
	}
	r.src, r.err = nil, io.ErrNoProgress
	return false
}

// offset is how much of the document has been read.
func (r *jsonReader) offset() int64 { return r.base + int64(r.i) }

// peek returns the next byte that is no white space, or 0 at the end.
func (r *jsonReader) peek() byte {
	for {
		for r.i < len(r.buf) {
			switch c := r.buf[r.i]; c {
			case ' ', '\t', '\n', '\r':
				r.i++
			default:
				return c
			}
		}
		if !r.fill() {
			return 0
		}
	}
}

// place is the JSON path of the value that is next or was just read.
func (r *jsonReader) place() string {
	var s strings.Builder
	if s.WriteString(r.prefix); r.prefix == "" {
		s.WriteByte('$')
	}
	for n, f := range r.frames {
		if f.name < 0 {
			s.WriteString("[" + strconv.Itoa(f.index) + "]")
			continue
		}
		end := len(r.names)
		for _, inner := range r.frames[n+1:] {
			if inner.name >= 0 {
				end = inner.name
				break
			}
		}
		if name := string(r.names[f.name:end]); name == "" && n == len(r.frames)-1 {
			break // an object in which no member was read yet
		} else if isPlainName(name) {
			s.WriteString("." + name)
		} else {
			s.WriteString("[" + quote(name) + "]")
		}
	}
	return s.String()
}

// fail says what is wrong with the document as JSON.
func (r *jsonReader) fail(format string, args ...any) error {
	if r.err != nil {
		return r.err
	}
	line := 1 + r.lines + bytes.Count(r.buf[:min(r.i, len(r.buf))], []byte("\n"))
	place := fmt.Sprintf("%s (line %d, byte %d)", r.place(), line, r.offset())
	return &FormatError{Place: place, Want: ErrJSON.Error() + ": " + fmt.Sprintf(format, args...), cause: ErrJSON}
}

// want says that another kind of value belongs here.
func (r *jsonReader) want(what string) error {
	found, ok := map[byte]string{'{': "an object", '[': "a list", '"': "a text", 't': "true", 'f': "false", 'n': "null"}[r.peek()]
	if !ok {
		found = "a number"
	}
	if err := r.skip(); err != nil { // what is no JSON is worse than what is no list
		return err
	}
	return unreadable(r.place(), "found %s, want %s", found, what)
}

// wrong is unreadable at this place.
func (r *jsonReader) wrong(format string, args ...any) error {
	return unreadable(r.place(), format, args...)
}

func (r *jsonReader) unexpected() error {
	if r.i >= len(r.buf) {
		return r.fail("unexpected end of the document")
	}
	return r.fail("unexpected character %s", strconv.QuoteRune(rune(r.buf[r.i])))
}

// null reads null, if it is there.
func (r *jsonReader) null() (bool, error) {
	if r.peek() != 'n' {
		return false, nil
	}
	return true, r.literal("null")
}

func (r *jsonReader) literal(word string) error {
	for n := range len(word) {
		if r.i == len(r.buf) && !r.fill() || r.buf[r.i] != word[n] {
			return r.unexpected()
		}
		r.i++
	}
	return nil
}

// object reads an object. The name is valid until the callback returns.
func (r *jsonReader) object(member func(name []byte) error) error {
	if null, err := r.null(); null || err != nil {
		return err
	}
	if r.peek() != '{' {
		return r.want("an object")
	}
	if err := r.open(len(r.names)); err != nil {
		return err
	}
	for first := true; ; first = false {
		if c := r.peek(); c == '}' && first {
			break
		} else if c != '"' {
			return r.unexpected()
		}
		name, err := r.member()
		if err != nil {
			return err
		}
		if err := r.visit(func() error { return member(name) }); err != nil {
			return err
		}
		more, err := r.next('}')
		if err != nil {
			return err
		}
		if !more {
			break
		}
	}
	r.close()
	return nil
}

// element is object for an element of a list, which null is none of.
func (r *jsonReader) element(member func(name []byte) error) error {
	if r.peek() != '{' {
		return r.want("an object")
	}
	return r.object(member)
}

// list reads an array and tells whether it was there: null and absence are no
// empty lists.
func (r *jsonReader) list(element func() error) (there bool, err error) {
	if null, err := r.null(); null || err != nil {
		return false, err
	}
	if r.peek() != '[' {
		return false, r.want("a list")
	}
	if err := r.open(-1); err != nil {
		return false, err
	}
	top := len(r.frames) - 1
	for first := true; ; first = false {
		if r.peek() == ']' && first {
			break
		}
		if err := r.visit(element); err != nil {
			return false, err
		}
		more, err := r.next(']')
		if err != nil {
			return false, err
		}
		if !more {
			break
		}
		r.frames[top].index++
	}
	r.close()
	return true, nil
}

// visit calls back for a value, and passes over it if the callback has not
// read it.
func (r *jsonReader) visit(callback func() error) error {
	r.peek()
	before := r.offset()
	if err := callback(); err != nil {
		return err
	}
	if r.offset() == before {
		return r.skip()
	}
	return nil
}

// next reads what follows a member or element, and tells whether another one
// does.
func (r *jsonReader) next(end byte) (bool, error) {
	switch r.peek() {
	case ',':
		r.i++
		return true, nil
	case end:
		return false, nil
	}
	return false, r.unexpected()
}

// open enters an object or array.
func (r *jsonReader) open(name int) error {
	if len(r.frames) == MaxDepth {
		return r.fail("nested deeper than %d", MaxDepth)
	}
	r.i++
	r.frames = append(r.frames, jsonFrame{name: name, first: len(r.hashes)})
	return nil
}

// close leaves it, behind its last byte.
func (r *jsonReader) close() {
	r.i++
	top := r.frames[len(r.frames)-1]
	r.frames = r.frames[:len(r.frames)-1]
	r.hashes = r.hashes[:top.first]
	if top.name >= 0 {
		r.names = r.names[:top.name]
	}
}

// member reads a name and its colon.
func (r *jsonReader) member() ([]byte, error) {
	top := &r.frames[len(r.frames)-1]
	names, whole, err := r.scan(r.names[:top.name], maxName)
	if err != nil {
		return nil, err
	}
	r.names = names
	name := names[top.name:]
	switch {
	case !whole:
		return nil, r.fail("a member's name has more than %d bytes", maxName)
	case r.peek() != ':':
		return nil, r.unexpected()
	case !r.checked && r.known(top, name):
		return nil, r.fail("member %s appears twice (names that differ in case only are one)", quote(string(name)))
	}
	r.i++
	if top.index++; top.index > maxMembers {
		return nil, r.fail("more than %d members", maxMembers)
	}
	return name, nil
}

// known tells whether the object has had a member of this name before. Names
// are compared by hash: an attacker cannot aim at equal ones without the seed,
// and by accident an object of a hundred thousand members has two equal ones
// once in a billion documents, which is then refused.
func (r *jsonReader) known(top *jsonFrame, name []byte) bool {
	r.fold = foldName(r.fold[:0], name)
	hash := maphash.Bytes(r.seed, r.fold)
	if top.more != nil {
		_, known := top.more[hash]
		top.more[hash] = struct{}{}
		return known
	}
	seen := r.hashes[top.first:]
	for _, h := range seen {
		if h == hash {
			return true
		}
	}
	r.hashes = append(r.hashes, hash)
	if len(seen) < fewMembers {
		return false
	}
	top.more = make(map[uint64]struct{}, 2*fewMembers)
	for _, h := range r.hashes[top.first:] {
		top.more[h] = struct{}{}
	}
	r.hashes = r.hashes[:top.first]
	return false
}

// end demands that nothing follows the document.
func (r *jsonReader) end() error {
	if r.peek() != 0 || r.i < len(r.buf) || r.err != nil {
		return r.fail("data after the document")
	}
	return nil
}
