// SPDX-License-Identifier: Apache-2.0

package vers

import "strings"

// reserved are the characters that a version in a range has percent-encoded.
const reserved = "><=!*|%"

const hexDigits = "0123456789ABCDEF"

// decode takes the percent-encoding of a version away, once. It must be whole and in capitals, and what comes out must be printable.
func decode(text string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '%':
			if i+2 >= len(text) {
				return "", false
			}
			high, low := strings.IndexByte(hexDigits, text[i+1]), strings.IndexByte(hexDigits, text[i+2])
			if high < 0 || low < 0 {
				return "", false
			}
			c = byte(high<<4 | low) //nolint:gosec // two digits are a byte
			i += 2
		case strings.IndexByte(reserved, c) >= 0:
			return "", false
		}
		if c <= ' ' || c > '~' {
			return "", false
		}
		b.WriteByte(c)
	}
	return b.String(), b.Len() > 0
}

// encode is the opposite, in the canonical form.
func encode(version string) string {
	if !strings.ContainsAny(version, reserved) {
		return version
	}
	var b strings.Builder
	for i := range len(version) {
		if c := version[i]; strings.IndexByte(reserved, c) < 0 {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', hexDigits[c>>4], hexDigits[c&15]})
		}
	}
	return b.String()
}
