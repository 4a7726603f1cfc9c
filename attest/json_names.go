// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"bytes"
	"hash/maphash"
	"slices"
	"unicode"
	"unicode/utf8"
)

// memberNames finds members of one object whose names encoding/json takes for
// the same field. A hostile document is nothing but names, so a name costs
// eight bytes while its object is open, and nothing afterwards: no map, no
// copy, no string.
type memberNames struct {
	b    []byte // the document
	seed maphash.Seed
	// all has, for every member of the objects that are open, innermost last,
	// half of the hash of its folded name and, below it, where its name starts
	// in b. An attacker cannot aim at equal hashes without the seed.
	all          []uint64
	name, folded []byte // reused
}

// startBits leaves room for documents of 4 GiB, which is above every limit.
const startBits = 32

// open begins an object and returns what its close needs.
func (n *memberNames) open() (first int) { return len(n.all) }

// add takes a name that is written at start. It returns the name without
// quotes and escapes, which is valid until the next call.
func (n *memberNames) add(start int, quoted []byte) []byte {
	n.name = unquote(n.name[:0], quoted)
	n.folded = foldName(n.folded[:0], n.name)
	n.all = append(n.all, maphash.Bytes(n.seed, n.folded)>>startBits<<startBits|uint64(start)) //nolint:gosec // an index is not negative
	return n.name
}

// close ends the object that began with first, and returns two of its names
// that collide, in the order in which they are written.
func (n *memberNames) close(first int) (one, other string, dup bool) {
	members := n.all[first:]
	n.all = n.all[:first]
	slices.Sort(members) // by hash, then by place; insertion sort for the usual few
	for i := 1; i < len(members); i++ {
		// Nearly always none: different names share half a hash by accident only.
		for j := i - 1; j >= 0 && members[j]>>startBits == members[i]>>startBits; j-- {
			a, b := n.at(members[j]), n.at(members[i])
			if bytes.Equal(foldName(nil, a), foldName(nil, b)) {
				return string(a), string(b), true
			}
		}
	}
	return "", "", false
}

// at reads a name again.
func (n *memberNames) at(member uint64) []byte {
	start := int(member & (1<<startBits - 1))
	end := start + 1
	for ; n.b[end] != '"'; end++ {
		if n.b[end] == '\\' {
			end++
		}
	}
	return unquote(nil, n.b[start:end+1])
}

// unquote appends to dst what a JSON string stands for. Its syntax was checked
// by json.Valid, and that it has no lone surrogates by the walker; a nil
// string is empty.
func unquote(dst, quoted []byte) []byte {
	if len(quoted) == 0 {
		return dst
	}
	s := quoted[1 : len(quoted)-1]
	for len(s) > 0 {
		escape := bytes.IndexByte(s, '\\')
		if escape < 0 {
			return append(dst, s...)
		}
		dst = append(dst, s[:escape]...)
		s = s[escape+1:]
		if s[0] != 'u' {
			dst = append(dst, unescaped[s[0]])
			s = s[1:]
			continue
		}
		r := rune(hex4(s[1:])) //nolint:gosec // 16 bits
		s = s[5:]
		if r >= 0xD800 && r < 0xDC00 { // the low half follows
			r = (r-0xD800)<<10 + rune(hex4(s[2:])) - 0xDC00 + 0x10000 //nolint:gosec // 16 bits
			s = s[6:]
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst
}

// unescaped are the characters that have an escape of two (RFC 8259, 7).
var unescaped = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// foldName appends the same bytes for all names that encoding/json takes for
// the same field: every rune becomes the smallest of its simple case-folding
// orbit.
func foldName(dst, name []byte) []byte {
	for len(name) > 0 {
		if c := name[0]; c < utf8.RuneSelf { // nearly all of them
			if 'a' <= c && c <= 'z' {
				c -= 'a' - 'A'
			}
			dst, name = append(dst, c), name[1:]
			continue
		}
		r, size := utf8.DecodeRune(name)
		name = name[size:]
		for {
			next := unicode.SimpleFold(r)
			if next <= r {
				r = next
				break
			}
			r = next
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst
}
