// SPDX-License-Identifier: Apache-2.0

package rekorv2

import (
	pb "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	"google.golang.org/protobuf/encoding/protojson"
)

// badRequest says that a request is not even one.
type badRequest struct{ reason string }

func (e *badRequest) Error() string { return e.reason }

// parse reads and verifies a request.
func parse(body []byte) (entry, error) {
	if req, ok := readPlain(body); ok {
		return check(req)
	}
	var req pb.CreateEntryRequest
	if err := protojson.Unmarshal(body, &req); err != nil {
		return entry{}, &badRequest{reason: err.Error()}
	}
	switch {
	case req.GetHashedRekordRequestV002() != nil:
		return check(req.GetHashedRekordRequestV002())
	case req.GetDsseRequestV002() != nil: //nolint:staticcheck // deprecated upstream, and still sent
		return checkDSSE(req.GetDsseRequestV002()) //nolint:staticcheck // as above
	}
	return entry{}, &badRequest{reason: "invalid type, must be hashedrekord"}
}
