// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/signer"
)

// signingErrors are the answers of sign and attest that clients should expect.
var signingErrors = []int{
	http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound,
	http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
}

type signInput struct {
	Authorization string `header:"Authorization" doc:"Bearer token of the CI run, for this service's audience"`
	RawBody       []byte `contentType:"application/json"` // readSignBody reads it
}

type attestInput struct {
	Authorization string `header:"Authorization" doc:"Bearer token of the CI run, for this service's audience"`
	RawBody       []byte `contentType:"application/json"` // readAttestBody reads it
}

// attestOutput holds a receipt, or several.
type attestOutput struct{ Body any }

func (s *server) sign(ctx context.Context, in *signInput) (*signOutput, error) {
	body, err := readSignBody(in.RawBody)
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	req := signer.Request{
		Token: bearer(in.Authorization), Image: oci.WithoutScheme(body.image), Documents: body.documents, Origin: s.origin(ctx), Admission: admissionOf(ctx),
		Platform: body.platform, Claimed: body.claimed,
	}
	var answer any
	if body.dryRun {
		answer, err = s.Signer.DryRun(ctx, req)
	} else {
		answer, err = s.Signer.Sign(ctx, req)
	}
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	return &signOutput{Body: answer}, nil
}

func (s *server) attest(ctx context.Context, in *attestInput) (*attestOutput, error) {
	body, err := readAttestBody(in.RawBody)
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	req := signer.Request{
		Token: bearer(in.Authorization), Image: oci.WithoutScheme(body.Image), Origin: s.origin(ctx), Admission: admissionOf(ctx),
		PredicateType: body.PredicateType, Predicate: body.Predicate, Platform: body.Platform,
	}
	var answer any
	if body.Platform == "" {
		answer, err = s.Signer.Attest(ctx, req)
	} else { // there may be several
		var receipts []signer.Receipt
		receipts, err = s.Signer.AttestDocuments(ctx, req)
		answer = newReceiptsBody(receipts)
	}
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	return &attestOutput{Body: answer}, nil
}

// receiptOutput holds one receipt.
type receiptOutput struct{ Body signer.Receipt }

func (s *server) answer(ctx context.Context, receipt signer.Receipt, err error) (*receiptOutput, error) {
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	return &receiptOutput{Body: receipt}, nil
}

func (s *server) origin(ctx context.Context) signer.Origin {
	return signer.Origin{RequestID: s.RequestID(ctx), RemoteAddr: remoteAddr(ctx)}
}

// bearer returns the token of an Authorization header, or "" if there is none;
// the authenticator refuses the empty token.
func bearer(header string) string {
	scheme, token, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

type remoteAddrKey struct{}

// WithRemoteAddr remembers the caller's network address for the audit record.
// The server wraps the API's handler in it. The route that next finds is the
// request's, for the server's metrics.
func WithRemoteAddr(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		known := r.WithContext(context.WithValue(r.Context(), remoteAddrKey{}, r.RemoteAddr))
		defer func() { r.Pattern = known.Pattern }()
		next.ServeHTTP(w, known)
	})
}

func remoteAddr(ctx context.Context) string {
	addr, _ := ctx.Value(remoteAddrKey{}).(string)
	return addr
}
