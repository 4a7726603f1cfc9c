// SPDX-License-Identifier: Apache-2.0

package rekorv2

import (
	"bytes"
	"fmt"

	pb "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/hallmark-dev/hallmark/signer/tlog/writers"
)

// maxObjects bounds the objects of a request. One with a DSSE envelope has ten;
// of a million empty signatures protojson would make as many messages, fifty
// times the size of the request.
const maxObjects = 64

// badRequest says that a request is not even one.
type badRequest struct{ reason string }

func (e *badRequest) Error() string { return e.reason }

// parse reads and verifies a request.
func parse(body []byte) (entry, error) {
	if req, ok := readPlain(body); ok {
		return check(req)
	}
	if bytes.Count(body, []byte("{")) > maxObjects {
		return entry{}, &badRequest{reason: fmt.Sprintf("the request has more than %d objects", maxObjects)}
	}
	var req pb.CreateEntryRequest
	if err := protojson.Unmarshal(body, &req); err != nil {
		return entry{}, &badRequest{reason: writers.Clip(err.Error())}
	}
	switch {
	case req.GetHashedRekordRequestV002() != nil:
		return check(req.GetHashedRekordRequestV002())
	case req.GetDsseRequestV002() != nil: //nolint:staticcheck // deprecated upstream, and still sent
		return checkDSSE(req.GetDsseRequestV002()) //nolint:staticcheck // as above
	}
	return entry{}, &badRequest{reason: "invalid type, must be hashedrekord"}
}
