// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	// reviewPath is where every API server takes TokenReviews.
	reviewPath = "/apis/authentication.k8s.io/v1/tokenreviews"
	// maxReviews at a time per cluster: a burst of requests must not become a
	// burst on the API server, which has other things to do.
	maxReviews = 16
	// extraPodName and extraPodUID are what the API server says of the pod that
	// a token is bound to.
	extraPodName = "authentication.kubernetes.io/pod-name"
	extraPodUID  = "authentication.kubernetes.io/pod-uid"
)

// TokenReview says which API server is asked about the tokens of a cluster.
// Only the cluster knows whether the pod and the service account of a token
// still exist: keys alone cannot tell. An API server that does not answer
// decides nothing, so nothing is signed for the cluster meanwhile.
type TokenReview struct {
	// Server is the API server's URL, for example
	// https://kubernetes.default.svc. https, or http on loopback.
	Server string `yaml:"server"`
	// CAFile holds the PEM certificates that the API server's must chain to.
	// Default: the source's caFile.
	CAFile string `yaml:"caFile,omitempty"`
	// BearerTokenFile holds the token of an account that may create
	// tokenreviews (ClusterRole system:auth-delegator). Read each time, since
	// such tokens rotate. Default: the source's bearerTokenFile.
	BearerTokenFile string `yaml:"bearerTokenFile,omitempty"`
}

// Files returns the file names in the source's configuration, for a caller that
// resolves relative ones.
func (s *Source) Files() []*string {
	files := []*string{&s.CAFile, &s.BearerTokenFile, &s.BundleFile}
	if s.TokenReview != nil {
		review := *s.TokenReview // the caller's own copy
		s.TokenReview = &review
		files = append(files, &review.CAFile, &review.BearerTokenFile)
	}
	return files
}

// completeTokenReview fills in what follows from the source.
func (s *Source) completeTokenReview() error {
	if s.TokenReview == nil {
		return nil
	}
	review := *s.TokenReview
	review.CAFile = firstOf(review.CAFile, s.CAFile)
	review.BearerTokenFile = firstOf(review.BearerTokenFile, s.BearerTokenFile)
	s.TokenReview = &review
	if err := checkEndpoint("tokenReview.server", review.Server); err != nil {
		return err
	}
	if strings.HasSuffix(review.Server, "/") {
		return fmt.Errorf("tokenReview.server %q ends with a slash", review.Server)
	}
	if review.BearerTokenFile == "" {
		return errors.New("tokenReview: bearerTokenFile is missing (hint: the token of an account that may create tokenreviews)")
	}
	return nil
}

// reviewer asks one API server.
type reviewer struct {
	TokenReview
	client *http.Client
	// patience bounds waiting for a turn and for the answer together.
	patience time.Duration
	// turns holds one element per review that is under way.
	turns chan struct{}
}

func newReviewer(cfg Config, t TokenReview) (*reviewer, error) {
	client, err := newClient(cfg.HTTPClient, cfg.FetchTimeout, t.CAFile)
	if err != nil {
		return nil, fmt.Errorf("tokenReview: %w", err)
	}
	// The token in the request goes to this address and to no other.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &reviewer{TokenReview: t, client: client, patience: cfg.FetchTimeout, turns: make(chan struct{}, maxReviews)}, nil
}

// reviewRequest and reviewStatus are what is used of
// authentication.k8s.io/v1 TokenReview.
type reviewRequest struct {
	APIVersion string     `json:"apiVersion"`
	Kind       string     `json:"kind"`
	Spec       reviewSpec `json:"spec"`
}

type reviewSpec struct {
	Token     string   `json:"token"`
	Audiences []string `json:"audiences"`
}

type reviewStatus struct {
	Authenticated bool     `json:"authenticated"`
	Audiences     []string `json:"audiences"`
	User          struct {
		Username string              `json:"username"`
		UID      string              `json:"uid"`
		Extra    map[string][]string `json:"extra"`
	} `json:"user"`
	Error string `json:"error"`
}

// ask sends the token to the API server.
func (r *reviewer) ask(ctx context.Context, raw, audience string) (reviewStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, r.patience)
	defer cancel()
	select {
	case r.turns <- struct{}{}:
		defer func() { <-r.turns }()
	case <-ctx.Done():
		return reviewStatus{}, fmt.Errorf("wait for the API server %s: %w", r.Server, ctx.Err())
	}
	body, err := json.Marshal(reviewRequest{"authentication.k8s.io/v1", "TokenReview", reviewSpec{raw, []string{audience}}})
	if err != nil {
		return reviewStatus{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.Server+reviewPath, bytes.NewReader(body))
	if err != nil {
		return reviewStatus{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	if err := authorize(req, r.BearerTokenFile); err != nil {
		return reviewStatus{}, fmt.Errorf("tokenReview: %w", err)
	}
	status, answer, err := exchange(r.client, req)
	if err != nil {
		return reviewStatus{}, fmt.Errorf("ask the cluster about the token: %w", err)
	}
	switch status {
	case http.StatusOK, http.StatusCreated:
	case http.StatusUnauthorized, http.StatusForbidden:
		return reviewStatus{}, fmt.Errorf("ask the cluster about the token: %s answered %d (hint: the account of bearerTokenFile needs the ClusterRole system:auth-delegator)", r.Server, status)
	default:
		return reviewStatus{}, fmt.Errorf("ask the cluster about the token: %s answered %d", r.Server, status)
	}
	var review struct {
		Kind   string       `json:"kind"`
		Status reviewStatus `json:"status"`
	}
	if err := decodeDocument(answer, &review); err != nil {
		return reviewStatus{}, fmt.Errorf("ask the cluster about the token: %s: %w", r.Server, err)
	}
	if review.Kind != "TokenReview" {
		return reviewStatus{}, fmt.Errorf("ask the cluster about the token: %s answered with a %.40q", r.Server, review.Kind)
	}
	return review.Status, nil
}

// reviewToken has the cluster confirm a token that is otherwise good, and
// compares what it says with what the token says.
func reviewToken(ctx context.Context, src *source, tok token, audience string) error {
	if src.review == nil {
		return nil
	}
	status, err := src.review.ask(ctx, tok.raw, audience)
	if err != nil {
		return err
	}
	if !status.Authenticated {
		return refuse(ReasonNotConfirmed, "the cluster does not stand by the token (%.200s); does its pod still run?", firstOf(strings.ToValidUTF8(status.Error, "?"), "it gives no reason"))
	}
	if !slices.Contains(status.Audiences, audience) {
		// An API server that does not know about audiences leaves them out.
		return refuse(ReasonNotConfirmed, "the cluster does not confirm the audience %q", audience)
	}
	r := newReader(tok.claims)
	bound := r.object("kubernetes.io", required)
	account, pod := bound.object("serviceaccount", required), bound.object("pod", required)
	for _, pair := range []struct{ what, token, cluster string }{
		{"user", r.text("sub", required), status.User.Username},
		{"service account's uid", account.text("uid", required), status.User.UID},
		{"pod", pod.text("name", required), only(status.User.Extra[extraPodName])},
		{"pod's uid", pod.text("uid", required), only(status.User.Extra[extraPodUID])},
	} {
		if pair.token == "" || pair.token != pair.cluster {
			return refuse(ReasonNotConfirmed, "the %s is %.100q in the token and %.100q for the cluster", pair.what, pair.token, pair.cluster)
		}
	}
	return r.err()
}

// only returns the one element of a list, or "".
func only(list []string) string {
	if len(list) != 1 {
		return ""
	}
	return list[0]
}
