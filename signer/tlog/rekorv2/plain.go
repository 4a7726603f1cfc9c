// SPDX-License-Identifier: Apache-2.0

package rekorv2

import (
	"encoding/base64"

	commonv1 "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	pb "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
)

// readPlain reads a request as stock clients write it: the members that a
// hashedrekord has, each at most once and with a value, in any order, in
// strings without escapes. False means that protojson has to judge, which takes
// several times as long. What readPlain accepts it reads as protojson does
// (FuzzReadPlain).
func readPlain(body []byte) (*pb.HashedRekordRequestV002, bool) {
	s := scanner{rest: body}
	var req *pb.HashedRekordRequestV002
	s.object(func(name string) bool {
		if name != "hashedRekordRequestV002" || req != nil {
			return false
		}
		req = &pb.HashedRekordRequestV002{}
		return s.hashedRekord(req)
	})
	s.space()
	return req, !s.failed && len(s.rest) == 0 && req != nil
}

// scanner reads JSON of a known shape. When something is not as expected it has
// failed, for good.
type scanner struct {
	rest   []byte
	failed bool
}

func (s *scanner) hashedRekord(req *pb.HashedRekordRequestV002) bool {
	return s.object(func(name string) bool {
		switch {
		case name == "digest" && req.Digest == nil:
			req.Digest = s.base64()
		case name == "signature" && req.Signature == nil:
			req.Signature = &pb.Signature{}
			return s.signature(req.Signature)
		default:
			return false
		}
		return true
	})
}

func (s *scanner) signature(sig *pb.Signature) bool {
	return s.object(func(name string) bool {
		switch {
		case name == "content" && sig.Content == nil:
			sig.Content = s.base64()
		case name == "verifier" && sig.Verifier == nil:
			sig.Verifier = &pb.Verifier{}
			return s.verifier(sig.Verifier)
		default:
			return false
		}
		return true
	})
}

func (s *scanner) verifier(v *pb.Verifier) bool {
	return s.object(func(name string) bool {
		switch {
		case name == "publicKey" && v.Verifier == nil:
			v.Verifier = &pb.Verifier_PublicKey{PublicKey: &pb.PublicKey{RawBytes: s.rawBytes()}}
		case name == "x509Certificate" && v.Verifier == nil:
			v.Verifier = &pb.Verifier_X509Certificate{X509Certificate: &commonv1.X509Certificate{RawBytes: s.rawBytes()}}
		case name == "keyDetails" && v.KeyDetails == 0:
			details, known := commonv1.PublicKeyDetails_value[string(s.text())]
			v.KeyDetails = commonv1.PublicKeyDetails(details)
			return known && details != 0 // as zero it would look absent
		default:
			return false
		}
		return true
	})
}

// rawBytes reads {"rawBytes":"…"}.
func (s *scanner) rawBytes() []byte {
	var raw []byte
	s.object(func(name string) bool {
		if name != "rawBytes" || raw != nil {
			return false
		}
		raw = s.base64()
		return true
	})
	return raw
}

// object reads an object with at least one member. member is called with each
// name and reads the value, or says that it cannot.
func (s *scanner) object(member func(name string) bool) bool {
	s.token('{')
	for !s.failed {
		name := s.text()
		s.token(':')
		if s.failed || !member(string(name)) {
			s.failed = true
			break
		}
		s.space()
		if len(s.rest) == 0 || s.rest[0] != ',' {
			s.token('}')
			break
		}
		s.rest = s.rest[1:]
	}
	return !s.failed
}

// space skips white space (RFC 8259 section 2).
func (s *scanner) space() {
	for len(s.rest) > 0 && (s.rest[0] == ' ' || s.rest[0] == '\n' || s.rest[0] == '\t' || s.rest[0] == '\r') {
		s.rest = s.rest[1:]
	}
}

// token reads one character behind white space.
func (s *scanner) token(c byte) {
	s.space()
	if len(s.rest) == 0 || s.rest[0] != c {
		s.failed = true
		return
	}
	s.rest = s.rest[1:]
}

// text reads a string of printable ASCII without escapes.
func (s *scanner) text() []byte {
	s.token('"')
	if s.failed {
		return nil
	}
	for i, c := range s.rest {
		switch {
		case c == '"':
			text := s.rest[:i]
			s.rest = s.rest[i+1:]
			return text
		case c < ' ' || c > '~' || c == '\\':
			s.failed = true
			return nil
		}
	}
	s.failed = true
	return nil
}

// base64 reads a string that is not empty in standard base64.
func (s *scanner) base64() []byte {
	data, err := base64.StdEncoding.AppendDecode(nil, s.text())
	if err != nil || len(data) == 0 {
		s.failed = true
	}
	return data
}
