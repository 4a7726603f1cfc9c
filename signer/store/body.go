// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// A log entry is JSON around signatures and certificates in base64, in Rekor
// v1 in base64 twice: PEM in base64. Of 3,000 bytes some 1,200 say something,
// and a database that keeps the others reads, writes and copies them, and fits
// two rows on a page. General compression does not see through base64, so
// bodies are packed by undoing it:
//
//	packed = method, part*
//	part   = length, literal bytes, [ length<<1 | nested, bytes ]
//
// Lengths are uvarints. The second half of a part stands for the standard
// base64 of its bytes, which are packed themselves, without a method, if
// nested. Only what encodes to the very same text is undone, and PackBody
// looks: the leaf hash is over every byte.

// Methods, the first byte of a packed body.
const (
	methodPlain  = 0 // the body follows
	methodBase64 = 1
)

const (
	// minRun is the shortest text that is worth undoing.
	minRun = 32
	// maxNested is how deep base64 is looked for: PEM in JSON is two.
	maxNested = 2
)

var errPacked = errors.New("a log entry is not packed as entries are")

// PackBody returns the form in which a log entry is kept. UnpackBody is the
// reverse.
func PackBody(body []byte) []byte {
	packed := pack(make([]byte, 0, len(body)+1), methodBase64, body)
	if back, err := UnpackBody(packed); err == nil && bytes.Equal(back, body) && len(packed) <= len(body) {
		return packed
	}
	return append([]byte{methodPlain}, body...)
}

func pack(to []byte, method byte, body []byte) []byte {
	return packText(append(to, method), body, 1)
}

func packText(to, text []byte, depth int) []byte {
	for {
		start, end := nextRun(text)
		to = appendSized(to, uint64(start), text[:start]) //nolint:gosec // lengths are not negative
		if start == end {
			return to
		}
		to = packRun(to, text[start:end], depth)
		text = text[end:]
	}
}

// packRun writes the second half of a part: what text is the base64 of.
func packRun(to, text []byte, depth int) []byte {
	size := base64.StdEncoding.DecodedLen(len(text)) - bytes.Count(text[len(text)-2:], []byte("="))
	if depth < maxNested {
		raw, _ := base64.StdEncoding.AppendDecode(make([]byte, 0, size), text) // nextRun has seen that it can be
		if nested := packText(make([]byte, 0, size), raw, depth+1); len(nested) < size {
			return appendSized(to, uint64(len(nested))<<1|1, nested)
		}
		return appendSized(to, uint64(size)<<1, raw) //nolint:gosec // lengths are not negative
	}
	to = binary.AppendUvarint(to, uint64(size)<<1) //nolint:gosec // lengths are not negative
	to, _ = base64.StdEncoding.AppendDecode(to, text)
	return to
}

func appendSized(to []byte, size uint64, b []byte) []byte {
	return append(binary.AppendUvarint(to, size), b...)
}

// nextRun finds the next text that is the base64 of something; both ends are
// the end of text if there is none.
func nextRun(text []byte) (start, end int) {
	for i := 0; i < len(text); {
		if !inBase64[text[i]] {
			i++
			continue
		}
		start = i
		for i < len(text) && inBase64[text[i]] {
			i++
		}
		end = i
		for end < len(text) && end < i+2 && text[end] == '=' {
			end++
		}
		if end = start + (end-start)&^3; end-start >= minRun && decodes(text[start:end]) {
			return start, end
		}
	}
	return len(text), len(text)
}

// decodes says whether text is the one base64 of some bytes. Only its last four
// characters can make it otherwise.
func decodes(text []byte) bool {
	var last [3]byte
	_, err := base64.StdEncoding.Strict().Decode(last[:], text[len(text)-4:])
	return err == nil && bytes.IndexByte(text[:len(text)-4], '=') < 0
}

var inBase64 = func() (set [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") {
		set[c] = true
	}
	return set
}()

// UnpackBody returns a log entry from the form in which it is kept. It fails
// with tlog.ErrCorrupt if that is not one that PackBody makes.
func UnpackBody(packed []byte) ([]byte, error) {
	if len(packed) == 0 {
		return nil, fmt.Errorf("%w: %w: it is empty", tlog.ErrCorrupt, errPacked)
	}
	switch packed[0] {
	case methodPlain:
		return bytes.Clone(packed[1:]), nil
	case methodBase64:
		body, err := unpackText(make([]byte, 0, 2*len(packed)), packed[1:], 1)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", tlog.ErrCorrupt, err)
		}
		return body, nil
	}
	return nil, fmt.Errorf("%w: %w: method %d", tlog.ErrCorrupt, errPacked, packed[0])
}

func unpackText(to, packed []byte, depth int) ([]byte, error) {
	for {
		size, literal, rest, err := sized(packed, 0)
		if err != nil || size > tlog.MaxLeaf {
			return nil, errPacked
		}
		if to = append(to, literal...); len(rest) == 0 {
			return to, nil
		}
		size, raw, rest, err := sized(rest, 1)
		if err != nil {
			return nil, err
		}
		if size&1 == 1 {
			if depth >= maxNested {
				return nil, errPacked
			}
			if raw, err = unpackText(nil, raw, depth+1); err != nil {
				return nil, err
			}
		}
		if to = base64.StdEncoding.AppendEncode(to, raw); len(to) > tlog.MaxLeaf {
			return nil, errPacked
		}
		packed = rest
	}
}

// sized reads a length, whose lowest flags bits are not part of it, and as many
// bytes.
func sized(packed []byte, flags int) (size uint64, b, rest []byte, err error) {
	size, n := binary.Uvarint(packed)
	if n <= 0 || size>>flags > uint64(len(packed)-n) { //nolint:gosec // n is not more than len(packed)
		return 0, nil, nil, errPacked
	}
	end := n + int(size>>flags) //nolint:gosec // not more than len(packed)
	return size, packed[n:end], packed[end:], nil
}
