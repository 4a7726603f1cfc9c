// SPDX-License-Identifier: Apache-2.0

package rekorv2

import (
	"encoding/base64"
	"strconv"
	"unicode/utf8"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// logged is an entry in the log.
type logged struct {
	tlog.Inclusion
	logID []byte
	leaf  []byte // as it was logged, which may be another spelling
}

// answer writes dev.sigstore.rekor.v1.TransparencyLogEntry as protojson does
// with EmitUnpopulated: clients parse strictly and want every member, set or
// not. There is no integratedTime: a v2 log vouches for order, not for time.
// protojson itself took a tenth of the time of a write; FuzzAnswer holds them
// side by side.
func (l logged) answer() []byte {
	const frame = 512 // what is neither base64 nor the checkpoint
	b := make([]byte, 0, frame+b64Len(len(l.leaf))+len(l.Proof)*(b64Len(len(tlog.Hash{}))+3)+len(l.Checkpoint)*5/4)
	b = append(b, `{"logIndex":"`...)
	b = strconv.AppendInt(b, l.Index, 10)
	b = append(b, `","logId":{"keyId":`...)
	b = appendBase64(b, l.logID)
	b = append(b, `},"kindVersion":{"kind":"`+Kind+`","version":"`+Version+`"},"integratedTime":"0","inclusionPromise":null,"inclusionProof":{"logIndex":"`...)
	b = strconv.AppendInt(b, l.Index, 10)
	b = append(b, `","rootHash":`...)
	b = appendBase64(b, l.Root[:])
	b = append(b, `,"treeSize":"`...)
	b = strconv.AppendInt(b, l.TreeSize, 10)
	b = append(b, `","hashes":[`...)
	for i := range l.Proof {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendBase64(b, l.Proof[i][:])
	}
	b = append(b, `],"checkpoint":{"envelope":`...)
	b = appendString(b, l.Checkpoint)
	b = append(b, `}},"canonicalizedBody":`...)
	b = appendBase64(b, l.leaf)
	return append(b, '}')
}

func b64Len(n int) int { return base64.StdEncoding.EncodedLen(n) }

func appendBase64(b, data []byte) []byte {
	b = append(b, '"')
	b = base64.StdEncoding.AppendEncode(b, data)
	return append(b, '"')
}

// appendString writes a JSON string (RFC 8259 section 7). A checkpoint has line
// ends and, in the origin, whatever its operator chose.
func appendString(b, s []byte) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for len(s) > 0 {
		c, size := s[0], 1
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		case c < utf8.RuneSelf:
			b = append(b, c)
		default:
			var r rune
			r, size = utf8.DecodeRune(s)
			b = utf8.AppendRune(b, r) // the replacement character for what is not UTF-8
		}
		s = s[size:]
	}
	return append(b, '"')
}
