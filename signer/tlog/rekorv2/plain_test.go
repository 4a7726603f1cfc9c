// SPDX-License-Identifier: Apache-2.0

package rekorv2

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	pb "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// onTheWire encodes a request as stock clients do.
func onTheWire(t testing.TB, req *pb.HashedRekordRequestV002) []byte {
	t.Helper()
	b, err := protojson.Marshal(&pb.CreateEntryRequest{
		Spec: &pb.CreateEntryRequest_HashedRekordRequestV002{HashedRekordRequestV002: req},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What readPlain accepts is what protojson reads. What clients write, it does
// accept.
func FuzzReadPlain(f *testing.F) {
	for _, req := range signedBy(f) {
		wire := onTheWire(f, req)
		var indented bytes.Buffer
		if err := json.Indent(&indented, wire, "\r\n", "\t"); err != nil {
			f.Fatal(err)
		}
		for _, b := range [][]byte{wire, indented.Bytes()} {
			if got, ok := readPlain(b); !ok || !proto.Equal(got, req) {
				f.Errorf("%s is read as %v, %v", b, got, ok)
			}
			f.Add(b)
		}
		for _, change := range [][2]string{
			{`"digest"`, `"digest":"AA==","digest"`}, {`"digest"`, `"di\u0067est"`}, {`"digest":"`, `"digest":"AA`}, {`":"`, `":null,"x":"`}, {`=`, ``}, {`/`, `_`}, {`{`, `{,`}, {`}`, `,}`}, {`,`, `,,`},
			{`PKIX`, `XPKI`}, {`"publicKey"`, `"x509Certificate":{"rawBytes":"AA=="},"publicKey"`}, {`"keyDetails"`, `"keyDetails":"PUBLIC_KEY_DETAILS_UNSPECIFIED","keyDetails"`}, {`"verifier"`, `"verifier":{},"verifier"`},
		} {
			f.Add([]byte(strings.Replace(string(wire), change[0], change[1], 1)))
		}
	}
	for _, s := range []string{``, `{}`, `{"hashedRekordRequestV002":{}}`, `{"hashedRekordRequestV002":{"digest":"AA==","digest":"AA=="}}`, `{"hashedRekordRequestV002":{"digest":"AA==\n"}}`, `{"hashedRekordRequestV002":{"digest":"AB=="}} `, `{"hashedRekordRequestV002":{"digest":"AA=="}}{}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, ok := readPlain(body)
		if !ok {
			return
		}
		var want pb.CreateEntryRequest
		if err := protojson.Unmarshal(body, &want); err != nil {
			t.Fatalf("%s is accepted: %v", body, err)
		}
		if !proto.Equal(got, want.GetHashedRekordRequestV002()) {
			t.Errorf("%s is read as %v, not %v", body, got, &want)
		}
	})
}

func BenchmarkRequest(b *testing.B) {
	wire := []byte(`{"hashedRekordRequestV002":{"digest":"` + strings.Repeat("A", 43) + `=", "signature":{"content":"` + strings.Repeat("A", 95) + `=", "verifier":{"x509Certificate":{"rawBytes":"` +
		strings.Repeat("A", 1200) + `"}, "keyDetails":"PKIX_ECDSA_P256_SHA_256"}}}}`)
	b.Run("plain", func(b *testing.B) {
		for b.Loop() {
			if _, ok := readPlain(wire); !ok {
				b.Fatal("not accepted")
			}
		}
	})
	b.Run("protojson", func(b *testing.B) {
		for b.Loop() {
			if err := protojson.Unmarshal(wire, &pb.CreateEntryRequest{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
