// SPDX-License-Identifier: Apache-2.0

package rekorv2

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	commonv1 "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	rekorv1 "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	pb "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	merkle "golang.org/x/mod/sumdb/tlog"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/hallmark-dev/hallmark/signer/tlog"
)

// writePath is the whole write API.
const writePath = apiPrefix + "/log/entries"

// refused says that a writer may not write.
type refused struct{ reason string }

func (e *refused) Error() string { return e.reason }

// badRequest says that a request is not even one.
type badRequest struct{ reason string }

func (e *badRequest) Error() string { return e.reason }

// serveWrite answers POST /api/v2/log/entries.
func (s *Service) serveWrite(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		writeError(w, http.StatusMethodNotAllowed, codeUnimplemented, "Method Not Allowed")
		return
	}
	logged, err := s.create(w, r)
	if err != nil {
		s.answerError(w, r, err)
		return
	}
	// Clients parse strictly and want every member, set or not.
	body, err := protojson.MarshalOptions{EmitUnpopulated: true}.Marshal(logged)
	if err != nil {
		s.answerError(w, r, fmt.Errorf("encode answer: %w", err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusCreated)
	// The type is none that a browser would run. A client that is gone may ask again.
	_, _ = w.Write(body) //nolint:gosec // not HTML, see Content-Type and nosniff
}

// create takes a request to its log entry.
func (s *Service) create(w http.ResponseWriter, r *http.Request) (*rekorv1.TransparencyLogEntry, error) {
	if s.cfg.Writers == Closed {
		return nil, &refused{reason: "this log takes entries from its signing service only"}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.cfg.MaxBody))
	if err != nil {
		return nil, fmt.Errorf("read request: %w", err)
	}
	var req pb.CreateEntryRequest
	if err := protojson.Unmarshal(body, &req); err != nil {
		return nil, &badRequest{reason: err.Error()}
	}
	hashed := req.GetHashedRekordRequestV002()
	if hashed == nil {
		return nil, &badRequest{reason: "invalid type, must be hashedrekord"}
	}
	e, err := s.check(hashed)
	if err != nil {
		return nil, err
	}
	in, leaf, err := s.write(r.Context(), e)
	if err != nil {
		return nil, err
	}
	return &rekorv1.TransparencyLogEntry{
		LogIndex:    in.Index,
		LogId:       &commonv1.LogId{KeyId: s.cfg.Log.ID()},
		KindVersion: &rekorv1.KindVersion{Kind: Kind, Version: Version},
		// No integratedTime: a v2 log vouches for order, not for time.
		InclusionProof: &rekorv1.InclusionProof{
			LogIndex: in.Index, TreeSize: in.TreeSize, RootHash: in.Root[:], Hashes: hashes(in.Proof),
			Checkpoint: &rekorv1.Checkpoint{Envelope: string(in.Checkpoint)},
		},
		CanonicalizedBody: leaf,
	}, nil
}

// write applies the writers policy to a verified entry. The leaf it returns is
// the one in the log, which may be another spelling of e.
func (s *Service) write(ctx context.Context, e entry) (tlog.Inclusion, []byte, error) {
	if s.cfg.Writers == Open {
		in, err := s.cfg.Log.Append(ctx, tlog.Leaf{Body: e.leaf})
		return in, e.leaf, err
	}
	leaves, err := s.admit(e)
	if err != nil {
		return tlog.Inclusion{}, nil, err
	}
	for _, leaf := range leaves {
		in, found, err := s.cfg.Log.Find(ctx, merkle.RecordHash(leaf))
		if err != nil || found {
			return in, leaf, err
		}
	}
	// That it verifies under a certificate of ours does not say that the key
	// signed it. Under a public ECDSA key anybody can make signatures of
	// digests of nothing, and a request has no more than a digest.
	return tlog.Inclusion{}, nil, &refused{reason: "this log does not have the entry, and takes new ones from its signing service only"}
}

// admit returns all spellings of an entry that was signed under a certificate
// issued here, e's own first, and refuses any other.
func (s *Service) admit(e entry) ([][]byte, error) {
	if e.cert == nil {
		return nil, &refused{reason: "this log takes entries with a certificate issued here, not with a bare key"}
	}
	issuer, err := s.cfg.CheckIssued(e.cert)
	if err != nil {
		return nil, &refused{reason: "this log takes entries with a certificate issued here: " + err.Error()}
	}
	if err := checkEncoding(e.cert); err != nil {
		return nil, err
	}
	return e.spellings(issuer)
}

// answerError maps errors to what rekor-tiles answers, and those it does not
// have to the nearest.
func (s *Service) answerError(w http.ResponseWriter, r *http.Request, err error) {
	var (
		invalid  *Invalid
		forbid   *refused
		bad      *badRequest
		tooLarge *http.MaxBytesError
	)
	switch {
	case errors.As(err, &forbid):
		writeError(w, http.StatusForbidden, codePermissionDenied, forbid.reason)
	case errors.As(err, &bad):
		writeError(w, http.StatusBadRequest, codeInvalidArgument, bad.reason)
	case errors.As(err, &invalid):
		// Upstream keeps the detail to itself, and clients match the text.
		writeError(w, http.StatusBadRequest, codeInvalidArgument, "invalid hashedrekord request")
	case errors.As(err, &tooLarge):
		writeError(w, http.StatusRequestEntityTooLarge, codeInvalidArgument,
			fmt.Sprintf("the request is larger than %d bytes", tooLarge.Limit))
	case errors.Is(err, tlog.ErrTooLarge):
		writeError(w, http.StatusRequestEntityTooLarge, codeInvalidArgument,
			fmt.Sprintf("the canonical entry is larger than %d bytes", tlog.MaxLeaf))
	case errors.Is(r.Context().Err(), context.DeadlineExceeded):
		writeError(w, http.StatusGatewayTimeout, codeDeadlineExceeded, "the request took too long; retry")
	case r.Context().Err() != nil:
		writeError(w, statusClientClosedRequest, codeCanceled, "the client has gone")
	case errors.Is(err, tlog.ErrPoolFull):
		writeError(w, http.StatusServiceUnavailable, codeUnavailable, "reached max pushback; retry")
	case errors.Is(err, tlog.ErrUnavailable), errors.Is(err, tlog.ErrClosed):
		writeError(w, http.StatusServiceUnavailable, codeUnavailable, "the log is not available; retry")
	default:
		writeError(w, http.StatusInternalServerError, codeUnknown, "failed to integrate entry")
	}
	s.cfg.Logger.InfoContext(r.Context(), "log request failed", "error", err)
}
