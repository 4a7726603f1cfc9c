// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Revocations is what the API shows of the list of revocations.
type Revocations interface {
	// Revocations returns the list that the service keeps to at this moment, or
	// of it the lines that are about a value: kind is digest, identity or key; ""
	// for all. The caller does not change it.
	Revocations(ctx context.Context, kind, value string) RevocationList
}

// RevocationList is the list at one moment.
type RevocationList struct {
	// Version grows with every change; 0: there never was a list.
	Version int64
	Issued  time.Time
	// Target is the SHA-256, hex, of the signed file; "" without one.
	Target string
	Lines  []Revocation
}

// Revocation is one line of it.
type Revocation struct {
	Kind    string     `json:"kind" enum:"digest,identity,key"`
	Value   string     `json:"value" doc:"sha256:HEX of an artifact or a public key; the URI of an identity, or one that ends in /*"`
	Reason  string     `json:"reason"`
	Revoked time.Time  `json:"revoked" doc:"when the operator said so"`
	Since   *time.Time `json:"since,omitempty" doc:"signatures from this proven time on do not count; absent: none counts"`
}

// revocationsCache lets caches answer for some seconds. Verifiers do not ask
// here: they read the signed list.
const revocationsCache = "public, max-age=10"

// revocationsInput bounds a page. A line has at most 2 KiB.
type revocationsInput struct {
	Digest   string `query:"digest" maxLength:"1024" doc:"only what is about this artifact, sha256:HEX"`
	Identity string `query:"identity" maxLength:"1024" doc:"only what is about this identity, also by a line that ends in /*"`
	Key      string `query:"key" maxLength:"1024" doc:"only what is about this public key: sha256:HEX, or the hint of a bundle"`
	After    string `query:"after" maxLength:"64" doc:"\"next\" of the page before"`
	Limit    int    `query:"limit" minimum:"1" maximum:"1000" default:"1000"`
	Known    string `header:"If-None-Match" maxLength:"256" doc:"ETag of the answer before"`
}

type revocationsOutput struct {
	Status int
	ETag   string `header:"ETag"`
	Cache  string `header:"Cache-Control"`
	Body   *revocationsBody
}

type revocationsBody struct {
	Version int64      `json:"version" doc:"grows with every change; 0: nothing was ever revoked"`
	Issued  *time.Time `json:"issued,omitempty" doc:"when the list was last said to be complete"`
	// Target is for those who want the list with its signatures.
	Target      string       `json:"target,omitempty" doc:"SHA-256, hex, of revocations.json: in the trust repository it is targets/SHA256.revocations.json"`
	Revocations []Revocation `json:"revocations"`
	Next        string       `json:"next,omitempty" doc:"where the next page begins: the value of \"after\"; absent at the end"`
}

// registerRevocations adds the list. It is for people and their tools; what
// counts is the list that the trust repository signs.
func (s *server) registerRevocations(api huma.API) {
	if s.Revocations == nil {
		return
	}
	huma.Register(api, huma.Operation{
		OperationID: "revocations", Method: http.MethodGet, Path: "/hallmark/v1/revocations", Summary: "What is revoked, why and since when, oldest first",
		Description: "The list as the service keeps to it. It carries no signature here: verifiers read the target revocations.json of the trust repository.",
		Errors:      []int{http.StatusBadRequest, http.StatusConflict, http.StatusServiceUnavailable}, Middlewares: huma.Middlewares{s.searches()},
	}, s.revocations)
}

func (s *server) revocations(ctx context.Context, in *revocationsInput) (*revocationsOutput, error) {
	kind, value, err := in.about()
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	list := s.Revocations.Revocations(ctx, kind, value)
	out := &revocationsOutput{Status: http.StatusOK, ETag: fmt.Sprintf(`"%d"`, list.Version), Cache: revocationsCache}
	if matches(in.Known, out.ETag) {
		out.Status = http.StatusNotModified
		return out, nil
	}
	begin, err := in.begin(list)
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	end := min(begin+in.Limit, len(list.Lines))
	out.Body = &revocationsBody{Version: list.Version, Target: list.Target, Revocations: append([]Revocation{}, list.Lines[begin:end]...)}
	if !list.Issued.IsZero() {
		out.Body.Issued = &list.Issued
	}
	if end < len(list.Lines) {
		out.Body.Next = fmt.Sprintf("%d-%d", list.Version, end)
	}
	return out, nil
}

// about is what is asked for: one of three, or everything.
func (in *revocationsInput) about() (kind, value string, err error) {
	for name, given := range map[string]string{"digest": in.Digest, "identity": in.Identity, "key": in.Key} {
		if given == "" {
			continue
		}
		if kind != "" {
			return "", "", fmt.Errorf("%w: digest, identity and key exclude each other", ErrBadQuery)
		}
		kind, value = name, given
	}
	if raw, err := base64.StdEncoding.DecodeString(value); kind == "key" && err == nil && len(raw) == sha256Size {
		value = "sha256:" + hex.EncodeToString(raw)
	}
	if sum, found := strings.CutPrefix(value, "sha256:"); kind == "digest" || kind == "key" {
		if raw, err := hex.DecodeString(sum); !found || err != nil || len(raw) != sha256Size || sum != strings.ToLower(sum) {
			return "", "", fmt.Errorf("%w: %s %.100q: want sha256:<64 lower-case hex digits>", ErrBadQuery, kind, value)
		}
	}
	return kind, value, nil
}

// sha256Size is that of a digest, bytes.
const sha256Size = 32

// begin is the first line of a page. Pages of two versions do not fit together.
func (in *revocationsInput) begin(list RevocationList) (int, error) {
	if in.After == "" {
		return 0, nil
	}
	version, rest, found := strings.Cut(in.After, "-")
	n, err := strconv.Atoi(rest)
	if _, bad := strconv.ParseInt(version, 10, 64); !found || err != nil || bad != nil || n < 0 {
		return 0, fmt.Errorf("%w: after %.64q is not the \"next\" of a page", ErrBadQuery, in.After)
	}
	if version != strconv.FormatInt(list.Version, 10) || n > len(list.Lines) {
		return 0, fmt.Errorf("%w: it has version %d now (hint: begin with the first page)", ErrChanged, list.Version)
	}
	return n, nil
}

// matches says whether an If-None-Match has an ETag (RFC 9110, section 13.1.2).
func matches(header, etag string) bool {
	for one := range strings.SplitSeq(header, ",") {
		if one = strings.TrimPrefix(strings.TrimSpace(one), "W/"); one == etag || one == "*" {
			return true
		}
	}
	return false
}
