// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// What jsonReader does with single values.

// plain are the bytes that stand for themselves in a string.
var plain = func() (is [256]bool) {
	for c := 0x20; c < utf8.RuneSelf; c++ {
		is[c] = c != '"' && c != '\\'
	}
	return is
}()

// plainRun is the number of bytes at the front of b that are plain; eight are
// looked at together, since reports are mostly prose.
func plainRun(b []byte) (n int) {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for ; len(b)-n >= 8; n += 8 {
		x := binary.LittleEndian.Uint64(b[n:])
		// A byte has its high bit set here if it is not ASCII, below a space, a
		// quote or a backslash (a byte behind one of these may, too).
		if (x|(x-ones*' ')|((x^ones*'"')-ones)|((x^ones*'\\')-ones))&highs != 0 {
			break
		}
	}
	for n < len(b) && plain[b[n]] {
		n++
	}
	return n
}

// scan reads a string and appends at most limit bytes of what it stands for;
// whole tells whether that is all of it.
func (r *jsonReader) scan(dst []byte, limit int) (out []byte, whole bool, err error) {
	start := len(dst)
	whole = true
	take := func(piece ...byte) {
		if limit == 0 {
			whole = whole && len(piece) == 0
			return
		}
		if room := limit - (len(dst) - start); len(piece) > room {
			piece, whole = piece[:room], false
		}
		dst = append(dst, piece...)
	}
	for r.i++; ; {
		from := r.i
		r.i += plainRun(r.buf[from:])
		take(r.buf[from:r.i]...)
		if r.i == len(r.buf) {
			if !r.fill() {
				return dst, false, r.unexpected()
			}
			continue
		}
		switch c := r.buf[r.i]; {
		case c == '"':
			r.i++
			for !whole && len(dst) > start && !utf8.Valid(dst[max(start, len(dst)-utf8.UTFMax):]) {
				dst = dst[:len(dst)-1] // half a character
			}
			return dst, whole, nil
		case c == '\\':
			char, err := r.escape()
			if err != nil {
				return dst, false, err
			}
			var encoded [utf8.UTFMax]byte
			take(encoded[:utf8.EncodeRune(encoded[:], char)]...)
		case c < utf8.RuneSelf:
			return dst, false, r.fail("control character %#02x in a string", c)
		default:
			for !utf8.FullRune(r.buf[r.i:]) && r.fill() {
				continue // fill is what is done
			}
			char, size := utf8.DecodeRune(r.buf[r.i:])
			if char == utf8.RuneError && size <= 1 {
				return dst, false, r.fail("invalid UTF-8")
			}
			take(r.buf[r.i : r.i+size]...)
			r.i += size
		}
	}
}

// escape reads an escape sequence.
func (r *jsonReader) escape() (rune, error) {
	const short, long = 2, 6 // \n and \u0041
	if !r.need(short) {
		return 0, r.unexpectedEnd()
	}
	c := r.buf[r.i+1]
	if c != 'u' {
		if unescaped[c] == 0 {
			return 0, r.fail("unknown escape in a string")
		}
		r.i += short
		return rune(unescaped[c]), nil
	}
	first, err := r.unit(0)
	if err != nil {
		return 0, err
	}
	if first < 0xD800 || first > 0xDFFF {
		r.i += long
		return first, nil
	}
	if first < 0xDC00 && r.need(long+short) && r.buf[r.i+long] == '\\' && r.buf[r.i+long+1] == 'u' {
		second, err := r.unit(long)
		if err != nil {
			return 0, err
		}
		if second&^0x3FF == 0xDC00 {
			r.i += 2 * long
			return (first-0xD800)<<10 + second - 0xDC00 + 0x10000, nil
		}
	}
	return 0, r.fail("lone surrogate in a string")
}

// unit reads the four digits of \uXXXX that is at from.
func (r *jsonReader) unit(from int) (rune, error) {
	if !r.need(from + 6) {
		return 0, r.unexpectedEnd()
	}
	digits := r.buf[r.i+from+2 : r.i+from+6]
	for _, c := range digits {
		if !('0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f') {
			return 0, r.fail("unknown escape in a string")
		}
	}
	return rune(hex4(digits)), nil //nolint:gosec // 16 bits
}

// need sees to it that there are n bytes to look at.
func (r *jsonReader) need(n int) bool {
	for len(r.buf)-r.i < n {
		if !r.fill() {
			return false
		}
	}
	return true
}

func (r *jsonReader) unexpectedEnd() error { return r.fail("unexpected end of the document") }

// string reads a text; of a long one, its beginning.
func (r *jsonReader) string(to *string) error {
	b, err := r.bytes()
	if b != nil {
		*to = string(b)
	}
	return err
}

// bytes is string without a copy: it is valid until the next value is read.
// It is nil for null.
func (r *jsonReader) bytes() ([]byte, error) {
	if null, err := r.null(); null || err != nil {
		return nil, err
	}
	if r.peek() != '"' {
		return nil, r.want("a text")
	}
	text, _, err := r.scan(r.text[:0], maxText)
	if r.text = text; err != nil {
		return nil, err
	}
	return text, nil
}

// texts appends the texts of a list.
func (r *jsonReader) texts(to *[]string) error {
	_, err := r.list(func() error {
		if len(*to) == maxItems {
			return r.wrong("more than %d entries", maxItems)
		}
		var s string
		err := r.string(&s)
		*to = append(*to, s)
		return err
	})
	return err
}

// number reads a number.
func (r *jsonReader) number(to *float64) error {
	if null, err := r.null(); null || err != nil {
		return err
	}
	if c := r.peek(); c != '-' && (c < '0' || c > '9') {
		return r.want("a number")
	}
	digits, err := r.digits()
	if err != nil {
		return err
	}
	if *to, err = strconv.ParseFloat(string(digits), 64); err != nil {
		return r.wrong("%s is out of range", digits)
	}
	return nil
}

// digits reads a number as it is written (RFC 8259, 6).
func (r *jsonReader) digits() ([]byte, error) {
	r.text = r.text[:0]
	for r.i < len(r.buf) || r.fill() {
		c := r.buf[r.i]
		if (c < '0' || c > '9') && strings.IndexByte("+-.eE", c) < 0 {
			break
		}
		if len(r.text) == maxNumber {
			return nil, r.fail("a number of more than %d bytes", maxNumber)
		}
		r.text = append(r.text, c)
		r.i++
	}
	rest := bytes.TrimPrefix(r.text, []byte("-"))
	count := func() (n int) {
		for n < len(rest) && '0' <= rest[n] && rest[n] <= '9' {
			n++
		}
		rest = rest[n:]
		return n
	}
	zero := len(rest) > 0 && rest[0] == '0'
	n := count()
	ok := n > 0 && (n == 1 || !zero)
	if ok && len(rest) > 0 && rest[0] == '.' {
		rest = rest[1:]
		ok = count() > 0
	}
	if ok && len(rest) > 0 && rest[0]|0x20 == 'e' {
		rest = rest[1:]
		if len(rest) > 0 && (rest[0] == '+' || rest[0] == '-') {
			rest = rest[1:]
		}
		ok = count() > 0
	}
	if !ok || len(rest) > 0 {
		return nil, r.fail("%s is not a number", quote(string(r.text)))
	}
	return r.text, nil
}

// bool reads true or false.
func (r *jsonReader) bool(to *bool) error {
	switch r.peek() {
	case 't':
		*to = true
		return r.literal("true")
	case 'f':
		*to = false
		return r.literal("false")
	case 'n':
		return r.literal("null")
	}
	return r.want("true or false")
}

// skip passes over a value. It is checked as if it were read.
func (r *jsonReader) skip() error {
	c := r.peek()
	if r.checked && (c == '{' || c == '[') {
		r.pass()
		return nil
	}
	switch c {
	case '{':
		return r.object(func([]byte) error { return nil })
	case '[':
		_, err := r.list(func() error { return nil })
		return err
	case '"':
		_, _, err := r.scan(nil, 0)
		return err
	case 't':
		return r.literal("true")
	case 'f':
		return r.literal("false")
	case 'n':
		return r.literal("null")
	default:
		if c != '-' && (c < '0' || c > '9') {
			return r.unexpected()
		}
		_, err := r.digits()
		return err
	}
}

// pass is skip for an object or array that was checked before: brackets are
// counted.
func (r *jsonReader) pass() {
	for depth := 0; ; r.i++ {
		switch r.buf[r.i] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				r.i++
				return
			}
		case '"':
			for r.i++; r.buf[r.i] != '"'; r.i++ {
				if r.buf[r.i] == '\\' {
					r.i++
				}
			}
		}
	}
}

// raw passes over a value and returns it as it is written. The document must
// be in memory.
func (r *jsonReader) raw() ([]byte, error) {
	r.peek()
	start := r.i
	err := r.skip()
	return r.buf[start:r.i], err
}

// count reads a whole number that fits an int.
func (r *jsonReader) count(to *int) error {
	var n float64
	if err := r.number(&n); err != nil {
		return err
	}
	const most = 1 << 31
	if n != math.Trunc(n) || n > most || n < -most {
		return r.wrong("%v is not a whole number that can be", n)
	}
	*to = int(n)
	return nil
}
